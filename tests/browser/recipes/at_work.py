"""The recipes at work in a page of the deployment: what they were told, what it cost, and what goes wrong on the way."""

import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, WebSocketRoute

from local.places import ROOT
from tests.browser.place import until
from tests.deployment import FEATURES, Deployment

RECIPES = ROOT / "examples" / "clients"
REACT = ("tanstack-query", "swr")
WITHIN_SECONDS = 30.0
"""What is awaited comes after a recipe's longest pause at the latest, or once a program has started on a busy machine."""

FATES = 40
PUBLIC = {"metrics"}
WITH_FIGURES = f"""{FEATURES}
[features.figures]
pattern  = "polling"
latency  = "1s"
keep     = "latest"
access   = {{ read = "user", publish = "service" }}
"""
_PAGE = '<!doctype html><div id="root"></div><script type="module" src="{}.js"></script>'
_CALL = """async ([module, name, topic, options]) => {
    const seen = window.seen = [], signIn = () => { seen.push("sign in"); return options.token }
    const heard = {onEvent: ({seq}) => seen.push(seq), onReset: () => seen.push("reset")}
    const {[name]: recipe} = await import(`/recipes/${module}.js`)
    recipe(topic, {...options, ...heard, signIn, signal: new AbortController().signal})
}"""


def bundle(folder: Path) -> None:
    """A page for each React recipe, bundled as its users would bundle it."""
    command = [str(ROOT / "node_modules/.bin/esbuild"), "--bundle", "--format=esm", "--jsx=automatic", f"--outdir={folder}"]
    pages = [str(Path(__file__).parent / f"{name}.jsx") for name in REACT]
    subprocess.run([*command, *pages], check=True, timeout=30, capture_output=True)
    for name in REACT:
        (folder / f"{name}.html").write_text(_PAGE.format(name))
    (folder / "empty.html").write_text("<!doctype html>")


class Polls:
    """What the server answered to polls: the status on the wire, not the one that the page is given from the browser's cache."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._urls: dict[str, str] = {}  # by request
        self._answers: list[dict[str, Any]] = []  # an answer may be told of before its request is
        session = page.context.new_cdp_session(page)
        session.on("Network.requestWillBeSent", lambda said: self._urls.update({said["requestId"]: said["request"]["url"]}))
        session.on("Network.responseReceivedExtraInfo", lambda said: self._answers.append(said))  # noqa: PLW0108 - Playwright takes no built-in
        session.send("Network.enable")

    @property
    def statuses(self) -> list[int]:
        return [said["statusCode"] for said in self._answers if "/topics/" in self._urls.get(said["requestId"], "")]

    def until(self, count: int) -> list[int]:
        """The first statuses, as soon as they are so many."""
        until(lambda: len(self.statuses) >= count or self._page.wait_for_timeout(20), WITHIN_SECONDS)  # type: ignore[func-returns-value] # it lets them in
        return self.statuses[:count]


def show(page: Page, deployment: Deployment, recipe: str, hook: str, topic: str) -> None:
    """A component that uses the hook."""
    page.goto(f"{deployment.url}/react/{recipe}.html")
    page.evaluate("of => show(...of)", [hook, topic, None if topic in PUBLIC else deployment.token()])


def until_page(page: Page, condition: str, arg: object = None, seconds: float = WITHIN_SECONDS) -> None:
    page.wait_for_function(condition, arg=arg, timeout=seconds * 1000)


def until_shown(page: Page, count: int) -> None:
    """Wait until so many events are shown: each once and in order."""
    until_page(page, "n => renders.at(-1)?.length >= n", count)
    assert page.evaluate("renders.at(-1).map(event => event.seq)") == list(range(1, count + 1))


def listen(page: Page, deployment: Deployment) -> None:
    """A page that has alerts/a by EventSource."""
    page.goto(f"{deployment.url}/react/empty.html")
    page.evaluate(_CALL, ["event-source", "listen", "alerts/a", {"types": ["note"], "token": deployment.token()}])
    until_page(page, "seen.includes('reset')")


def follow(page: Page, deployment: Deployment) -> None:
    """A page that has chat/a by WebSocket."""
    page.goto(f"{deployment.url}/react/empty.html")
    url = page.evaluate("fetch('/client.json').then(answer => answer.json()).then(known => known.websocket)")
    page.evaluate(_CALL, ["websocket", "follow", "chat/a", {"url": url, "token": deployment.token()}])
    until_page(page, "seen.includes('reset')")


def until_seen(page: Page, *seen: object) -> None:
    """Wait until the page was told so many things: events by their number, `reset`, `sign in`. They are these."""
    until_page(page, "n => seen.length >= n", len(seen))
    assert page.evaluate("seen") == list(seen)


def shuffle(page: Page, seed: int) -> None:
    """Of the next pushes each is lost, comes twice, or after a later one, or as it was sent: by chance. From a replay, too."""
    chance, late = random.Random(seed), list[str | bytes]()
    fates = iter(chance.choices(("lost", "twice", "late", "fine"), k=FATES))

    def arrives(frame: str | bytes, send: Callable[[str | bytes], None]) -> None:
        fate = next(fates, "fine") if '"action":"event"' in str(frame) else "fine"
        if fate == "late":
            late.append(frame)
        elif fate != "lost":
            for arriving in [frame] * (2 if fate == "twice" else 1) + late:
                send(arriving)
            late.clear()

    def through(route: WebSocketRoute) -> None:
        route.connect_to_server().on_message(lambda frame: arrives(frame, route.send))

    page.route_web_socket("**/live*", through)
