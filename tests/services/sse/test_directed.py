"""Streams of a feature that is directed down: new ones are refused, open ones are sent away."""

import json
import time

import httpx2
import pytest

from realtime.bus_log import LogBus
from realtime.direct import Direction
from realtime.hub import Hub
from realtime.memory import MemoryDirections
from realtime.runtime import Runtime
from services.sse import bounded
from services.sse import directed as module
from services.sse.app import create_app
from tests.services.sse.conftest import FIRST, Client, Served, bearer, principal, running

ALERTS = "/topics/alerts/stream"
ROOM = "/topics/chat/lobby/stream"
BOTH = "/stream?topic=alerts&topic=chat/lobby"


def down_to(transport: str, seconds: float = 600) -> Direction:
    return Direction(transport, 10, time.time() + seconds)  # type: ignore[arg-type]


@pytest.mark.parametrize("target", [ROOM, BOTH])
def test_new_stream_is_refused(served: Served, directed: MemoryDirections, target: str) -> None:
    """With all that a client needs to go on: for how long, how often to poll, and which feature it is."""
    directed.put("chat", down_to("polling", 100))
    answer = httpx2.get(served.url + target, headers=bearer(), timeout=5)
    assert answer.status_code == 503
    assert 99 <= int(answer.headers["retry-after"]) <= 151
    assert {"code": "unavailable", "poll_after": 10, "features": ["chat"]}.items() <= json.loads(answer.text).items()


def test_long_direction_lets_clients_look_again(served: Served, directed: MemoryDirections) -> None:
    """After 300 s at most, which is as long as clients wait: it may be taken back."""
    directed.put("chat", down_to("polling", 86_400))
    for _ in range(10):
        assert int(httpx2.get(served.url + ROOM, headers=bearer(), timeout=5).headers["retry-after"]) <= 300


def test_refused_stream_spends_no_ticket(served: Served, runtime: Runtime, directed: MemoryDirections) -> None:
    """Refusing is to cost as little as it can."""
    directed.put("chat", down_to("polling"))
    ticket = runtime.tickets.issue("sse", ("chat/lobby",), principal())
    assert httpx2.get(f"{served.url}{ROOM}?ticket={ticket}", timeout=5).status_code == 503
    assert runtime.tickets.redeem(ticket, "sse").topics == ("chat/lobby",)


def test_what_is_not_directed_is_served(served: Served, directed: MemoryDirections) -> None:
    """Other features; one that is directed to streams; one that is not `fallback`, whatever stands in the table."""
    directed.put("chat", down_to("sse"))
    directed.put("alerts", down_to("polling"))
    for target in (ALERTS, ROOM, BOTH):
        Client(served.port, target, bearer()).until(FIRST)


def test_open_streams_are_sent_away(runtime: Runtime, directed: MemoryDirections, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the feature, each with a time of its own to come back; those of others stay."""
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(module, "SPREAD_SECONDS", 0.2)
    directed.put("chat", down_to("polling"))
    hub = Hub(runtime.log)
    unaware = Runtime(runtime.features, runtime.log, runtime.publisher, runtime.tickets, runtime.sessions, runtime.verifier)
    app = create_app(unaware, hub)
    with running(app, hub) as served:
        gone, stays = [Client(served.port, target, bearer()) for target in (ROOM, BOTH)], Client(served.port, ALERTS, bearer())
        for client in (*gone, stays):
            client.until(b"retry: ")
        served.call(module.Usher(hub, runtime.directions).look)
        for client in gone:
            assert b"event: reconnect\n" in client.until(b"0\r\n\r\n")
        assert served.call(lambda: hub.readers) == 1


def test_service_looks_by_itself(runtime: Runtime, directed: MemoryDirections, monkeypatch: pytest.MonkeyPatch) -> None:
    """Again and again, as long as it runs; here the direction comes once the stream is open."""
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(module, "SPREAD_SECONDS", 0.1)
    monkeypatch.setattr("realtime.direct.KNOWN_SECONDS", 0.1)
    hub = Hub(runtime.log)
    with running(create_app(runtime, hub), hub) as served:
        client = Client(served.port, ROOM, bearer())
        client.until(b"retry: ")
        directed.put("chat", down_to("polling"))
        assert b"event: reconnect\n" in client.until(b"0\r\n\r\n")
        assert httpx2.get(served.url + ROOM, headers=bearer(), timeout=5).status_code == 503


def test_bounded_streams_are_refused_too(runtime: Runtime, directed: MemoryDirections) -> None:
    """On Lambda by the same code."""
    directed.put("answers", down_to("polling"))
    hub = Hub(runtime.log)
    with running(bounded.create_app(runtime, hub, LogBus(hub, runtime.log)), hub) as served:
        answer = httpx2.get(f"{served.url}/topics/answers/ann/1/stream", headers=bearer(), timeout=5)
    assert (answer.status_code, json.loads(answer.text)["features"]) == (503, ["answers"])
