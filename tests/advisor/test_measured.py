"""The model against the local deployment: a known load is driven, what really happened is counted, and the model says the same within 10 %.

Requests, messages and units, not time. A load is what was driven (polls, pings, connects, events), each counted as it was made, and
it lasts, for the model, as long as clients take for so much. Only looks at the log go by the clock.
"""

import asyncio
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import httpx2
import pytest

from advisor.load import SECONDS
from advisor.usage import STREAM_SHARE
from advisor.ways import Way
from tests.advisor.counted import Deployment, deployment
from tests.advisor.driven import Driven, Stream, Talker, listen, poller, talk
from tests.hubs import Alone, Reader, all_connected

SHARE, SLACK = 0.10, 2.0
"""By how much model and measurement may differ: a tenth of what was measured, or two where that is less than twenty."""

EVENTS, EVENT_SECONDS = 8, 2.0
STREAM_SECONDS = 10.0
"""Of a stream on Lambda; it ends up to a second late."""


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with deployment(tmp_path_factory.mktemp("measured")) as made:
        yield made


def same(load: Driven, way: Way, measured: Mapping[str, float], **seen: float) -> None:
    """Item by item, whatever was measured; `seen` was counted by the clients, and is added. Printed side by side."""
    model, counted = load.model(way), dict(measured)
    for item, quantity in seen.items():
        counted[item.replace("_", "-")] = counted.get(item.replace("_", "-"), 0.0) + quantity
    pairs = {item: (round(model.get(item, 0.0), 1), round(quantity, 1)) for item, quantity in sorted(counted.items())}
    print(json.dumps({"way": way, "two_way": load.two_way, "model and measured": pairs}))
    assert not {item: pair for item, pair in pairs.items() if abs(pair[0] - pair[1]) > max(SLACK, SHARE * pair[1])}


POLLING = {
    "one each second poll": ("figures", 10, 20),
    "three a poll": ("figures", 24, 8),
    "twenty a poll": ("figures", 60, 3),
    "only the newest": ("newest", 10, 20),
}


@pytest.mark.parametrize(("topic", "events", "polls"), POLLING.values(), ids=POLLING)
def test_polling(deployed: Deployment, topic: str, events: int, polls: int) -> None:
    """Five readers, and a backend that publishes between their polls."""
    deployed.warm(topic)
    readers, seen = [poller(deployed, topic) for _ in range(5)], [0]
    _ = [next(reader) for reader in readers]
    deployed.begin()
    for number in range(polls):
        for _ in range(events * (number + 1) // polls - events * number // polls):
            deployed.publish(topic)
        seen = [next(reader) for reader in readers]
    assert set(seen) == {events}
    feature = deployed.features[topic]
    same(Driven.through(feature, seconds=polls * feature.interval_seconds, appends=events), "polling", deployed.measured())


@dataclass
class Watched:
    """What was counted of hubs in `seconds`: those in which they were not waiting for an answer to a look."""

    seconds: float
    reads: float
    measured: dict[str, float]


def test_sse_on_the_service(deployed: Deployment) -> None:
    """Two hubs with five readers each, two topics, an event every 2 s: looks, publishing, and what reaches the readers."""
    topics = ["alerts/a", "alerts/b"]
    with deployed.hubs(2) as ports:
        readers = [Reader(Alone([port]), f"/topics/{topic}/stream") for port in ports for topic in [*topics, *topics, topics[0]]]
        watched = asyncio.run(watch(deployed, readers, topics))
    load = Driven.through(deployed.features["alerts"], seconds=watched.seconds, appends=EVENTS, readers=10, topics=2)
    assert sum(len(reader.seen) - 1 for reader in readers) == pytest.approx(load.deliveries * load.seconds / SECONDS, rel=SHARE)
    same(load, "sse-service", watched.measured | {"dynamodb-reads": watched.reads})


async def watch(deployed: Deployment, readers: Sequence[Reader], topics: Sequence[str]) -> Watched:
    tasks = [asyncio.create_task(reader.run()) for reader in readers]
    await all_connected(list(readers))
    for topic in topics:
        await asyncio.to_thread(deployed.publish, topic)
    await asyncio.sleep(EVENT_SECONDS)
    deployed.begin()
    began = time.monotonic()
    for number in range(EVENTS):
        await asyncio.to_thread(deployed.publish, topics[number % 2])
        await asyncio.sleep(EVENT_SECONDS)
    reads, waited = deployed.looked()
    seconds = time.monotonic() - began - waited / 2  # of each of two hubs
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return Watched(seconds, reads, deployed.measured())


def test_sse_on_lambda(deployed: Deployment) -> None:
    """Six readers, each of two streams to their ends and of half a third, which is paid for to its end: streams, looks, publishing."""
    with deployed.streams(STREAM_SECONDS) as url:
        deployed.warm("progress")
        readers = [Stream(f"{url}/topics/progress/stream") for _ in range(6)]
        events = asyncio.run(follow(deployed, readers))
        deployed.settle()
    seconds, streams = sum(reader.seconds for reader in readers) / 6, sum(reader.connects for reader in readers)
    feature = deployed.features["progress"]
    load = Driven.through(feature, seconds=seconds, appends=events, readers=6, connects=6, stream=STREAM_SECONDS)
    same(load, "sse-lambda", deployed.measured(), rest_api_requests=streams, lambda_requests=streams)


async def follow(deployed: Deployment, readers: Sequence[Stream]) -> int:
    """With an event every 2 s; how many there were."""
    events, seconds = 0, (60.0, 60.0, STREAM_SHARE * STREAM_SECONDS / 2)
    async with httpx2.AsyncClient(timeout=60) as client:
        reading = asyncio.gather(*(reader.read(client, *seconds) for reader in readers))
        while not reading.done():
            await asyncio.to_thread(deployed.publish, "progress")
            events += 1
            await asyncio.wait([reading], timeout=EVENT_SECONDS)
        await reading
    return events


@pytest.mark.parametrize(("topic", "calls"), [("chat/lobby", 2), ("match", 7)], ids=["one shard", "five shards"])
def test_websocket(deployed: Deployment, topic: str, calls: int) -> None:
    """A backend's events, 20 s apart, so that each client pings twice after it and after its connect: from connect to disconnect."""
    deployed.warm(topic, calls)
    talkers = asyncio.run(listen(deployed, topic, events=10, pings=2))
    feature = deployed.features[topic.partition("/")[0]]
    spoken(deployed, Driven.through(feature, seconds=20.0 * 11, appends=10, connects=5, two_way=False), talkers)


def test_websocket_two_way(deployed: Deployment) -> None:
    """Clients publish, one every 2 s: so none pings."""
    deployed.warm("chat/den", 2)
    talkers = asyncio.run(talk(deployed, "chat/den", events=20))
    spoken(deployed, Driven.through(deployed.features["chat"], seconds=2.0 * 20, appends=20, connects=5), talkers)


def spoken(deployed: Deployment, load: Driven, talkers: Sequence[Talker]) -> None:
    """What was posted to connections is what the model delivers, and all else is the same too."""
    deployed.settle()
    measured = deployed.measured()
    assert measured.pop("posts") == pytest.approx(load.deliveries * load.seconds / SECONDS)
    messages, calls = sum(talker.messages for talker in talkers), sum(talker.calls for talker in talkers)
    same(load, "websocket", measured, websocket_messages=messages, lambda_requests=calls)
