"""What the buses share, and the one without a broker."""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.bus import MAX_BACKOFF_SECONDS, MAX_MESSAGE_BYTES, Backoff, decode, encode, messages
from realtime.bus_log import LogBus
from realtime.cursor import START
from realtime.errors import Code, RealtimeError
from realtime.event import Event, dumps
from realtime.features import Topic
from realtime.hub import Hub
from realtime.log import Log, Page
from realtime.memory import MemoryStore
from tests.helpers import event, topic
from tests.realtime.test_hub import Stream

NEWS = topic("news")
LEAVES = st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.floats(allow_nan=False, allow_infinity=False) | st.text()
DATA = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=8)
TYPES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}", fullmatch=True)


@st.composite
def appends(draw: st.DrawFn) -> tuple[Event, ...]:
    place = draw(st.text(min_size=1, max_size=9)), draw(st.from_regex(r"[0-9a-z]{1,16}", fullmatch=True))
    first, at = draw(st.integers(1, 10**12)), draw(st.integers(0, 10**13))
    kept = draw(st.lists(st.tuples(TYPES, DATA), min_size=1, max_size=4))
    return tuple(Event(*place, seq, kind, dumps(data), at) for seq, (kind, data) in enumerate(kept, first))


@given(appends())
def test_message_brings_back_the_same_events(events: tuple[Event, ...]) -> None:
    """As text, and as the bytes that arrive."""
    text = encode(events)
    assert decode(text) == decode(text.encode()) == events


@given(st.binary() | st.text() | DATA.map(json.dumps))
def test_garbage_is_a_value_error(garbage: str | bytes) -> None:
    """Whatever somebody publishes on a channel."""
    with pytest.raises(ValueError, match=r"."):
        decode(garbage)


@pytest.mark.parametrize(
    "message",
    [
        '{"topic":"a","epoch":"b","first":1,"at":1,"events":[]}',
        '{"topic":"a","epoch":"b","first":1,"at":1,"events":[["note"]]}',
        '{"topic":"a","epoch":"b","first":1,"at":1,"events":[["note",1]]}',
        '{"topic":"a","epoch":"b","first":"1","at":1,"events":[["note","1"]]}',
        "[" * 100_000,
    ],
)
def test_half_a_message_is_a_value_error(message: str) -> None:
    """No field missing, none of another type, no end of nesting."""
    with pytest.raises(ValueError, match=r"."):
        decode(message)


def test_big_batch_is_split() -> None:
    """Each message stays below the bound; together they are the batch, in order."""
    events = tuple(Event("news", "e", seq, "note", dumps('"' * 100_000), 1) for seq in range(1, 26))
    parts = list(messages(events))
    assert all(len(part.encode()) <= MAX_MESSAGE_BYTES for part in parts)
    assert tuple(event for part in parts for event in decode(part)) == events
    assert list(messages(())) == []


def test_pauses_grow_at_random_and_one_failure_of_a_row_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Up to 5 s; after a success they begin anew."""
    caplog.set_level(logging.INFO, "realtime.bus")
    backoff = Backoff(0.1)
    pauses = [backoff.note(OSError("down"), "Valkey") for _ in range(200)]
    assert max(pauses[:3]) <= 0.8
    assert 4 < max(pauses) <= MAX_BACKOFF_SECONDS
    assert backoff.note(None, "Valkey") == 0
    assert backoff.note(OSError("down"), "Valkey") <= 0.2
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO", "WARNING"]


class Counted(Log):
    """A log in memory that counts the reads of heads, and fails when told to."""

    def __init__(self) -> None:
        super().__init__(MemoryStore())
        self.asked: list[int] = []
        self.down = False

    def tails(self, topics: Sequence[Topic]) -> dict[str, Page]:
        self.asked.append(len(topics))
        if self.down:
            raise RealtimeError(Code.UNAVAILABLE, "down")
        return super().tails(topics)


async def opened(hub: Hub, topics: Sequence[Topic], readers: int = 1) -> list[Stream]:
    """Live readers of each topic."""
    streams = [(Stream(), topic) for topic in topics for _ in range(readers)]
    await asyncio.gather(*(hub.stream(stream, (topic,), [START]) for stream, topic in streams))
    return [stream for stream, _ in streams]


async def until(condition: Callable[[], bool], seconds: float = 5) -> float:
    """How long it took to become true."""
    started = time.monotonic()
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what it waits for is in another process
            await asyncio.sleep(0.01)
    return time.monotonic() - started


@pytest.mark.parametrize("readers", [1, 1_000])
def test_reads_do_not_grow_with_readers(readers: int) -> None:
    """A round reads the heads of two topics once, whoever listens."""

    async def test() -> None:
        log = Counted()
        hub = Hub(log)
        await opened(hub, [NEWS, topic("alerts")], readers)
        await LogBus(hub, log).look()
        assert log.asked == [2]

    asyncio.run(test())


@pytest.mark.parametrize(("topics", "asked"), [(0, []), (100, [100]), (101, [100, 1])])
def test_read_takes_a_hundred_topics(topics: int, asked: list[int]) -> None:
    """And without a topic there is none."""

    async def test() -> None:
        log = Counted()
        hub = Hub(log)
        await opened(hub, [topic(f"room/{number}", rooms=True) for number in range(topics)])
        await LogBus(hub, log).look()
        assert log.asked == asked

    asyncio.run(test())


def test_failures_do_not_end_it(caplog: pytest.LogCaptureFixture) -> None:
    """Not ready meanwhile, one warning; afterwards readers get what was appended."""

    async def test() -> None:
        log = Counted()
        hub, log.down = Hub(log), True
        (reader,) = await opened(hub, [NEWS])
        bus = LogBus(hub, log, interval=0.01)
        running = asyncio.create_task(bus.run())
        await until(lambda: len(log.asked) > 2)  # the pauses before: at most 0.5 and 1 s
        assert not bus.ready
        log.append(NEWS, [event("a")])
        log.down = False
        await until(lambda: bus.ready and reader.data == ["a"], 10)
        running.cancel()

    asyncio.run(test())
    assert len(caplog.records) == 1


def test_many_topics_are_worth_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    """Above 500, once, and it says what to deploy."""

    async def test() -> None:
        log = Counted()
        hub = Hub(log)
        rooms = [topic(f"room/{number}", rooms=True) for number in range(501)]
        bus = LogBus(hub, log)
        await opened(hub, rooms[:500])
        await bus.look()
        assert not caplog.records
        await opened(hub, rooms[500:])
        await bus.look()
        await bus.look()

    asyncio.run(test())
    assert ["PubSubStack" in record.message for record in caplog.records] == [True]
