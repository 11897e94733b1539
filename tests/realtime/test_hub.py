"""The hub: every event once and in order, whoever joins when, whatever the bus loses."""

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from realtime.cursor import START, Cursor
from realtime.errors import Code, RealtimeError
from realtime.event import Event
from realtime.features import Topic
from realtime.hub import KEPT_EVENTS, Hub
from realtime.log import Log, Page
from realtime.memory import MemoryStore
from realtime.sse import HEARTBEAT
from tests.helpers import event, topic

NEWS, ALERTS, PRICE = topic("news"), topic("alerts"), topic("price", keep="latest")


class Stream:
    """What a client would see: the events of the stream, and the last id."""

    def __init__(self) -> None:
        self.raw = b""
        self.open = True
        self.room = 1_000_000
        self.drains = 0
        self.slow: Callable[[], Awaitable[None]] | None = None

    def write(self, chunk: bytes) -> bool:
        if not self.open or self.room < len(chunk):
            return False
        self.room -= len(chunk)
        self.raw += chunk
        return True

    def end(self, chunk: bytes = b"") -> None:
        self.raw += chunk
        self.open = False

    async def drained(self) -> bool:
        """Room again, where the client reads at all."""
        await asyncio.sleep(0)
        self.room += self.drains
        return self.open and self.drains > 0

    @property
    def frames(self) -> list[dict[str, str]]:
        blocks = [block for block in self.raw.decode().split("\n\n") if block and not block.startswith(":")]
        return [dict(line.split(": ", 1) for line in block.split("\n")) for block in blocks]

    @property
    def data(self) -> list[Any]:
        return [json.loads(frame["data"])["data"] for frame in self.frames if frame.get("event") == "note"]

    @property
    def kinds(self) -> list[str]:
        return [frame["event"] for frame in self.frames]

    @property
    def last_id(self) -> str:
        return [frame["id"] for frame in self.frames if "id" in frame][-1]


class World:
    """A log, a hub, and a bus that tells the hub what it is told to tell."""

    def __init__(self) -> None:
        self.log = Log(MemoryStore())
        self.hub = Hub(self.log)
        self.reads = 0
        read = self.log.read

        def counted(*place: Any, **how: Any) -> Page:
            self.reads += 1
            return read(*place, **how)

        self.log.read = counted  # type: ignore[method-assign]

    def append(self, *data: object, to: Topic = NEWS, heard: bool = True) -> tuple[Event, ...]:
        made = self.log.append(to, [event(each) for each in data])
        if heard:
            self.hub.hear(to.name, made)
        return made

    async def reader(self, *topics: Topic, after: Cursor | None = None, recent: int = 0) -> Stream:
        reader = Stream()
        topics = topics or (NEWS,)
        await self.hub.stream(reader, topics, await self.hub.begin(topics, [after] * len(topics), recent))
        return reader

    async def quiet(self) -> None:
        """Wait until the hub reads no log in the background."""
        while repairs := [feed.repair for feed in self.hub._feeds.values() if feed.repair]:
            await asyncio.wait(repairs)


def in_loop(test: Callable[[World], Awaitable[None]]) -> Callable[[], None]:
    """Run the test in an event loop of its own, for at most 30 s."""

    def run() -> None:
        async def limited() -> None:
            await asyncio.wait_for(test(World()), 30)

        asyncio.run(limited())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@in_loop
async def test_live_readers_get_the_same_bytes(world: World) -> None:
    """Encoded once, with the cursor as id and the one before as prev."""
    readers = [await world.reader() for _ in range(3)]
    (made,) = world.append("a")
    assert {reader.raw for reader in readers} == {readers[0].raw}
    (frame,) = readers[0].frames
    assert (frame["id"], frame["event"], json.loads(frame["data"])["prev"]) == (str(made.cursor), "note", f"{made.epoch}-0")


@in_loop
async def test_reader_without_cursor_begins_at_the_end(world: World) -> None:
    """What was before is not sent; where only the newest is kept, that is."""
    world.append("old")
    world.append(1, 2, to=PRICE)
    assert (await world.reader()).raw == b""
    assert (await world.reader(PRICE)).data == [2]


@pytest.mark.parametrize(("recent", "seen"), [(1, [6]), (3, [4, 5, 6]), (100, [1, 2, 3, 4, 5, 6])])
def test_reader_can_begin_with_the_newest(recent: int, seen: list[int]) -> None:
    """As many as he asks for, or all there are, from memory or the log; and then what follows."""

    async def test(world: World) -> None:
        world.append(1, 2)
        world.append(3)
        other = await world.reader()
        world.append(4, 5)
        world.append(6)
        readers = [await world.reader(recent=recent), await world.reader(NEWS, ALERTS, recent=recent)]
        world.append(7)
        assert [reader.data for reader in readers] == [[*seen, 7]] * 2
        assert other.data == [4, 5, 6, 7]

    in_loop(test)()


@in_loop
async def test_newest_of_a_topic_with_few_events(world: World) -> None:
    """None at all, or an event that has expired, or the newest alone where only that is kept: no error, and no reset."""
    world.append(1, 2, to=PRICE)
    reader = await world.reader(NEWS, PRICE, recent=5)
    world.append("first")
    assert (reader.data, reader.kinds) == ([2, "first"], ["note", "note"])


@in_loop
async def test_newest_events_in_memory_cost_no_read(world: World) -> None:
    """A busy topic's newest events are there."""
    await world.reader()
    world.append(*range(20))
    world.log.recent = None  # type: ignore[method-assign, assignment] # whoever asks it fails
    assert (await world.reader(recent=20)).data == [*range(20)]
    assert world.reads == 0


@in_loop
async def test_newest_events_are_looked_for_once(world: World) -> None:
    """Visitors who come in the same moment share the read."""
    world.append(*range(20))
    reads, recent = [], world.log.recent

    def counted(*place: Any, **how: Any) -> Page:
        reads.append(place)
        return recent(*place, **how)

    world.log.recent = counted  # type: ignore[method-assign]
    begins = await asyncio.gather(*(world.hub.begin((NEWS,), [None], 5) for _ in range(50)))
    assert {str(begin).partition("-")[2] for (begin,) in begins} == {"15"}
    assert len(reads) == 1


@in_loop
async def test_nothing_is_missed_between_begin_and_stream(world: World) -> None:
    """The position is settled when the client is told that his stream is open."""
    world.append("old")
    begin = await world.hub.begin((NEWS,), [None])
    world.append("meanwhile", heard=False)
    reader = Stream()
    await world.hub.stream(reader, (NEWS,), begin)
    assert reader.data == ["meanwhile"]


@in_loop
async def test_reader_with_cursor_gets_what_he_missed(world: World) -> None:
    """From the log, over many pages, and then live."""
    made = [world.append(number)[0] for number in range(450)]
    reader = await world.reader(after=made[9].cursor)
    world.append("live")
    assert reader.data == [*range(10, 450), "live"]


@pytest.mark.parametrize("topics", [(NEWS,), (NEWS, ALERTS)])
@pytest.mark.parametrize("events", [150, 400], ids=["memory", "log"])
def test_reader_who_catches_up_is_waited_for(topics: tuple[Topic, ...], events: int) -> None:
    """He missed much more than may wait for him at once: he gets all of it on one connection."""

    async def test(world: World) -> None:
        await world.reader(*topics)
        made = [world.append(number, to=to)[0] for number in range(events) for to in topics]
        reader = Stream()
        reader.room = reader.drains = 1_000
        assert await world.hub.stream(reader, topics, [event.cursor for event in made[: len(topics)]])
        assert sorted(reader.data) == sorted([*range(1, events)] * len(topics))

    in_loop(test)()


@in_loop
async def test_reader_who_catches_up_and_reads_nothing_is_ended(world: World) -> None:
    """His connection is closed when the time for draining is over."""
    start = [world.append(number)[0] for number in range(50)]
    reader = Stream()
    reader.room = 1_000
    assert not await world.hub.stream(reader, (NEWS,), [start[0].cursor])
    assert (reader.open, world.hub.readers) == (False, 0)


@in_loop
async def test_short_absence_is_served_from_memory(world: World) -> None:
    """A rotation costs no read of the log."""
    first = await world.reader()
    made = [world.append(number)[0] for number in range(KEPT_EVENTS)]
    before = world.reads
    back = await world.reader(after=made[0].cursor)
    assert back.data == first.data[1:]
    assert world.reads == before


@in_loop
async def test_readers_who_come_back_together_share_the_reads(world: World) -> None:
    """A thousand after a restart: one page is read once, whoever asks for it."""
    (start,) = world.append(0)
    for number in range(1, 500):
        world.append(number)
    readers = [Stream() for _ in range(200)]
    await asyncio.gather(*(world.hub.stream(reader, (NEWS,), [start.cursor]) for reader in readers))
    assert all(reader.data == list(range(1, 500)) for reader in readers)
    assert world.reads <= 6


@in_loop
async def test_gap_in_the_bus_is_filled_from_the_log(world: World) -> None:
    """One read for all readers; what is old is dropped."""
    readers = [await world.reader() for _ in range(5)]
    (lost,) = world.append("lost", heard=False)
    later = world.append("later")
    await world.quiet()
    world.hub.hear("news", (lost, *later))
    assert all(reader.data == ["lost", "later"] for reader in readers)
    assert world.reads == 1


@in_loop
async def test_comparison_finds_what_the_bus_lost(world: World) -> None:
    """A head that is ahead: read, and deliver."""
    reader = await world.reader()
    world.append("lost", heard=False)
    await world.hub.compare(world.log.tails([NEWS]))
    assert reader.data == ["lost"]
    await world.hub.compare(world.log.tails([NEWS]))
    assert reader.data == ["lost"]


@in_loop
async def test_event_heard_while_a_topic_opens_is_not_left_lying(world: World) -> None:
    """The read of the topic's end may be older than the message: it is read again, without waiting for a comparison."""
    loop, recent = asyncio.get_running_loop(), world.log.recent

    def slow(*place: Any, **how: Any) -> Page:
        page = recent(*place, **how)
        loop.call_soon_threadsafe(world.append, "meanwhile")
        time.sleep(0.05)
        return page

    world.log.recent = slow  # type: ignore[method-assign]
    reader = await world.reader(after=START)
    await world.quiet()
    assert reader.data == ["meanwhile"]


@in_loop
async def test_first_event_of_an_empty_topic_is_delivered(world: World) -> None:
    """Its readers stand before any epoch."""
    reader = await world.reader(after=START)
    world.append("first")
    await asyncio.sleep(0.05)
    assert reader.data == ["first"]


@pytest.mark.parametrize("cursor", [Cursor("ffff", 3), Cursor("0", 7)])
def test_foreign_cursor_is_reset(cursor: Cursor) -> None:
    """State is to be loaded anew; the stream goes on from the end of the log."""

    async def test() -> None:
        world = World()
        world.append("old")
        reader = await world.reader(after=cursor)
        world.append("new")
        assert (reader.kinds, reader.data) == (["reset", "note"], ["new"])

    asyncio.run(test())


@in_loop
async def test_wiped_log_resets_live_readers(world: World) -> None:
    """A new log is a new epoch: they hear of it, and go on with it."""
    world.append("old")
    reader = await world.reader()
    world.log._store = MemoryStore()
    world.log._written.clear()
    world.append("a", "b")
    await world.quiet()
    world.append("c")
    assert (reader.kinds, reader.data) == (["reset", "note"], ["c"])


@in_loop
async def test_several_topics_on_one_stream(world: World) -> None:
    """The id holds a cursor for each, in their order, and brings the reader back to all of them."""
    reader = await world.reader(NEWS, ALERTS)
    world.append("n1")
    world.append("a1", to=ALERTS)
    cursors = [Cursor.parse(part) for part in reader.last_id.split(".")]
    world.append("n2")
    back = Stream()
    await world.hub.stream(back, (NEWS, ALERTS), cursors)
    assert (reader.data, back.data) == (["n1", "a1", "n2"], ["n2"])


@in_loop
async def test_slow_reader_is_ended_and_holds_up_nobody(world: World) -> None:
    """Too much is waiting for him: he is closed, and his cursor brings him back with nothing lost."""
    slow, quick = await world.reader(), await world.reader()
    slow.room = 400
    for number in range(20):
        world.append(number)
    assert (slow.open, quick.data) == (False, list(range(20)))
    back = await world.reader(after=Cursor.parse(slow.last_id))
    assert slow.data + back.data == list(range(20))


@in_loop
async def test_topic_opens_with_its_first_reader_and_closes_with_its_last(world: World) -> None:
    """A bus subscribes to what is read, and nothing else."""
    told: list[set[str]] = []
    world.hub.watchers.add(lambda: told.append(set(world.hub.feeds)))
    readers = [await world.reader(NEWS, ALERTS, after=START), await world.reader(after=START)]
    for reader in (*readers, readers[0]):
        world.hub.leave(reader)
    assert told == [{"news"}, {"news", "alerts"}, {"news"}, set()]
    assert (world.hub.feeds, world.hub.readers) == ({}, 0)


@in_loop
async def test_log_that_does_not_answer_ends_the_stream_with_a_reason(world: World) -> None:
    """The client comes back with the cursor that it has."""
    world.log._store.head = lambda *_, **__: (_ for _ in ()).throw(RealtimeError(Code.UNAVAILABLE, "down"))  # type: ignore[method-assign]
    reader = Stream()
    assert not await world.hub.stream(reader, (NEWS,), [START])
    assert (reader.open, reader.kinds) == (False, ["error"])
    assert world.hub.feeds == {}


@in_loop
async def test_joiners_share_a_read_that_fails(world: World) -> None:
    """A log that is down is asked once for a topic, not once for each who waits."""
    asked: list[float] = []

    def down(*_: Any, **__: Any) -> Page:
        asked.append(time.monotonic())
        time.sleep(0.1)
        raise RealtimeError(Code.UNAVAILABLE, "down")

    world.log.recent = down  # type: ignore[method-assign]
    joined = await asyncio.gather(*(world.hub.stream(Stream(), (NEWS,), [START]) for _ in range(40)))
    assert (any(joined), len(asked), world.hub.readers) == (False, 1, 0)


@in_loop
async def test_unexpected_failure_leaves_nobody_behind(world: World) -> None:
    """A reader is ended, not left without events and heartbeats."""
    world.log.recent = lambda *_, **__: (_ for _ in ()).throw(KeyError("item"))  # type: ignore[method-assign]
    reader = Stream()
    with pytest.raises(KeyError):
        await world.hub.stream(reader, (NEWS,), [START])
    assert (reader.open, world.hub.readers, world.hub.feeds) == (False, 0, {})


@in_loop
async def test_catching_up_is_gentle_to_live_readers(world: World) -> None:
    """Much that the bus had lost comes in parts, so that a reader who takes 40 KB at a time is not cut off."""
    reader = await world.reader()
    for number in range(40):
        world.append(f"{number}".ljust(4_000), heard=False)
    catching = asyncio.create_task(world.hub.compare(world.log.tails([NEWS])))
    while not catching.done():
        reader.room = 40_000
        await asyncio.sleep(0.01)
    assert (len(reader.data), reader.open) == (40, True)


@in_loop
async def test_drain_sends_everybody_elsewhere(world: World) -> None:
    """With `reconnect`, within the time."""
    readers = [await world.reader() for _ in range(120)]
    started = time.monotonic()
    await world.hub.drain(0.5)
    assert time.monotonic() - started < 2
    assert all(reader.kinds == ["reconnect"] and not reader.open for reader in readers)


@in_loop
async def test_readers_of_a_feature_are_dismissed(world: World) -> None:
    """Those who read anything of it, over the time given and not at once; the others stay."""
    gone = [await world.reader() for _ in range(3)] + [await world.reader(NEWS, ALERTS)]
    stays, began = await world.reader(ALERTS), time.monotonic()
    await world.hub.dismiss(["news"], 0.2)
    assert [reader.kinds for reader in gone] == [["reconnect"]] * 4
    assert (stays.open, world.hub.readers) == (True, 1)
    assert time.monotonic() - began > 0.15


@in_loop
async def test_process_has_a_most_of_streams(world: World) -> None:
    """Whoever comes then is told when to come back, before his stream begins; one that ends makes room."""
    hub = Hub(world.log, most=1)
    reader = Stream()
    await hub.stream(reader, (NEWS,), await hub.begin((NEWS,), [None]))
    with pytest.raises(RealtimeError) as refused:
        await hub.begin((NEWS,), [None])
    assert (refused.value.code, refused.value.retry_after) == (Code.UNAVAILABLE, 5)
    hub.leave(reader)
    await hub.begin((NEWS,), [None])


def test_heartbeats_come_in_time_whoever_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every 15 s at the latest (here 0.2), also where those who came before leave all the time."""
    monkeypatch.setattr("realtime.hub.HEARTBEAT_SECONDS", 0.2)
    monkeypatch.setattr("realtime.hub._TURN_SECONDS", 0.02)

    async def test(world: World) -> None:
        older = [await world.reader() for _ in range(50)]
        reader = await world.reader()
        running, began = asyncio.create_task(world.hub.run()), time.monotonic()
        for leaving in older:
            await asyncio.sleep(0.02)
            world.hub.leave(leaving)
        running.cancel()
        most = 1 + (time.monotonic() - began) / 0.18  # a second, and what a busy machine adds to 50 pauses
        assert 4 <= reader.raw.count(HEARTBEAT) <= most

    in_loop(test)()


@in_loop
async def test_expired_token_ends_the_stream(world: World) -> None:
    """And one that is due for rotation is told to come back."""
    expired, old = Stream(), Stream()
    await world.hub.stream(expired, (NEWS,), [START], until=time.time() - 1)
    await world.hub.stream(old, (NEWS,), [START])
    world.hub._streams[old].rotate_at = 0
    running = asyncio.create_task(world.hub.run())
    await asyncio.sleep(1.2)
    running.cancel()
    assert (expired.kinds, old.kinds) == (["error"], ["reconnect"])


@pytest.mark.parametrize("seed", range(40))
def test_whatever_overlaps_every_reader_gets_everything_once(seed: int) -> None:
    """Appends that the bus loses, repeats and reorders; readers who come, stall, are cut and come back; pages of three."""

    async def test() -> None:
        rng, world, people = random.Random(seed), World(), [Person() for _ in range(8)]
        monkey = world.log.read
        world.log.read = lambda topic, after, limit, **how: monkey(topic, after, rng.choice([1, 3, limit]), **how)  # type: ignore[method-assign]
        pending: list[tuple[Event, ...]] = []
        for number in range(60):
            pending.append(world.append(number, heard=False))
            for person in people:
                if rng.random() < 0.3:
                    await person.comes_or_goes(world, rng)
            rng.shuffle(pending)
            while pending and rng.random() < 0.6:
                heard = pending.pop()
                if rng.random() < 0.8:
                    world.hub.hear("news", heard)
            await asyncio.sleep(rng.choice([0, 0, 0.001]))
        for _ in range(2):  # what the bus lost comes with a comparison, which may be too much for somebody
            for person in people:
                await person.settles(world)
            await world.hub.compare(world.log.tails([NEWS]))
            await asyncio.sleep(0.02)
        for person in people:
            await person.settles(world)
            assert person.everything == list(range(60)), seed

    asyncio.run(asyncio.wait_for(test(), 60))


class Person:
    """A client over many connections."""

    def __init__(self) -> None:
        self.past: list[Any] = []
        self.cursor = START
        self.reader: Stream | None = None
        self.task: asyncio.Task[bool] | None = None

    async def comes_or_goes(self, world: World, rng: random.Random) -> None:
        if self.reader is None:
            self.reader = Stream()
            self.reader.room = rng.choice([1_000_000, 3_000])
            self.reader.drains = rng.choice([0, 3_000])
            self.task = asyncio.create_task(world.hub.stream(self.reader, (NEWS,), [self.cursor]))
        else:
            world.hub.leave(self.reader)
            self._keep()

    def _keep(self) -> None:
        assert self.reader is not None
        self.past += self.reader.data
        self.cursor = Cursor.parse(self.reader.last_id) if self.reader.data else self.cursor
        self.reader = None

    async def settles(self, world: World) -> None:
        while self.reader is None or not self.reader.open:
            if self.reader is not None:
                self._keep()
            self.reader = Stream()
            self.task = asyncio.create_task(world.hub.stream(self.reader, (NEWS,), [self.cursor]))
            await self.task
        if self.task:
            await self.task

    @property
    def everything(self) -> list[Any]:
        return self.past + (self.reader.data if self.reader else [])
