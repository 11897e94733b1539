"""The shop's page in Chromium, behind its own server: three transports and one log, as `make up` has them, in this process."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import httpx2
import pytest
import uvicorn
from playwright.sync_api import Page, expect

import local.page
from local.places import ROOT
from local.process import free_port
from realtime.event import NewEvent
from stacks.parts.page import files
from tests.browser.place import until
from tests.deployment import Deployment, deployed
from tests.helpers import SECRET

FEATURES = re.sub(r"(?m)^schema .*\n", "", (ROOT / "features.toml").read_text()).replace('"5s"', '"1s"')
AXE = (ROOT / "node_modules/axe-core/axe.min.js").read_text()
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
ORDER: dict[str, Any] = {"at": "1997-01-06", "cds": 3, "revenue": 42.5}
DASH = "\u2013"
ODD: list[object] = [None, 7, "x", [], {}, {"at": 3, "cds": "many", "revenue": None, "order": {}, "status": "lost", "name": 1, "text": []}]
FIGURES = {"at": "1997-01-06", "orders": 275, "cds": 620, "revenue": 9680.55}

_WATCH_SHIFTS = """window.shifts = [];
    new PerformanceObserver(list => { for (const shift of list.getEntries()) shifts.push({value: shift.value, of:
        shift.sources.map(({node}) => (node?.nodeType === 1 ? node : node?.parentElement)?.outerHTML?.slice(0, 100))}) })
        .observe({type: "layout-shift", buffered: true})"""
_VIOLATIONS = """async tags => (await axe.run({runOnly: tags})).violations
    .flatMap(({id, nodes}) => nodes.map(({html, failureSummary}) => `${id}: ${html} ${failureSummary}`))"""
_FOCUS = """() => { const {activeElement: at} = document, {outlineStyle, outlineWidth} = getComputedStyle(at);
    return {name: at.labels?.[0]?.textContent || at.ariaLabel || at.textContent.trim(), tag: at.tagName,
        seen: outlineStyle !== "none" && outlineWidth !== "0px"} }"""


class Behind(local.page.Deployment):
    """The deployment of a test, as the page's server sees it."""

    def __init__(self, deployment: Deployment) -> None:
        super().__init__(Path())
        self._deployment = deployment

    @property
    def facts(self) -> dict[str, object]:
        told: dict[str, object] = httpx2.get(f"{self._deployment.url}/client.json").json()
        return told | {"websocket": str(told["websocket"]).replace("127.0.0.1", "localhost")}  # by the only name that the policy allows

    def of_stream(self, topic: str) -> str | None:
        return self._deployment.url


@contextmanager
def served(deployment: Deployment, *, guests: bool = True) -> Iterator[str]:
    """The page's URL, while it is served."""
    app = local.page.create_app(deployment.url, Behind(deployment), SECRET if guests else None)
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", timeout_graceful_shutdown=1))
    thread = Thread(target=server.run, daemon=True)
    thread.start()
    until(lambda: server.started, 10)
    try:
        yield f"http://localhost:{port}"
    finally:
        server.should_exit = True
        thread.join(10)


class Shop:
    """The page, as its visitor has it before him."""

    def __init__(self, page: Page, url: str, deployment: Deployment) -> None:
        self.page, self._url, self._deployment = page, url, deployment
        self.errors: list[str] = []
        page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.add_init_script(_WATCH_SHIFTS)

    def open(self) -> "Shop":
        self.page.goto(self._url)
        for feature in ("orders", "alerts", "metrics", "chat"):
            self.until(feature, "state", "live")
        return self

    def fact(self, feature: str, name: str) -> Any:
        return self.page.locator(f"[data-feature={feature}] [data-fact={name}]")

    def until(self, feature: str, name: str, value: str) -> None:
        """Wait until a fact of a card's strip is that."""
        expect(self.fact(feature, name)).to_have_text(value, timeout=10_000)

    def publish(self, topic: str, type: str, data: object) -> None:
        log, features = self._deployment.log, self._deployment.runtime.features
        log.append(features.topic(topic), [NewEvent.of(type, data)])

    def order(self, number: str, status: str) -> None:
        """Publish it, and wait until the board has it."""
        self.publish("orders", "order", {"order": number, "status": status, **ORDER})
        row = self.page.locator("#orders-board li", has_text=number)
        expect(row.locator(".step")).to_have_text(status, timeout=10_000)

    def a_busy_day(self) -> None:
        """Some of everything, until all of it is shown."""
        self.publish("metrics", "figures", FIGURES)
        self.publish("alerts", "large_order", {"at": "1997-01-06", "cds": 16, "revenue": 216.71})
        self.publish("alerts", "critical_stock", {"at": "1997-01-06", "left": 980, "level": 1200})
        self.publish("alerts", "urgent_order", {"order": "A-1001", **ORDER})
        self.publish("chat/lobby", "message", {"name": "Ann", "text": "Who takes it?"})
        for number, status in enumerate(("placed", "packed", "shipped", "delivered")):
            self.order(f"A-100{number}", status)
        expect(self.page.get_by_text("$9,680.55").first).to_be_visible()
        expect(self.page.locator("#alerts-list")).to_contain_text("Urgent order")
        expect(self.page.locator("#chat-messages")).to_contain_text("Who takes it?")

    def press(self, button: str) -> None:
        self.page.get_by_role("button", name=button).click()


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with deployed(tmp_path_factory.mktemp("shop"), FEATURES) as deployment:
        yield deployment


@pytest.fixture(scope="module")
def url(deployment: Deployment) -> Iterator[str]:
    with served(deployment) as url:
        yield url


@pytest.fixture
def shop(page: Page, url: str, deployment: Deployment) -> Iterator[Shop]:
    """No error of the page's own, whatever a test does to it."""
    shop = Shop(page, url, deployment)
    yield shop
    assert shop.errors == []


@pytest.mark.parametrize("width", [1280, 360])
def test_nothing_moves(shop: Shop, width: int) -> None:
    """Not while it loads, nor when the first events come; and a phone's page does not scroll sideways."""
    shop.page.set_viewport_size({"width": width, "height": 4000})  # all of it is seen
    shop.open().a_busy_day()
    shifts = shop.page.evaluate("shifts")
    assert sum(shift["value"] for shift in shifts) < 0.0001, shifts  # a word at the right edge that becomes another one
    assert shop.page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_everybody_can_read_it(shop: Shop, width: int, scheme: Any) -> None:
    """axe finds nothing against WCAG 2.2 AA, contrast included; also where a button is pressed and something is wrong."""
    shop.page.set_viewport_size({"width": width, "height": 800})
    shop.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    shop.open().a_busy_day()
    shop.page.get_by_text("As a table").click()
    shop.press("Cut the WebSocket")
    shop.until("chat", "state", "retrying")
    shop.page.evaluate(AXE)
    assert shop.page.evaluate(_VIOLATIONS, WCAG) == []


def test_keyboard_is_enough(shop: Shop) -> None:
    """Tab comes to everything, is seen wherever it is, and leaves again; Space cuts and gives back."""
    shop.open()
    met = []
    for _ in range(20):
        shop.page.keyboard.press("Tab")
        met.append(shop.page.evaluate(_FOCUS))
        if met[-1]["tag"] == "BODY":
            break
        if met[-1]["name"] == "Cut the WebSocket":
            shop.page.keyboard.press("Space")
            shop.until("orders", "transport", "SSE")
            shop.page.keyboard.press("Space")
    names = [
        "Your name",
        "Cut the WebSocket",
        "Cut the SSE",
        "Cut the network",
        "Latest alerts",
        "As a table",
        "Messages",
        "Message",
        "Send",
    ]
    assert [each["name"] for each in met[:-1]] == names
    assert all(each["seen"] for each in met[:-1])
    shop.until("orders", "transport", "WebSocket")


def test_orders_go_down_the_ladder_and_up_again(shop: Shop) -> None:
    """Whatever is cut, they come, and the strip says by what; the others say why they do not."""
    shop.open()
    shop.until("orders", "transport", "WebSocket")
    shop.order("A-2000", "placed")
    shop.press("Cut the WebSocket")
    shop.until("orders", "transport", "SSE")
    shop.order("A-2000", "packed")
    shop.until("chat", "problem", "cut off")
    shop.press("Cut the SSE")
    shop.until("orders", "transport", "polling")
    shop.order("A-2000", "shipped")
    for pressed in ("Cut the WebSocket", "Cut the SSE"):
        shop.press(pressed)
    shop.until("orders", "transport", "WebSocket")
    shop.order("A-2000", "delivered")
    expect(shop.page.locator("#ladder-title")).to_have_text(re.compile("WebSocket.*SSE.*polling.*WebSocket"))


def test_cut_network_stops_everything(shop: Shop) -> None:
    """And what happened in the meantime comes afterwards; what was cut besides stays so."""
    shop.open()
    shop.press("Cut the WebSocket")
    shop.press("Cut the network")
    for feature in ("orders", "alerts", "metrics", "chat"):
        shop.until(feature, "state", "retrying")
    shop.publish("orders", "order", {"order": "A-3000", "status": "packed", **ORDER})
    shop.press("Cut the network")
    expect(shop.page.locator("#orders-board")).to_contain_text("A-3000", timeout=10_000)
    assert shop.fact("orders", "transport").inner_text() != "WebSocket"


def test_pattern_is_one_line(page: Page, deployment: Deployment, tmp_path: Path) -> None:
    """Of features.toml, and a deployment. The page's files are the same: its strip tells."""
    served_files = {path: file.read_bytes() for path, file in files().items()}
    changed = FEATURES.replace('pattern   = "polling"', 'pattern   = "sse"', 1)
    for features, name, told in ((FEATURES, "before", "polling"), (changed, "after", "SSE")):
        (tmp_path / name).mkdir()
        with deployed(tmp_path / name, features) as other, served(other) as url:
            shop = Shop(page, url, other).open()
            shop.until("metrics", "transport", told)
            shop.publish("metrics", "figures", FIGURES)
            shop.until("metrics", "received", "1")
    assert served_files == {path: file.read_bytes() for path, file in files().items()}


def test_odd_data_is_a_dash(shop: Shop) -> None:
    """Or no words at all, but never an error."""
    shop.open()
    cards = {"orders": "order", "alerts": "large_order", "metrics": "figures", "chat": "message"}
    received = {feature: int(shop.fact(feature, "received").inner_text()) for feature in cards}
    for data in ODD:
        for feature, kind in cards.items():
            shop.publish("chat/lobby" if feature == "chat" else feature, kind, data)
        shop.publish("alerts", "unheard_of", data)
    for feature in ("orders", "chat"):
        shop.until(feature, "received", str(received[feature] + len(ODD)))
    expect(shop.page.locator("#alerts-list li").nth(1)).to_contain_text(f"{DASH} CDs for {DASH}")
    expect(shop.page.locator("#metrics-cds")).to_have_text(DASH)


def test_lists_are_bounded(shop: Shop) -> None:
    """Fifty of each at most, the newest ones."""
    shop.open()
    for n in range(60):
        shop.publish("alerts", "large_order", {"at": "1997-01-06", "cds": 100 + n, "revenue": 1})
        shop.publish("chat/lobby", "message", {"name": "Ann", "text": f"Line {n}"})
    expect(shop.page.locator("#alerts-list li").first).to_contain_text("159 CDs")
    expect(shop.page.locator("#chat-messages li").last).to_contain_text("Line 59")
    assert [shop.page.locator(f"{each} li").count() for each in ("#alerts-list", "#chat-messages")] == [50, 50]


def test_message_goes_out_and_comes_back(shop: Shop) -> None:
    """Under the guest's name; its text stays text, whatever it holds."""
    shop.open().page.get_by_label("Your name").fill("Bea")
    shop.page.get_by_label("Message", exact=True).fill("<img src=x onerror=alert(1)>")
    shop.page.keyboard.press("Enter")
    message = shop.page.locator("#chat-messages li.own")
    expect(message).to_contain_text("<img src=x onerror=alert(1)>")
    expect(message.locator(".name")).to_have_text("Bea")
    expect(shop.page.locator("#chat-pending li")).to_have_count(0)


def test_guest_stays_the_same(shop: Shop, url: str, deployment: Deployment) -> None:
    """Over a reload and in another tab: the name, and the `sub`, so that both tabs have one connection, and the same buttons pressed."""
    shop.open().page.get_by_label("Your name").fill("Cleo")
    shop.page.keyboard.press("Enter")
    shop.page.reload()
    shop.until("alerts", "state", "live")
    other = Shop(shop.page.context.new_page(), url, deployment).open()
    expect(other.page.get_by_label("Your name")).to_have_value("Cleo")
    other.press("Cut the SSE")
    expect(shop.page.get_by_role("button", name="Cut the SSE")).to_have_attribute("aria-pressed", "true")
    shop.until("alerts", "state", "retrying")
    shop.press("Cut the SSE")
    other.until("alerts", "state", "live")
    shop.order("A-4000", "placed")
    expect(other.page.locator("#orders-board")).to_contain_text("A-4000")
    until(lambda: (deployment.open("websocket"), deployment.open("sse")) == (1, 1), 20)


def test_without_guests_it_shows_what_is_public(page: Page, deployment: Deployment) -> None:
    """And says in a sentence how to have the rest."""
    with served(deployment, guests=False) as url:
        shop = Shop(page, url, deployment)
        page.goto(url)
        shop.until("metrics", "state", "live")
        assert page.locator("[data-feature]:visible").count() == 1
        expect(page.get_by_role("status").first).to_contain_text("-c realtime:shop-guests=on")
        assert shop.errors == []
