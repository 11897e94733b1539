"""The deployed SSE pattern on the local endpoint: real task definition, real relay, real Valkey, hubs as their containers would run.

The tests of the module share one deployment, and run in the order in which they stand.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest

from local.hubs import targets
from realtime.sessions import COOKIE
from realtime.tokens import issue
from tests.hubs import readiness
from tests.local.test_end_to_end import Local, make, running

LOUD = '\n[features.loud]\npattern = "sse"\naccess = { read = "user", publish = "service" }\n'
STREAM = "/topics/loud/stream"
SECONDS = 40


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    made = make(tmp_path_factory.mktemp("sse"))
    made.features.write_text(made.features.read_text() + LOUD)
    with running(made, bus="valkey") as local:
        yield local


class Deployed:
    """The page's origin, as a browser sees it, and a backend that publishes through the front door's Lambda."""

    def __init__(self, local: Local) -> None:
        self._secret = local.secret
        self.page = httpx2.Client(base_url=local.places.page, timeout=httpx2.Timeout(SECONDS))
        guest = self.page.post("/guests", json={"name": "Ann"}).json()["token"]
        answer = self.page.post("/sessions", headers={"Authorization": f"Bearer {guest}"})
        self._cookie = {"Cookie": f"{COOKIE}={answer.cookies[COOKIE]}"}  # httpx2 sends no Secure cookie over http, browsers do to localhost

    def publish(self, data: object) -> str:
        headers = {"Authorization": f"Bearer {issue(self._secret, 'job', 600, role='service')}"}
        answer = self.page.post("/topics/loud/events", json={"type": "note", "data": data}, headers=headers)
        assert answer.status_code == 201, answer.text
        return f"{answer.json()['epoch']}-{answer.json()['seq']}"

    @contextmanager
    def stream(self, after: str = "") -> Iterator["Lines"]:
        with self.page.stream("GET", STREAM, headers=self._cookie | {"Last-Event-ID": after}) as answer:
            assert answer.status_code == 200
            yield Lines(answer.iter_lines())


class Lines:
    """What comes over a stream."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self.id = ""

    def next(self) -> Any:
        """The data of the next event; "reconnect" where the server closes."""
        kind = ""
        for line in self._lines:
            field, _, value = line.partition(": ")
            kind = value if field == "event" else kind
            self.id = value if field == "id" else self.id
            if field == "data":
                return json.loads(value)["data"] if kind == "note" else kind
        return "end"


@pytest.fixture(scope="module")
def deployed(local: Local) -> Deployed:
    return Deployed(local)


def until_bus(local: Local, kind: str, hubs: int) -> None:
    deadline = time.monotonic() + SECONDS
    while [readiness(port) for port in targets(local.places.folder)] != [(200, kind)] * hubs:
        assert time.monotonic() < deadline, [readiness(port) for port in targets(local.places.folder)]
        time.sleep(0.1)


def test_published_event_reaches_a_stream_by_the_relay(local: Local, deployed: Deployed) -> None:
    """Lambda -> log -> its stream -> relay -> Valkey -> one of two hubs -> the page's origin, on a cookie session."""
    until_bus(local, "valkey", 2)
    with deployed.stream() as stream:
        deployed.publish("first")
        assert stream.next() == "first"


def test_taking_pubsub_away_loses_nothing(local: Local, deployed: Deployed) -> None:
    """Running hubs go back to the log; one of them ends, and its readers go on at the other."""
    with deployed.stream() as stream:
        cursor = deployed.publish(0)
        assert "what changed was deployed" in local.up(bus="log")
        deployed.publish(1)
        until_bus(local, "log", 1)
        deployed.publish(2)
        seen = [stream.next() for _ in range(1)]
    with deployed.stream(after=cursor) as stream:
        assert seen == [0]
        assert [stream.next(), stream.next()] == [1, 2]


def test_new_revision_is_rolled_out(local: Local, deployed: Deployed) -> None:
    """A changed features file is another image: a new hub first, then the old one sends its readers away, who lose nothing."""
    before = targets(local.places.folder)
    with deployed.stream() as stream:
        deployed.publish("before")
        assert stream.next() == "before"
        local.features.write_text(local.features.read_text().replace(LOUD, LOUD + 'latency = "2s"\n'))
        local.up()
        assert stream.next() == "reconnect"
        cursor = stream.id
    deployed.publish("after")
    until_bus(local, "log", 1)
    assert targets(local.places.folder) != before
    with deployed.stream(after=cursor) as stream:
        assert stream.next() == "after"


def test_stream_needs_a_session(deployed: Deployed) -> None:
    """Without one it is refused before it begins."""
    answer = deployed.page.get(STREAM)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
