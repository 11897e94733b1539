"""A day of WebSocket connections on a virtual clock: lost disconnects, rotations, idle cuts, dead networks, lost and doubled frames."""

import json
import os
import time
from pathlib import Path
from random import Random

import pytest

from realtime.connections import ROW_SECONDS
from realtime.memory import MemoryConnections
from tests.api_gateway.clock import VirtualClock
from tests.api_gateway.connection import Connection
from tests.api_gateway.faults import Faults
from tests.client import NEVER, Client
from tests.cloud import Cloud
from tests.helpers import event
from tests.world import websocket_features

DAY = 86_400
FULL = os.environ.get("SOAK") == "full"
ROOMS = 10


class Person:
    """A client at a browser: connects, is cut off in every way there is, comes back."""

    def __init__(self, cloud: Cloud, clock: VirtualClock, random: Random, name: str, topic: str, *, pings: bool) -> None:
        self.client = Client(topic, random, pings=pings)
        self.connection: Connection | None = None
        self.connections = 0
        self._cloud, self._clock, self._random, self._name = cloud, clock, random, name
        self._alarm = clock.after(random.uniform(0, 60), self.wake)

    def wake(self) -> None:
        if not self.client.connected:
            self._dial()
        elif self.client.tick(self._clock()):
            self.leave()
            self._dial()
        self._flush()

    def leave(self, *, network_lost: bool = False) -> None:
        if self.connection:
            self.connection.vanish() if network_lost else self.connection.close(1001)
            self.connection = None
            self.client.closed(self._clock())
            self._flush()

    def publish(self, id: str) -> None:
        self.client.publish(id, id, self._clock())
        self._flush()

    def _dial(self) -> None:
        self.connections += 1
        ends = {"on_frame": self._received, "on_close": lambda *_: self._closed()}
        self.connection = self._cloud.dial(self._name, self.client.topic, **ends)
        self.client.opened(self._clock())

    def _received(self, text: str) -> None:
        self.client.received(text, self._clock())
        self._flush()

    def _closed(self) -> None:
        self.connection = None
        self.client.closed(self._clock())
        self._flush()

    def _flush(self) -> None:
        while self.connection and self.client.outbox:
            self.connection.send(self.client.outbox.pop(0))
        self._alarm.cancel()
        if self.client.wake_at < NEVER:
            self._alarm = self._clock.at(self.client.wake_at, self.wake)


def every(clock: VirtualClock, seconds: float, action: object, until: float) -> None:
    """Do it again and again."""

    def again() -> None:
        action()  # type: ignore[operator]
        if clock() + seconds < until:
            clock.after(seconds, again)

    clock.after(seconds, again)


def assert_no_stale_row(cloud: Cloud, clock: VirtualClock, people: list[Person]) -> None:
    """A push finds and clears whoever is gone, whether or not he said so; and TTL, whoever was never pushed to."""
    for room in range(ROOMS):
        cloud.log.append(cloud.features.topic(f"chat/{room}"), [event()])
    cloud.pump()
    subscribed = {name for shard in cloud.rows.subscribers.values() for name, row in shard.items() if row.expires > clock()}
    assert {name for name in subscribed if cloud.api.get_connection(name)[0] == 410} == set()
    assert len(subscribed) <= len(people)
    for person in people:
        person.leave()
    assert cloud.api.open_connections == 0
    expire(cloud.rows, clock() + ROW_SECONDS)
    assert (cloud.rows.connections, cloud.rows.subscribers) == ({}, {})


def expire(rows: MemoryConnections, now: float) -> None:
    """What DynamoDB does with `expires`, sooner or later."""
    rows.connections = {name: row for name, row in rows.connections.items() if row.expires > now}
    shards = {key: {name: row for name, row in shard.items() if row.expires > now} for key, shard in rows.subscribers.items()}
    rows.subscribers = {key: shard for key, shard in shards.items() if shard}


@pytest.mark.soak
def test_a_day_of_connections_loses_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    """Every client ends with every event of its room, each once and in order; and no row outlives its connection."""
    count, random, clock, started = 1000 if FULL else 100, Random(4), VirtualClock(), time.perf_counter()
    faults = Faults(latency=lambda: random.uniform(0.005, 0.2), duplicate=0.02, reorder=0.05, lose_disconnect=0.5)
    cloud = Cloud(websocket_features(tmp_path), clock, random, faults)
    people = [Person(cloud, clock, random, f"p{n}", f"chat/{n % ROOMS}", pings=n % 10 != 9) for n in range(count)]
    end, published = clock() + DAY, dict.fromkeys(range(ROOMS), 0)

    def from_a_person() -> None:
        person = random.choice(people)
        published[int(person.client.topic[5:])] += 1
        person.publish(f"{person.client.topic}-{published[int(person.client.topic[5:])]}")

    def from_a_backend() -> None:
        room = random.randrange(ROOMS)
        published[room] += 1
        cloud.log.append(cloud.features.topic(f"chat/{room}"), [event(f"b{published[room]}")])
        clock.after(0.25, cloud.pump)

    every(clock, 120, from_a_person, end)
    every(clock, 240, from_a_backend, end)
    every(clock, 600, lambda: random.choice(people).leave(network_lost=True), end)
    every(clock, 900, lambda: random.choice(people).leave(), end)
    clock.run_until(end + 600)

    for person in people:
        assert [e["seq"] for e in person.client.got] == list(range(1, published[int(person.client.topic[5:])] + 1)), person.client.topic
        assert person.client.resets == 0
    assert cloud.api.failures == []
    rotated = sum(person.connections for person in people)
    assert rotated > 10 * count

    assert_no_stale_row(cloud, clock, people)
    figures = {
        "connections": count,
        "events": sum(published.values()),
        "opened": rotated,
        "seconds": round(time.perf_counter() - started, 1),
    }
    print(json.dumps(figures))
