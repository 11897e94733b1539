"""Two hubs over one log under load, while their parts die: every reader gets every event once and in order."""

import asyncio
import json
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from realtime.hub import ROTATE_SECONDS
from tests.endpoint import Endpoint
from tests.hubs import SOAK, Fleet, Reader, all_once_in_order, fleet, publish, readiness, settle, until_bus
from tests.valkey import Valkey, valkey

READERS = 200
TOPICS = [f"alerts/{name}" for name in "abcde"]
PER_SECOND = 50
SECONDS = 60 if SOAK else 10

Trouble = Callable[[], Awaitable[None]]

pytestmark = pytest.mark.soak


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Valkey]:
    with valkey(tmp_path) as server:
        yield server


@pytest.fixture
def hubs(endpoint: Endpoint, tmp_path: Path, broker: Valkey) -> Iterator[Fleet]:
    """Two, which follow Valkey."""
    with fleet(endpoint, tmp_path, 2, broker) as made:
        yield made


def under_load(hubs: Fleet, trouble: Trouble) -> list[Reader]:
    """Make trouble again and again while 50 events a second go to 200 readers, ten in each of five topics; check that nobody noticed."""
    each, began = SECONDS * PER_SECOND // len(TOPICS), time.monotonic()

    async def run() -> list[Reader]:
        readers = [Reader(hubs, f"/topics/{TOPICS[number % len(TOPICS)]}/stream") for number in range(READERS)]
        reading = [asyncio.ensure_future(reader.run()) for reader in readers]
        publishing = asyncio.gather(*(publish(hubs, each, PER_SECOND / len(TOPICS), topic=topic) for topic in TOPICS))
        while not publishing.done():
            await asyncio.sleep(1)
            if not publishing.done():
                await trouble()
        await publishing
        a_second = each * len(TOPICS) / (time.monotonic() - began)
        print(json.dumps({"readers": READERS, "events": each * len(TOPICS), "a_second": round(a_second, 1)}))
        await settle(readers, each)
        for task in reading:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*reading)
        return readers

    readers = asyncio.run(asyncio.wait_for(run(), 10 * SECONDS))
    all_once_in_order(readers, each)
    return readers


def told(**facts: Any) -> None:
    print(json.dumps(facts))


async def in_thread(work: Callable[..., Any], *arguments: Any) -> Any:
    return await asyncio.to_thread(work, *arguments)


async def until_ready(hubs: Fleet, status: int) -> float:
    """Seconds until every hub says so."""
    began = time.monotonic()
    while not all([(await in_thread(readiness, port))[0] == status for port in hubs.targets]):
        assert time.monotonic() - began < 30, f"/readyz did not become {status}"
        await asyncio.sleep(0.05)
    return time.monotonic() - began


def test_valkey_is_killed_and_restarted(hubs: Fleet, broker: Valkey) -> None:
    """Whatever it loses is read from the log; /readyz is red while it is away, and green when it is back."""
    red, green = list[float](), list[float]()

    async def trouble() -> None:
        broker.kill()
        red.append(await until_ready(hubs, 503))
        await in_thread(broker.start)
        green.append(await until_ready(hubs, 200))

    under_load(hubs, trouble)
    told(kills=len(red), red_after=round(max(red), 2), green_after=round(max(green), 2))


def test_hub_is_killed(hubs: Fleet) -> None:
    """Its readers go on at the other one, from their cursors; what it had accepted is in the log."""
    kills = list[int]()

    async def trouble() -> None:
        port = hubs.targets[0]
        hubs.signal(port, signal.SIGKILL)
        await in_thread(hubs.wait, port, 30)
        kills.append(port)
        await asyncio.sleep(0.5)
        await in_thread(hubs.start)

    readers = under_load(hubs, trouble)
    told(kills=len(kills), connections=sum(reader.connections for reader in readers))


def test_bus_is_switched_both_ways(hubs: Fleet, broker: Valkey) -> None:
    """From Valkey to the log and back: no event is lost between the two, and nobody is cut off."""
    switches = list[str]()

    async def trouble() -> None:
        following, kind = (None, "log") if len(switches) % 2 == 0 else (broker, "valkey")
        await in_thread(hubs.name_bus, following)
        await in_thread(until_bus, hubs, kind)
        switches.append(kind)

    began = time.monotonic()
    readers = under_load(hubs, trouble)
    rotations = (time.monotonic() - began) / min(ROTATE_SECONDS)
    assert max(reader.connections for reader in readers) <= 1 + rotations
    told(switches=len(switches))


def test_rolling_restart(hubs: Fleet) -> None:
    """As ECS does it: a new task first, then no more connections to the old one, then SIGTERM. Nobody waits longer than 3 s (in full)."""
    restarts = list[float]()

    async def trouble() -> None:
        old = hubs.targets[0]
        await in_thread(hubs.start)
        began = time.monotonic()
        hubs.signal(old, signal.SIGTERM)
        await in_thread(hubs.wait, old, 30)
        restarts.append(time.monotonic() - began)

    readers = under_load(hubs, trouble)
    longest = max(reader.longest_away for reader in readers)
    told(restarts=len(restarts), slowest_end=round(max(restarts), 2), longest_away=round(longest, 2))
    assert longest < (3 if SOAK else 10)  # the short form runs beside other tests
