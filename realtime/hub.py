"""Fan-out inside one process: events of the bus -> one encoding -> every reader's transport, in one loop.

A feed is a topic that has readers here. All its live readers stand at the feed's cursor, so an event is encoded once and
written to each; nothing is queued for anybody. Whoever stands elsewhere catches up, from the feed's newest events in
memory or else from the log, and joins the live ones in the same step of the loop in which he reaches them: there is no
moment in which an event could fall between. A reader that does not take what is written is ended; his cursor brings him back.
"""

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import inf
from typing import Protocol

from realtime import sse
from realtime.cursor import START, Cursor
from realtime.errors import Code, RealtimeError
from realtime.event import Event
from realtime.features import Topic
from realtime.log import Log, Page

KEPT_EVENTS = 256
KEPT_BYTES = 256 * 1024
"""What a feed keeps of its newest events: whoever was away for a moment is served without the log."""

PAGE_EVENTS = 100
PAGE_SECONDS = 2.0
PAGES = 16
"""How long, and how many, pages of the log are kept: after a restart everybody asks for the same ones."""

READS = 8
"""Reads of the log that catching up may have under way in one process: pages that readers share count once."""

HEARTBEAT_SECONDS = 15
ROTATE_SECONDS = (120.0, 240.0)
"""A connection ends after a random time between these: a deployment waits 300 s, and meets no connection that is older."""

MAX_STREAMS = 10_000
"""Of one process, which then says 503: a processor holds 9,000 in time (bench), and each further stream makes all of them late."""

FULL_RETRY_SECONDS = 5

COME_BACK_MS = (100, 1_000)

GENTLE_BYTES = 16 * 1024
GENTLE_SECONDS = 0.05
"""What all live readers get at once of what the log had and the bus had not, and the time until more of it."""

_TURN_SECONDS = 1.0
"""How often heartbeats and rotations that are due are looked for."""

logger = logging.getLogger("realtime.hub")


class Reader(Protocol):
    """One stream's way to its client."""

    def write(self, chunk: bytes) -> bool:
        """Take a chunk whole; False, and nothing of it, where too much is waiting already or the client is gone."""

    def end(self, chunk: bytes = b"") -> None:
        """Write the last chunk and close. Harmless where it is closed."""

    async def drained(self) -> bool:
        """Wait until what was written has left; False where that takes too long, or the client is gone."""


@dataclass(slots=True, eq=False)
class _Stream:
    """A reader and where he stands: `cursors` in the order of his topics. While he lives on a single one, that is the feed's.

    `rotate_at` and `beat_at` (his next heartbeat) are on the loop's clock, `until` (when his token ends) in Unix seconds.
    """

    reader: Reader
    topics: tuple[Topic, ...]
    cursors: list[Cursor]
    rotate_at: float
    beat_at: float
    until: float
    live: bool = False
    ended: bool = False

    @property
    def id(self) -> str:
        return sse.join(self.cursors)


@dataclass(slots=True, eq=False)
class _Feed:
    """A topic with readers. The live ones stand at `cursor`, and `kept` ends there.

    `live`: those who read this topic alone, so that all of them get the same bytes. `shared`: those who read others
    too, each with the index of this topic among his.
    """

    topic: Topic
    cursor: Cursor | None = None
    live: dict[Reader, _Stream] = field(default_factory=dict)
    shared: dict[_Stream, int] = field(default_factory=dict)
    joining: int = 0
    missed: bool = False  # something was heard that a read under way may not have found
    repair: asyncio.Task[None] | None = None
    starting: asyncio.Task[None] | None = None
    kept: deque[Event] = field(default_factory=deque)
    kept_bytes: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)  # of reads that move the feed

    @property
    def idle(self) -> bool:
        return not (self.live or self.shared or self.joining)

    def keep(self, event: Event) -> None:
        """Keep the newest, at least it alone."""
        self.kept.append(event)
        self.kept_bytes += len(event.data_json)
        while len(self.kept) > KEPT_EVENTS or (self.kept_bytes > KEPT_BYTES and len(self.kept) > 1):
            self.kept_bytes -= len(self.kept.popleft().data_json)

    def forget(self) -> None:
        self.kept.clear()
        self.kept_bytes = 0


class Hub:
    """All streams of one process. Every method must be called in the event loop's thread; the log is read in others."""

    def __init__(self, log: Log, last: Callable[[Event], bool] = lambda _: False, *, most: int = MAX_STREAMS) -> None:
        """`last`: whether nothing follows an event in its topic. Streams of that topic alone end after it. `most`: streams at once."""
        self._log = log
        self._last = last
        self._most = most
        self._feeds: dict[str, _Feed] = {}
        self._streams: dict[Reader, _Stream] = {}
        self._pages: dict[tuple[str, Cursor | int], asyncio.Task[Page]] = {}
        self._turns = asyncio.Semaphore(READS)
        self.watchers: set[Callable[[], None]] = set()
        """Called when a topic has got its first reader, or lost its last."""

    @property
    def feeds(self) -> dict[str, Topic]:
        """The topics that have readers here."""
        return {name: feed.topic for name, feed in self._feeds.items()}

    @property
    def readers(self) -> int:
        return len(self._streams)

    # Streams

    async def begin(self, topics: Sequence[Topic], after: Sequence[Cursor | None], recent: int = 0) -> list[Cursor]:
        """The cursors to stream from. Without one a reader begins at the end of a topic: what is published from now on follows.

        With `recent` he begins before that many of its newest events; where only the newest is kept, always with that one.
        `unavailable` where the log does not answer, or as many streams are open as may be: some more, if they begin in one moment.
        """
        if len(self._streams) >= self._most:
            raise RealtimeError(Code.UNAVAILABLE, f"this process has {self._most} streams already: come back later", FULL_RETRY_SECONDS)
        return [cursor or await self._beginning(topic, recent) for topic, cursor in zip(topics, after, strict=True)]

    async def stream(
        self, reader: Reader, topics: Sequence[Topic], after: Sequence[Cursor], until: float = inf, seconds: float | None = None
    ) -> bool:
        """Bring a reader up to each of his topics, and then let him live; False where he was ended on the way.

        `until` is when his token ends (Unix seconds), and with it the stream. `seconds`: how long it lives, if not as others do.
        """
        now = asyncio.get_running_loop().time()
        rotate_at = now + (random.uniform(*ROTATE_SECONDS) if seconds is None else seconds)  # noqa: S311 - jitter
        beat_at = now + random.uniform(0, HEARTBEAT_SECONDS)  # noqa: S311 - jitter
        stream = _Stream(reader, tuple(topics), list(after), rotate_at, beat_at, until)
        self._streams[reader] = stream
        feeds = [self._open(topic) for topic in topics]
        try:
            for feed in feeds:
                await self._start(feed)
            await self._join(stream, feeds)
        except RealtimeError as refusal:
            self._end(stream, sse.error(refusal))
        finally:
            if not (stream.live or stream.ended):  # whatever happened, nobody is left who would never hear anything
                self._end(stream)
            self._close(feeds)
        return not stream.ended

    async def _beginning(self, topic: Topic, recent: int) -> Cursor:
        return await self._before_newest(topic, recent) if recent and topic.keeps_all else await self._end_of(topic)

    async def _before_newest(self, topic: Topic, count: int) -> Cursor:
        """Before the newest events, as far back as there are any. In memory, or 1 unit and 1 for each 4 KB of them."""
        feed = self._feeds.get(topic.name)
        if feed and feed.cursor and len(feed.kept) >= min(count, feed.cursor.seq):
            return Cursor(feed.cursor.epoch, max(0, feed.cursor.seq - count))
        return (await self._shared((topic.name, count), partial(self._log.recent, topic, count, consistent=True))).after

    async def _end_of(self, topic: Topic) -> Cursor:
        feed = self._open(topic)
        try:
            end = await self._start(feed)
        finally:
            self._close([feed])
        return end if topic.keeps_all or not feed.kept else Cursor(end.epoch, 0)

    def leave(self, reader: Reader) -> None:
        """The client is gone."""
        stream = self._streams.pop(reader, None)
        if stream is None:
            return
        stream.ended = True
        for topic in stream.topics:
            if feed := self._feeds.get(topic.name):
                feed.live.pop(reader, None)
                feed.shared.pop(stream, None)
                self._close_if_idle(feed)

    def _end(self, stream: _Stream, chunk: bytes = b"") -> None:
        self.leave(stream.reader)
        stream.reader.end(chunk)

    async def _join(self, stream: _Stream, feeds: Sequence[_Feed]) -> None:
        """Let the stream catch up with all its feeds. Between the last comparison and living nothing is awaited."""
        while not stream.ended:
            behind = next((index for index, feed in enumerate(feeds) if stream.cursors[index] != feed.cursor), None)
            if behind is None:
                break
            await self._approach(stream, behind, feeds[behind])
        if stream.ended:
            return
        stream.live = True
        for index, feed in enumerate(feeds):
            if len(feeds) == 1:
                feed.live[stream.reader] = stream
            else:
                feed.shared[stream] = index

    async def _approach(self, stream: _Stream, index: int, feed: _Feed) -> None:
        """Bring the stream nearer to a feed: with what is in memory up to its end, else with a page of the log."""
        here = stream.cursors[index]
        if (events := self._from_memory(feed, here)) is not None:
            for event, previous in _following(feed.topic, here, events):
                await self._send(stream, index, event, previous)
        elif not await self._from_log(stream, index, feed):
            await self._advance(feed, stands_at=feed.cursor)  # the reader has come to the end of the log, and the feed has not

    async def _from_log(self, stream: _Stream, index: int, feed: _Feed) -> bool:
        """Send a page; whether there was anything in it."""
        page = await self._page(feed.topic, stream.cursors[index])
        if not page.recovered:
            stream.cursors[index] = page.after
            await self._insist(stream, sse.reset(feed.topic.name, stream.id))
        for event, previous in page.deliveries():
            await self._send(stream, index, event, previous)
        stream.cursors[index] = page.cursor
        return bool(page.events)

    async def _send(self, stream: _Stream, index: int, event: Event, previous: Cursor) -> None:
        stream.cursors[index] = event.cursor
        await self._insist(stream, sse.identified(stream.id, sse.body(event, previous)))
        if len(stream.topics) == 1 and self._last(event):
            self._end(stream)

    async def _insist(self, stream: _Stream, chunk: bytes) -> None:
        """Write to a reader who catches up. What is missing may be much more than may wait for him: so he is waited for."""
        while not stream.ended and not stream.reader.write(chunk):
            if not await stream.reader.drained():
                self._end(stream)

    def _from_memory(self, feed: _Feed, cursor: Cursor) -> list[Event] | None:
        """The feed's events after a cursor, if they are all kept; None where the log has to be asked."""
        if feed.cursor is None or cursor.epoch != feed.cursor.epoch or cursor.seq > feed.cursor.seq:
            return None
        missing = feed.cursor.seq - cursor.seq
        if not feed.topic.keeps_all:
            return list(feed.kept)[-1:] or None
        return list(feed.kept)[-missing:] if missing <= len(feed.kept) else None

    def _write(self, stream: _Stream, chunk: bytes) -> None:
        if not stream.ended and not stream.reader.write(chunk):
            self._end(stream)

    # Events

    def hear(self, topic: str, events: Sequence[Event]) -> None:
        """What a bus has heard: what is old is dropped, what follows is delivered, and a gap makes the hub read the log."""
        if feed := self._feeds.get(topic):
            self._take(feed, events)

    def _take(self, feed: _Feed, events: Sequence[Event]) -> None:
        here = feed.cursor
        if here is None:
            feed.missed = True
        if here is None or not events:
            return
        if here != START and events[-1].epoch != here.epoch:
            self._repair(feed)
            return
        fresh = [event for event in events if event.seq > here.seq]
        if fresh and (fresh[0].seq == here.seq + 1 or not feed.topic.keeps_all):
            self._deliver(feed, fresh)
        elif fresh:
            self._repair(feed)

    async def compare(self, tails: Mapping[str, Page]) -> None:
        """Where a topic's newest append follows what a feed has, deliver it; where there is more between them, read the log."""
        feeds = [(feed, tail) for name, tail in tails.items() if (feed := self._feeds.get(name))]
        behind = []
        for feed, tail in feeds:
            feed.missed |= feed.cursor is None
            if _follows(feed, tail):
                self._take(feed, tail.events)
            elif _behind(feed, tail.cursor):
                behind.append(feed)
        await asyncio.gather(*(self._catch_up(feed) for feed in behind))

    def _deliver(self, feed: _Feed, events: Sequence[Event]) -> None:
        """Write to every live reader: the same bytes, but for the id of those who read several topics."""
        for event in events if feed.topic.keeps_all else events[-1:]:
            body = sse.body(event, Cursor(event.epoch, event.seq - 1 if feed.topic.keeps_all else 0))
            cursor = feed.cursor = event.cursor
            feed.keep(event)
            chunk = sse.identified(str(cursor), body)
            full = [stream for reader, stream in feed.live.items() if not reader.write(chunk)]
            for stream, index in feed.shared.items():
                stream.cursors[index] = cursor
                if not stream.reader.write(sse.identified(stream.id, body)):
                    full.append(stream)
            if self._last(event):
                full += feed.live.values()
            for stream in full:
                self._end(stream)

    def _repair(self, feed: _Feed) -> None:
        """Read the log for the feed in the background; once more where something is heard while that goes on."""
        feed.missed = True
        if feed.repair is None:
            feed.repair = asyncio.ensure_future(self._mend(feed))

    async def _mend(self, feed: _Feed) -> None:
        try:
            await self._catch_up(feed)
        finally:
            feed.repair = None

    async def _catch_up(self, feed: _Feed) -> None:
        """Bring the feed to the end of the log; a failure is left to the next comparison."""
        try:
            feed.missed = True
            while feed.missed:
                feed.missed = False
                await self._advance(feed)
        except RealtimeError as error:
            logger.warning("%s: %s", error.code.wire, error.detail)

    async def _advance(self, feed: _Feed, *, stands_at: Cursor | None = None) -> None:
        """Bring the feed, and with it its live readers, to the end of the log; not where it has left `stands_at` already.

        It reads for itself: a page that others asked for may be older than what made this necessary.
        """
        async with feed.lock:
            more = stands_at in (None, feed.cursor)
            while more and feed.cursor is not None and not feed.idle:
                here = feed.cursor
                page = await self._read(feed.topic, here)
                more = page.more
                if page.recovered:
                    await self._take_gently(feed, page.events)
                elif feed.cursor == here:
                    self._reset(feed, page)
                else:
                    more = True  # the bus was faster: look again from where the feed is now

    async def _take_gently(self, feed: _Feed, events: Sequence[Event]) -> None:
        """Deliver a page in parts, with time between them for the readers to take them: much at once would cut off the healthy."""
        part, size = list[Event](), 0
        for event in events:
            if part and size + len(event.data_json) > GENTLE_BYTES:
                self._take(feed, part)
                await asyncio.sleep(GENTLE_SECONDS)
                part, size = [], 0
            part.append(event)
            size += len(event.data_json)
        self._take(feed, part)

    def _reset(self, feed: _Feed, page: Page) -> None:
        """The feed's cursor is not of this log any more: tell its readers, and go on from where the log now stands."""
        feed.cursor = page.after
        feed.forget()
        for stream in list(feed.live.values()):
            self._write(stream, sse.reset(feed.topic.name, str(page.after)))
        for stream, index in list(feed.shared.items()):
            stream.cursors[index] = page.after
            self._write(stream, sse.reset(feed.topic.name, stream.id))
        self._deliver(feed, page.events)
        feed.cursor = page.cursor

    async def _start(self, feed: _Feed) -> Cursor:
        """Where the feed stands; a new one at the end of the log, with the newest event in memory. All who wait share the read."""
        while feed.cursor is None:
            if feed.starting is None:
                feed.starting = asyncio.ensure_future(self._find_end(feed))
            await asyncio.shield(feed.starting)
        return feed.cursor

    async def _find_end(self, feed: _Feed) -> None:
        try:
            page = await self._in_turn(partial(self._log.recent, feed.topic, 1, consistent=True))
        finally:
            feed.starting = None
        for event in page.events:
            feed.keep(event)
        feed.cursor = page.cursor
        if feed.missed:  # it may be newer than what was read
            self._repair(feed)

    async def _page(self, topic: Topic, after: Cursor) -> Page:
        """What follows a cursor, or some of it. Those who ask for the same share one read, also a little later."""
        return await self._shared((topic.name, after), partial(self._log.read, topic, after, PAGE_EVENTS, consistent=True))

    async def _shared(self, key: tuple[str, Cursor | int], read: Callable[[], Page]) -> Page:
        task = self._pages.get(key)
        if task is None:
            task = self._pages[key] = asyncio.ensure_future(self._in_turn(read))
            task.add_done_callback(lambda done: self._forget(key, done))
        return await asyncio.shield(task)

    def _forget(self, key: tuple[str, Cursor | int], done: "asyncio.Task[Page]") -> None:
        found = not done.cancelled() and done.exception() is None and done.result().recovered and done.result().events
        if found and len(self._pages) <= PAGES:
            asyncio.get_running_loop().call_later(PAGE_SECONDS, self._pages.pop, key, None)
        else:
            self._pages.pop(key, None)

    async def _read(self, topic: Topic, after: Cursor) -> Page:
        return await self._in_turn(partial(self._log.read, topic, after, PAGE_EVENTS, consistent=True))

    async def _in_turn(self, read: Callable[[], Page]) -> Page:
        async with self._turns:
            return await asyncio.to_thread(read)

    # Feeds

    def _open(self, topic: Topic) -> _Feed:
        feed = self._feeds.get(topic.name)
        if feed is None:
            feed = self._feeds[topic.name] = _Feed(topic)
            self._tell_watchers()
        feed.joining += 1
        return feed

    def _close(self, feeds: Sequence[_Feed]) -> None:
        """Those who were joining them are there, or gone."""
        for feed in feeds:
            feed.joining -= 1
            self._close_if_idle(feed)

    def _close_if_idle(self, feed: _Feed) -> None:
        if feed.idle and self._feeds.get(feed.topic.name) is feed:
            del self._feeds[feed.topic.name]
            self._tell_watchers()

    def _tell_watchers(self) -> None:
        for told in self.watchers:
            told()

    # Time

    async def run(self) -> None:
        """Heartbeats and rotation, until cancelled. Each reader has times of his own, so that nothing comes in a burst."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_TURN_SECONDS)
            now, today = loop.time(), time.time()
            for stream in list(self._streams.values()):
                if stream.until <= today:
                    self._end(stream, sse.error(RealtimeError(Code.EXPIRED, "the token has expired: come back with a new one")))
                elif stream.rotate_at <= now:
                    self._end(stream, come_back())
                elif stream.live and stream.beat_at <= now:
                    stream.beat_at = now + HEARTBEAT_SECONDS - _TURN_SECONDS
                    self._write(stream, sse.HEARTBEAT)

    async def drain(self, seconds: float) -> None:
        """Send everybody elsewhere, spread over the time: the process is about to end."""
        await self._send_away(list(self._streams.values()), seconds, 50)

    async def dismiss(self, features: Collection[str], seconds: float) -> None:
        """Send those away who read a topic of these features, spread over the time."""
        streams = [stream for stream in self._streams.values() if any(topic.feature.name in features for topic in stream.topics)]
        await self._send_away(streams, seconds, 1 + len(streams) // 100)

    async def _send_away(self, streams: Sequence[_Stream], seconds: float, at_once: int) -> None:
        for number, stream in enumerate(streams, 1):
            self._end(stream, come_back())
            if number % at_once == 0:
                await asyncio.sleep(seconds * at_once / len(streams))


def come_back() -> bytes:
    """`event: reconnect`, with a time of its own for each who gets it."""
    return sse.reconnect(random.randint(*COME_BACK_MS))  # noqa: S311 - jitter


def _behind(feed: _Feed, head: Cursor) -> bool:
    here = feed.cursor
    return here is not None and here != head and (here.epoch != head.epoch or head.seq > here.seq)


def _follows(feed: _Feed, tail: Page) -> bool:
    """Whether the tail has all that the feed lacks, and no more than live readers take at once."""
    here = feed.cursor
    if here is None or not tail.events or here.seq >= tail.cursor.seq or (here != START and here.epoch != tail.cursor.epoch):
        return False
    whole = not feed.topic.keeps_all or tail.after.seq <= here.seq
    return whole and sum(len(event.data_json) for event in tail.events) <= GENTLE_BYTES


def _following(topic: Topic, after: Cursor, events: Sequence[Event]) -> Iterator[tuple[Event, Cursor]]:
    """Each event with the cursor that it follows for this reader."""
    for event in events if topic.keeps_all else events[-1:]:
        yield event, after
        after = event.cursor
