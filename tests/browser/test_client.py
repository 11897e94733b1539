"""clients/realtime.js in a real browser, against the three transports of one deployment: each event once and in order, whatever fails."""

import itertools
import json
import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page

from tests.browser.place import until
from tests.deployment import Deployment

FULL = os.environ.get("SOAK") == "full"
SECONDS = 120.0 if FULL else 1.0  # one round of the faults takes 17 s
A_SECOND = 50
TOPIC = "orders/1"


class Place(Protocol):
    """What a page is opened on."""

    @property
    def url(self) -> str: ...

    def token(self, sub: str, seconds: int) -> str: ...

    def publish(self, topic: str, data: object) -> object: ...


P = TypeVar("P", bound=Place)


@pytest.fixture
def place(here: Deployment) -> Iterator[Deployment]:
    """The deployment without a fault, before and after."""
    yield here
    for transport in ("websocket", "sse", "polling", "door"):
        here.refuse(transport, False)
        here.silent(transport, False)
        here.busy(transport, 0)
    here.direct("orders", None)


def opened(page: Page, place: Place, topic: str = TOPIC, **query: object) -> Page:
    """The page of one subscription, once it is live."""
    asked = {"topic": topic, "token": place.token("ann", 3600), **query}
    page.goto(f"{place.url}/pages/client.html?{urlencode(asked)}")
    page.wait_for_function("() => window.subscription?.status.state === 'live' && window.subscription.cursor")
    return page


def status(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate("subscription.status")
    return found


def got(page: Page, count: int, seconds: float = 10) -> list[int]:
    """The numbers that came, as soon as there are so many."""
    page.wait_for_function("(count) => record.got.length >= count", arg=count, timeout=seconds * 1000)
    found: list[int] = page.evaluate("record.got")
    return found


def goes_by(page: Page, transport: str, seconds: float = 15) -> None:
    page.wait_for_function("(wanted) => subscription.status.transport === wanted", arg=transport, timeout=seconds * 1000)


def publish(place: Deployment, first: int, count: int, topic: str = TOPIC) -> None:
    for n in range(first, first + count):
        place.publish(topic, {"n": n})


class Publisher(threading.Thread):
    """Publishes 1, 2, 3 ... at an even rate until it is told to stop."""

    def __init__(self, place: Place, topic: str) -> None:
        super().__init__(daemon=True)
        self._place, self._topic, self._stop_now = place, topic, threading.Event()
        self.published = 0

    def run(self) -> None:
        begin = time.monotonic()
        while not self._stop_now.wait(max(0.0, begin + self.published / A_SECOND - time.monotonic())):
            self._place.publish(self._topic, {"n": self.published})
            self.published += 1

    def stop(self) -> int:
        self._stop_now.set()
        self.join()
        return self.published


@pytest.mark.soak
def test_every_fault_in_turn_loses_nothing(page: Page, place: Deployment) -> None:
    """At 50 events a second: WebSocket cut, SSE cut, all back, network off and on, restart, hidden, asleep: each event once, in order."""
    topic = "orders/every-fault"
    opened(page, place, topic, hiddenAfter=1000)
    nothing_is_lost(page, place, topic, FAULTS, last_seconds=30)


def nothing_is_lost(page: Page, place: P, topic: str, faults: Sequence[Callable[[Page, P], None]], *, last_seconds: float) -> None:
    """While events are published, faults follow each other; then each event has come, once and in order, without reset or error."""
    publisher = Publisher(place, topic)
    publisher.start()
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        for fault in faults:
            fault(page, place)
    total = publisher.stop()
    assert got(page, total, last_seconds) == list(range(total))
    record = page.evaluate("record")
    assert (record["resets"], record["errors"]) == (0, [])
    took = sorted(ms for ms, _ in record["losses"])  # from the notice of a loss to the next event
    p95 = took[int(len(took) * 0.95)]
    print(json.dumps({"events": total, "losses": len(took), "p50": statistics.median(took), "p95": p95, "max": took[-1]}))
    assert p95 < 2000 or not FULL  # the short form runs beside other tests


def _cut_websocket(page: Page, place: Deployment) -> None:
    place.refuse("websocket", True)
    place.cut("websocket")
    page.wait_for_timeout(2_500)


def _cut_sse_too(page: Page, place: Deployment) -> None:
    place.refuse("sse", True)
    place.cut("sse")
    page.wait_for_timeout(2_500)


def _all_back(page: Page, place: Deployment) -> None:
    place.refuse("websocket", False)
    place.refuse("sse", False)
    page.wait_for_timeout(2_500)


def _network_off_and_on(page: Page, place: Deployment) -> None:
    page.context.set_offline(True)
    place.cut()  # which Chromium does not do to open connections
    page.wait_for_timeout(1_000)
    page.context.set_offline(False)
    page.evaluate(BACK)
    page.wait_for_timeout(2_000)


def _restart(page: Page, place: Deployment) -> None:
    place.restart(1.0)
    page.evaluate(BACK)
    page.wait_for_timeout(2_000)


def hidden_and_shown(page: Page, *_: object) -> None:
    page.evaluate(SHOW, "hidden")
    page.wait_for_timeout(2_000)
    page.evaluate(SHOW, "visible")
    page.evaluate(BACK)
    page.wait_for_timeout(1_000)


def asleep(page: Page, *_: object) -> None:
    page.evaluate("const now = Date.now; Date.now = () => now() + 600_000")
    page.wait_for_timeout(2_500)


BACK = "record.back = performance.now()"

SHOW = """(state) => {
  Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""

FAULTS: list[Callable[[Page, Deployment], None]] = [
    _cut_websocket,
    _cut_sse_too,
    _all_back,
    _network_off_and_on,
    _restart,
    hidden_and_shown,
    asleep,
]


def test_it_begins_with_recent_events_and_goes_on(page: Page, place: Deployment) -> None:
    """`recent`: the newest events first, then what comes."""
    publish(place, 0, 5, "orders/recent")
    opened(page, place, "orders/recent", recent=3)
    publish(place, 5, 2, "orders/recent")
    assert got(page, 5) == [2, 3, 4, 5, 6]


PATTERNS = [("ticker", "polling"), ("alerts/1", "sse"), ("chat/1", "websocket"), ("orders/2", "websocket")]


@pytest.mark.parametrize(("topic", "transport"), PATTERNS)
def test_each_pattern_is_read_from_client_json(topic: str, transport: str, page: Page, place: Deployment) -> None:
    """The page's code is the same for all four."""
    opened(page, place, topic)
    publish(place, 0, 3, topic)
    assert got(page, 3) == [0, 1, 2]
    goes_by(page, transport)  # which is slower than the next one where the machine is busy, and then comes back


@pytest.mark.parametrize("topic", ["metrics", "price"])
def test_newest_only(topic: str, page: Page, place: Deployment) -> None:
    """Where a topic keeps its newest event, that one comes first; skipped ones are no gap, and no token is needed."""
    publish(place, 0, 3, topic)
    opened(page, place, topic, token="")
    assert got(page, 1)[0] == 2
    publish(place, 3, 1, topic)
    assert got(page, 2)[-1] == 3


def test_it_descends_and_climbs(page: Page, place: Deployment) -> None:
    """WebSocket, then SSE, then polling, then up again, with what happened in between."""
    opened(page, place, "orders/ladder")
    place.refuse("websocket", True)
    place.cut("websocket")
    publish(place, 0, 1, "orders/ladder")
    goes_by(page, "sse")
    place.refuse("sse", True)
    place.cut("sse")
    publish(place, 1, 1, "orders/ladder")
    goes_by(page, "polling")
    place.refuse("sse", False)
    place.refuse("websocket", False)
    goes_by(page, "websocket", 70)  # the longest pause is a minute
    publish(place, 2, 1, "orders/ladder")
    assert got(page, 3) == [0, 1, 2]


def test_silence_is_noticed(page: Page, place: Deployment) -> None:
    """A connection that is open and dead: the ping three seconds after an event finds out, within ten more."""
    opened(page, place, "orders/silence")
    publish(place, 0, 1, "orders/silence")
    got(page, 1)
    place.silent("websocket", True)
    place.refuse("websocket", True)
    publish(place, 1, 1, "orders/silence")
    assert got(page, 2, 30) == [0, 1]
    goes_by(page, "sse")


def test_lost_push_is_asked_for_again(page: Page, place: Deployment) -> None:
    """What comes after a gap is held for a second, then the log is read."""
    opened(page, place, "orders/gap")
    publish(place, 0, 1, "orders/gap")
    got(page, 1)
    place.lose("websocket", 1)
    publish(place, 1, 2, "orders/gap")
    assert got(page, 3) == [0, 1, 2]


@pytest.mark.parametrize("topic", ["orders/wiped", "alerts/wiped", "ticker"])
def test_wiped_log_is_a_reset(topic: str, page: Page, place: Deployment) -> None:
    """By whatever transport: `onReset` once, then what comes."""
    opened(page, place, topic)
    publish(place, 0, 1, topic)
    got(page, 1)
    place.wipe()
    publish(place, 1, 1, topic)
    place.cut()
    page.wait_for_function("() => record.resets > 0", timeout=15_000)
    publish(place, 2, 1, topic)
    assert got(page, 2)[-1] == 2
    assert page.evaluate("record.resets") == 1


def test_token_is_renewed_in_band(page: Page, place: Deployment) -> None:
    """A WebSocket outlives its first token: in good time the next one is sent on the same connection."""
    page.expose_function("login", lambda _=None: {"token": place.token("ann", 5), "expires_in": 2})
    opened(page, place, "chat/renewed", token="")
    before = len(place.accepted("websocket"))
    page.wait_for_timeout(6_000)
    publish(place, 0, 1, "chat/renewed")
    assert got(page, 1) == [0]
    assert len(place.accepted("websocket")) == before


def test_stranger_is_refused_for_good(page: Page, place: Deployment) -> None:
    """A token that nobody signed: one more try with a fresh one, then `onError` says why, and nothing is tried again."""
    page.goto(f"{place.url}/pages/client.html?{urlencode({'topic': 'alerts/1', 'token': place.token('ann', 3600) + 'x'})}")
    page.wait_for_function("() => record.errors.length")
    assert status(page)["state"] == "refused"
    assert "401" in status(page)["problem"]


def test_retry_after_is_honoured(page: Page, place: Deployment) -> None:
    """A busy server says when to come again; nobody comes before."""
    opened(page, place, "ticker")
    place.busy("polling", 3)
    page.wait_for_function("() => subscription.status.state === 'retrying'")
    told = len(place.accepted("polling"))
    place.busy("polling", 0)
    goes_by(page, "polling")
    came = place.accepted("polling")
    assert came[told] - came[told - 1] > 2.9


def test_server_directs_it_down(page: Page, place: Deployment) -> None:
    """An operator sheds load: better transports refuse the feature, polls come at the advised interval, and nothing is lost."""
    opened(page, place, "orders/shed")
    place.direct("orders", "polling", 3, seconds=60)
    place.cut("websocket", "sse")
    goes_by(page, "polling")
    before = len(place.accepted("polling"))
    publish(place, 0, 2, "orders/shed")
    assert got(page, 2) == [0, 1]
    until(lambda: len(place.accepted("polling")) >= before + 2 or page.wait_for_timeout(20), 20)  # type: ignore[func-returns-value] # it polls
    came = place.accepted("polling")[before - 1 :]
    assert min(later - earlier for earlier, later in itertools.pairwise(came)) > 2.9  # the feature's own interval is a second


def test_publish_survives_a_cut(page: Page, place: Deployment) -> None:
    """Sent again with the same id until it is acknowledged: each event is in the log once, in order."""
    opened(page, place, "orders/publish")
    page.evaluate("window.sent = Promise.all([0, 1, 2, 3, 4, 5].map((n) => client.publish('orders/publish', 'note', { n })))")
    place.refuse("websocket", True)
    place.cut("websocket")
    page.evaluate("sent")
    assert got(page, 6) == [0, 1, 2, 3, 4, 5]


def test_second_subscription_begins_where_it_wants(page: Page, place: Deployment) -> None:
    """Two parts of a page share a topic, and each gets what it asked for."""
    opened(page, place, "orders/twice")
    publish(place, 0, 3, "orders/twice")
    got(page, 3)
    page.evaluate("window.second = []; client.subscribe('orders/twice', ({ data }) => second.push(data.n), { recent: 2 })")
    publish(place, 3, 1, "orders/twice")
    assert got(page, 4) == [0, 1, 2, 3]
    assert page.evaluate("second") == [1, 2, 3]


def test_hidden_page_lets_go(page: Page, place: Deployment) -> None:
    """After a while nobody sees it: no connection. Shown again: what was missed, at once."""
    opened(page, place, "orders/hidden", hiddenAfter=500)
    page.evaluate(SHOW, "hidden")
    until(lambda: place.open("websocket") == 0 or page.wait_for_timeout(20), 10)  # type: ignore[func-returns-value] # it lets go
    publish(place, 0, 2, "orders/hidden")
    page.evaluate(SHOW, "visible")
    assert got(page, 2, 3) == [0, 1]


def test_slow_network_polls(page: Page, place: Deployment) -> None:
    """Save-Data: no open socket."""
    page.add_init_script("Object.defineProperty(navigator, 'connection', { value: { saveData: true } })")
    opened(page, place, "orders/slow")
    assert page.evaluate("record.transports.filter(Boolean)") == ["polling"]


def test_bad_topic_is_said(page: Page, place: Deployment) -> None:
    """No feature serves it: `onError`, at once."""
    page.goto(f"{place.url}/pages/client.html?{urlencode({'topic': 'nothing', 'token': place.token('ann', 3600)})}")
    page.wait_for_function("() => record.errors.length")
    assert page.evaluate("record.errors") == ["no feature serves the topic nothing"]


def test_refused_topic_takes_no_other_along(page: Page, place: Deployment) -> None:
    """Two topics share a stream, and one of them is refused for good: the other goes on."""
    opened(page, place, "alerts/good")
    page.evaluate("window.refused = []; client.subscribe('alerts/not a name', { onError: ({ code }) => refused.push(code) })")
    page.wait_for_function("() => refused.length")
    publish(place, 0, 1, "alerts/good")
    assert got(page, 1) == [0]


def test_position_that_is_none_harms_nobody_else(page: Page, place: Deployment) -> None:
    """A second reader with a cursor that cannot be: he is told by `onReset`, the first one is not, and both go on."""
    opened(page, place, "orders/garbage")
    publish(place, 0, 1, "orders/garbage")
    got(page, 1)
    page.evaluate("""window.other = []; client.subscribe("orders/garbage",
        { onEvent: ({ data }) => other.push(data.n), onReset: () => other.push("reset") }, { after: "garbage-9" })""")
    page.wait_for_function("() => other.includes('reset')")
    publish(place, 1, 1, "orders/garbage")
    assert got(page, 2) == [0, 1]
    assert page.evaluate("[record.resets, other.at(-1)]") == [0, 1]


def test_closed_in_its_handler_hears_no_more(page: Page, place: Deployment) -> None:
    """Also of the events that came with the same page."""
    opened(page, place, "orders/closed")
    publish(place, 0, 5, "orders/closed")
    got(page, 5)
    page.evaluate(
        "window.once = []; const s = client.subscribe('orders/closed', ({ data }) => { once.push(data.n); s.close(); }, { recent: 5 })"
    )
    page.wait_for_function("() => once.length")
    publish(place, 5, 1, "orders/closed")
    got(page, 6)
    assert page.evaluate("once") == [0]


def test_closed_client_asks_for_nothing(page: Page, place: Deployment) -> None:
    """Also while it was still beginning."""
    asked = list[str]()
    page.on("request", lambda request: asked.append(request.url))
    page.route("**/client.json", lambda route: route.abort())
    page.goto(f"{place.url}/pages/client.html?{urlencode({'topic': TOPIC, 'token': place.token('ann', 3600)})}")
    page.wait_for_function("() => window.subscription?.status.state === 'retrying'")
    page.evaluate("client.close()")
    before = len(asked)
    page.wait_for_timeout(2_500)
    assert len(asked) == before
