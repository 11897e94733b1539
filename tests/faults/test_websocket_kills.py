"""50 clients on one topic in real time, 20 of them publishing at once, each killed and resumed at random."""

import json
import os
import queue
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest

from realtime.memory import MemoryConnections
from tests.api_gateway.clock import RealClock
from tests.api_gateway.connection import Connection
from tests.api_gateway.faults import Faults
from tests.api_gateway.handshake import Refused
from tests.client import Client
from tests.cloud import Cloud, Streaming
from tests.world import websocket_features

CLIENTS, PUBLISHERS = 50, 20
EACH = 50 if os.environ.get("SOAK") == "full" else 20
SECONDS = 250.0  # far more than it takes: two busy cores need half a minute at full length
TOPIC = "chat/lobby"


def slowly(kind: type[Any]) -> Any:
    """The class with up to 3 ms before each of its public methods, so that handlers overlap in every way."""

    class Slow(kind):  # type: ignore[misc]
        def __getattribute__(self, name: str) -> Any:
            if not name.startswith("_") and callable(getattr(kind, name, None)):
                time.sleep(_random.uniform(0, 0.003))
            return super().__getattribute__(name)

    return Slow()


_random = Random(7)


class Person:
    """A client in a thread. What survives a kill is what it kept: its cursor, and what it has not been acknowledged."""

    def __init__(self, cloud: Cloud, number: int) -> None:
        self.client = Client(TOPIC, Random(number))
        self.kills = 0
        self._cloud, self._name, self._random = cloud, f"p{number}", Random(number)
        self._left = [f"{self._name}-{n}" for n in range(EACH)] if number < PUBLISHERS else []

    def run(self, total: int) -> bool:
        """Whether it came to the end in time."""
        deadline = time.time() + SECONDS
        while (len(self.client.got) < total or self._left or not self.client.idle) and time.time() < deadline:
            try:
                self._live(total, time.time() + self._random.uniform(0.1, 0.8))
            except Refused:  # 429: the account's quota
                time.sleep(self._random.uniform(0, 0.5))
        return time.time() < deadline

    def _live(self, total: int, until: float) -> None:
        """One connection, until the client is killed."""
        inbox = queue.Queue[str]()
        connection = self._cloud.dial(self._name, TOPIC, on_frame=inbox.put)
        self.client.opened(time.time())
        while time.time() < until and (len(self.client.got) < total or self._left or not self.client.idle):
            self._turn(connection, inbox)
        self.kills += 1
        connection.vanish() if self._random.random() < 0.5 else connection.close(1001)
        self.client.closed(time.time())

    def _turn(self, connection: Connection, inbox: queue.Queue[str]) -> None:
        now = time.time()
        if self._left and not self.client.publishing:
            self.client.publish(self._left.pop(0), self._name, now)
        self.client.tick(now)
        while self.client.outbox:
            connection.send(self.client.outbox.pop(0))
        with suppress(queue.Empty):
            self.client.received(inbox.get(timeout=max(0.001, min(0.1, self.client.wake_at - time.time()))), time.time())


@pytest.mark.soak
def test_killed_clients_end_with_every_event_once_and_in_order(tmp_path: Path) -> None:
    """Whatever overlaps: subscribe and append, push and replay, kill and publish."""
    faults = Faults(lose_disconnect=0.5, duplicate=0.05)
    store, rows = slowly(Streaming), slowly(MemoryConnections)
    cloud = Cloud(websocket_features(tmp_path), RealClock(), Random(1), faults, store=store, rows=rows, processes=4)
    people, total, started = [Person(cloud, n) for n in range(CLIENTS)], PUBLISHERS * EACH, time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as threads:
        assert all(threads.map(lambda person: person.run(total), people)), "too slow, or something is missing for good"
    ids = sorted(f"p{n}-{k}" for n in range(PUBLISHERS) for k in range(EACH))
    for person in people:
        assert [event["seq"] for event in person.client.got] == list(range(1, total + 1))
    assert sorted(acked for person in people for acked in person.client.acks) == ids
    assert cloud.api.failures == []
    figures = {
        "clients": CLIENTS,
        "events": total,
        "kills": sum(p.kills for p in people),
        "seconds": round(time.perf_counter() - started, 1),
    }
    print(json.dumps(figures))
