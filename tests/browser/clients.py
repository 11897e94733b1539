"""Real clients of one stream: Chromium's EventSource, npm `eventsource` and httpx2. All of them tell in the same form what they got."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from playwright.sync_api import Page

from local.process import Child
from realtime.tokens import issue
from tests.browser.place import STREAM, Place, until
from tests.helpers import SECRET

_HERE = Path(__file__).parent

CLOSED = "2"
"""EventSource's readyState when it will not come back; 0: it is about to."""

_SESSION = """async token => (await fetch("/sessions", {method: "POST", headers: {Authorization: `Bearer ${token}`}})).status"""
_LISTEN = """path => {
    const seen = window.seen = [], source = window.source = new EventSource(path)
    for (const type of ["open", "error", "note", "reset", "reconnect"])
        source.addEventListener(type, ({lastEventId, data}) =>
            seen.push({type, at: Date.now() / 1000, id: lastEventId, data: data ?? String(source.readyState)}))
}"""


@dataclass(frozen=True, slots=True)
class Seen:
    """An event of the stream, or `open` and `error` of its connection, whose data is then the readyState. `at`: Unix seconds."""

    type: str
    at: float
    id: str = ""
    data: str = ""

    @property
    def seq(self) -> int:
        return int(json.loads(self.data)["seq"])


class Source(Protocol):
    """Gives all that a client has told so far."""

    def lines(self) -> list[dict[str, Any]]: ...


class Client:
    """What a client got, and whether it was right."""

    def __init__(self, name: str, source: Source) -> None:
        self.name = name
        self._source = source

    def seen(self, *types: str) -> list[Seen]:
        """All of these types, in the order in which they came."""
        return [Seen(**line) for line in self._source.lines() if line["type"] in types]

    def count(self, type: str) -> int:
        return len(self.seen(type))

    def until(self, type: str, count: int, seconds: float = 5.0) -> None:
        """Wait until it has so many of them."""
        until(lambda: self.count(type) >= count, seconds)

    @property
    def connected(self) -> bool:
        """It opens once more than the service has sent it away."""
        return self.count("open") > self.count("reconnect")

    def lost_nothing(self, count: int) -> None:
        """It has every event once, in order, and lost no connection but those that the service ended with `reconnect`."""
        seen = self.seen("note", "reset", "open", "reconnect", "error")  # at one moment: streams go on ending
        kinds = [event.type for event in seen]
        assert [event.seq for event in seen if event.type == "note"] == list(range(1, count + 1)), self.name
        assert "reset" not in kinds, self.name
        assert kinds.count("open") - kinds.count("reconnect") in (0, 1), self.name
        assert CLOSED not in [event.data for event in seen if event.type == "error"], self.name


class InPage:
    """The EventSource of a page."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def lines(self) -> list[dict[str, Any]]:
        return list(self._page.evaluate("seen"))


class Printed:
    """A program that prints a line of JSON for each."""

    def __init__(self, child: Child) -> None:
        self._child = child

    def lines(self) -> list[dict[str, Any]]:
        assert self._child.popen.poll() is None, self._child.last_words()
        return [json.loads(line) for line in self._child.log.read_text().splitlines(keepends=True) if line.endswith("\n")]


def chromium(page: Page, place: Place, session_seconds: int | None = 600) -> Client:
    """A page with a native EventSource. It asks for a session that ends so soon; None: it has one."""
    page.goto(place.url)
    if session_seconds:
        status = page.evaluate(_SESSION, issue(SECRET, "ann", session_seconds))
        assert status == 204, status
    page.evaluate(_LISTEN, STREAM)
    return Client("chromium", InPage(page))


def node(place: Place) -> Client:
    """npm `eventsource` in Node.js."""
    return Client("eventsource", Printed(place.program("eventsource", ["node", _HERE / "eventsource.mjs"])))


def python(place: Place) -> Client:
    """httpx2's own reader of event streams."""
    return Client("httpx2", Printed(place.program("httpx2", [sys.executable, "-m", "tests.browser.httpx2_client"])))
