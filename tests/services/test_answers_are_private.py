"""One owner's answer, asked for by another caller on every transport: refused, each time in the words of the one table."""

import time
from collections.abc import Iterator

import httpx2
import pytest
from starlette.testclient import TestClient

from realtime import answers
from realtime.bus_log import LogBus
from realtime.event import NewEvent
from realtime.features import Features
from realtime.hub import Hub
from realtime.memory import MemoryCounters, MemoryTickets
from realtime.ngram import Ngram
from realtime.publish import Publisher
from realtime.rate import RateLimit
from realtime.runtime import Runtime
from realtime.sessions import COOKIE, Sessions
from realtime.tickets import Tickets
from realtime.tokens import SecretVerifier, issue
from services.http.app import create_app
from services.sse import bounded
from tests.helpers import SECRET, Clock
from tests.services.sse.conftest import Served, bearer, running
from tests.world import World

TOPIC = "answers/ann/a1"
STREAM = f"/topics/{TOPIC}/stream?after=0-0"


@pytest.fixture
def world(features: Features) -> World:
    """A WebSocket server over a log with an answer of Ann's."""
    made = World(features, Clock(time.time()))
    started = answers.begin(made.log, features.topic(TOPIC), "says", "q")
    assert started
    made.log.append(features.topic(TOPIC), [NewEvent.of("text", {"first": 0, "pieces": ["private"]})])
    return made


@pytest.fixture
def runtime(world: World) -> Runtime:
    """The rest of the core over the same log."""
    publisher = Publisher(world.features, world.log, RateLimit(MemoryCounters()))
    sessions, verifier = Sessions(lambda: SECRET, []), SecretVerifier(lambda: SECRET)
    return Runtime(world.features, world.log, publisher, Tickets(MemoryTickets()), sessions, verifier)


@pytest.fixture
def door(runtime: Runtime) -> TestClient:
    return TestClient(create_app(runtime))


@pytest.fixture
def served(runtime: Runtime) -> Iterator[Served]:
    hub = Hub(runtime.log, answers.last)
    with running(bounded.create_app(runtime, hub, LogBus(hub, runtime.log), Ngram(0)), hub) as served:
        yield served


def test_by_polling(door: TestClient) -> None:
    """403 for Bob and 401 for a stranger; Ann has her text."""
    path = f"/topics/{TOPIC}?after=0-0"
    assert (door.get(path, headers=bearer("bob")).status_code, door.get(path).status_code) == (403, 401)
    assert "private" in door.get(path, headers=bearer("ann")).text


def test_by_sse(served: Served, runtime: Runtime) -> None:
    """By token, by a ticket for a topic of his own, and by cookie; also among other topics."""
    mine = runtime.tickets.issue("sse", ("answers/bob/b1",), runtime.verifier.verify(bearer("bob")["Authorization"][7:]))
    cookie = {"Cookie": f"{COOKIE}={issue(SECRET, 'bob', 600, 'realtime-session')}"}
    tries = [
        (STREAM, bearer("bob")),
        (f"{STREAM}&ticket={mine}", {}),
        (STREAM, cookie),
        (f"/stream?topic=feed&topic={TOPIC}", bearer("bob")),
    ]
    found = [httpx2.get(served.url + path, headers=headers, timeout=5) for path, headers in tries]
    assert [(answer.status_code, answer.json()["code"]) for answer in found] == [(403, "forbidden")] * 4


def test_by_websocket(world: World) -> None:
    """His subscription is refused; Ann's brings her text."""
    world.connect("bob")
    world.connect("ann")
    assert world.subscribe("bob", TOPIC)["code"] == "forbidden"
    world.subscribe("ann", TOPIC, after="0-0")
    assert "private" in str(world.wire.sent["ann"])
    assert world.wire.sent["bob"] == []


def test_by_ticket(door: TestClient) -> None:
    """Neither kind of ticket is made for it."""
    for use in ("sse", "websocket"):
        answer = door.post("/tickets", json={"use": use, "topics": [TOPIC]}, headers=bearer("bob"))
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_by_writing_into_it(door: TestClient, served: Served) -> None:
    """Neither Bob nor Ann publishes into an answer, and Bob's DELETE finds none of that id."""
    for sub in ("bob", "ann"):
        answer = door.post(f"/topics/{TOPIC}/events", json={"type": "text", "data": {}}, headers=bearer(sub))
        assert answer.status_code == 403
    assert httpx2.delete(f"{served.url}/answers/a1", headers=bearer("bob"), timeout=5).status_code == 404
