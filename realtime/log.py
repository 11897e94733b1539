"""The event log: append and read, over any store that can put one item on a condition.

The layout. Each topic has one *head*: its newest append (1 to 25 events) with the topic's random epoch. An append
moves what it supersedes into *history* and then replaces the head on the condition that nobody else did. So history
holds only what was once a head, and a reader who starts at the head never sees a gap that will be filled later.

What it costs, in DynamoDB units, for appends of at most 1 KB: an append writes 2 (head and history), 3 with an
idempotency key, one less each for `keep = "latest"`. A read that finds nothing new is half a unit.
"""

import hashlib
import itertools
import random
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from realtime.cursor import START, Cursor
from realtime.errors import Code, RealtimeError
from realtime.event import Event, NewEvent, digest
from realtime.features import Topic

KEY_WINDOW_SECONDS = 300
"""How long an idempotency key answers with the first event."""

MAX_BATCH = 25
"""Events in one append."""

MAX_BATCH_BYTES = 256 * 1024
"""Data in one append: a DynamoDB item holds 400 KB."""

APPEND_DEADLINE_SECONDS = 5.0
MAX_LIMIT = 500

# A loser pauses for up to this many times what the lost attempt took, and the shorter the more often it has lost:
# whoever waits longest goes first, and a slow store is not crowded further. Exponential pauses left 1 % of the appends
# of 20 publishers waiting over 5 s behind newcomers (docs/decisions/0002).
_PAUSE_IN_ATTEMPTS = 20
_SHORTEST_PAUSE_SECONDS = 0.02

_CACHED_HEADS = 1024


class Append(NamedTuple):
    """One append as it is stored: its events, and what tells a repeated append from a new one.

    `id` is the idempotency key's hash, or random when the publisher gave none (`keyed` is False). `expires` is in Unix
    seconds; None means never. `claimed`: whoever appended it pushes it to subscribers, so that nobody else needs to.
    `passing`: of a topic that is over some day, whose head may go when it expires.
    """

    topic: str
    epoch: str
    first: int
    events: tuple[NewEvent, ...]
    at_ms: int
    id: str
    keyed: bool
    digest: str
    expires: int | None
    claimed: bool = False
    passing: bool = False

    @property
    def last(self) -> int:
        return self.first + len(self.events) - 1

    @property
    def cursor(self) -> Cursor:
        return Cursor(self.epoch, self.last)

    def expired(self, now: float) -> bool:
        return self.expires is not None and self.expires <= now

    def unpacked(self, after: int = 0) -> Iterator[Event]:
        """The events with a seq above `after`, oldest first."""
        for seq, event in enumerate(self.events, self.first):
            if seq > after:
                yield Event(self.topic, self.epoch, seq, event.type, event.data_json, self.at_ms)


class Receipt(NamedTuple):
    """What a key row remembers of an append: enough to answer a repeat with the first events."""

    epoch: str
    first: int
    at_ms: int
    digest: str


class Page(NamedTuple):
    """What a reader gets: `events` that follow `after` without a hole; the next read goes on at `cursor`.

    `recovered` False says that the reader's own cursor could not be honoured: its state must be reloaded. `more` says
    that the page ended, at its limit or at the 1 MB of a query, before the head: the next read need not wait.
    """

    after: Cursor
    events: tuple[Event, ...]
    cursor: Cursor
    recovered: bool
    more: bool = False

    def deliveries(self) -> Iterator[tuple[Event, Cursor]]:
        """Each event with the cursor that it follows for this reader."""
        previous = self.after
        for event in self.events:
            yield event, previous
            previous = event.cursor


class Moved(Exception):  # noqa: N818 - an answer, not a failure
    """An append was to follow a cursor at which its topic does not end any more; `end` is where it ends."""

    def __init__(self, end: Cursor) -> None:
        super().__init__(f"the topic ends at {end}")
        self.end = end


class Swapped(NamedTuple):
    """The outcome of a conditional put: done, or the head that stood in the way. `repeated`: the SDK sent it twice."""

    done: bool
    head: Append | None
    repeated: bool = False


class Store(Protocol):
    """The few operations on items that the log is built of."""

    def head(self, topic: str, *, consistent: bool) -> Append | None:
        """The newest append. Half a unit, or one if consistent (heads of at most 4 KB)."""

    def heads(self, topics: Sequence[str]) -> Mapping[str, Append]:
        """The newest appends of at most 100 topics, those that there are; half a unit each, and perhaps stale."""

    def history(
        self, topic: str, epoch: str, first: int, last: int, *, limit: int, consistent: bool, backward: bool = False
    ) -> Sequence[Append]:
        """Superseded appends that end in `first`..`last`, in order or backward; expired ones may still be there."""

    def receipt(self, topic: str, id: str) -> Receipt | None:
        """What an earlier append with this key left behind, consistently; expired ones may still be there."""

    def retire(self, head: Append, *, history: bool, receipt: bool) -> None:
        """Write the history and key rows of a head that is about to be superseded. Doing it twice is harmless."""

    def swap(self, expected: Append | None, new: Append) -> Swapped:
        """Put `new` as the head if `expected` still is it (None: if there is none)."""


class Log:
    """The log over a store. Safe to share between threads."""

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.time, sleep: Callable[[float], None] = time.sleep) -> None:
        self._store = store
        self._clock = clock
        self._sleep = sleep
        self._written: OrderedDict[str, Append] = OrderedDict()  # heads that this process wrote last
        self._turns = tuple(threading.Lock() for _ in range(64))  # threads of one process do not race each other

    # Appending

    def append(
        self, topic: Topic, events: Sequence[NewEvent], *, key: str | None = None, claim: bool = False, after: Cursor | None = None
    ) -> tuple[Event, ...]:
        """Add 1 to 25 events in one step and return them as they now stand in the log.

        `claim` says, in the same step, that the caller pushes them to subscribers itself. `after`: only if the topic ends
        there (`0-0`: if it has no event), else `Moved`, and nothing is added. It costs nothing while it holds.

        The same key within five minutes returns the first events and adds none; with other events it is `key_reused`.
        `unavailable` after five seconds of contention, or when the store does not answer: repeating the call with
        the same key settles what happened.
        """
        if not 1 <= len(events) <= MAX_BATCH:
            raise RealtimeError(Code.INVALID, f"an append takes 1 to {MAX_BATCH} events")
        if max(event.size for event in events) > topic.feature.limits.bytes:
            raise RealtimeError(Code.TOO_LARGE, f"{topic.feature.name} takes at most {topic.feature.limits.bytes} bytes of data an event")
        if sum(event.size for event in events) > MAX_BATCH_BYTES:
            raise RealtimeError(Code.TOO_LARGE, f"an append takes at most {MAX_BATCH_BYTES} bytes of data")
        deadline = self._clock() + APPEND_DEADLINE_SECONDS
        turn = self._turns[hash(topic.name) % len(self._turns)]
        if not turn.acquire(timeout=APPEND_DEADLINE_SECONDS):
            raise _busy(topic)
        try:
            return self._append(topic, tuple(events), key, deadline, claim=claim, after=after)
        finally:
            turn.release()

    def appended(self, topic: Topic, events: Sequence[NewEvent], key: str) -> tuple[Event, ...] | None:
        """The events of an earlier append with this key and content, within its window. 1 or 2 read units."""
        head = self._store.head(topic.name, consistent=True)
        return self._earlier(topic.name, head, _key_id(key), digest(events), tuple(events))

    def _append(
        self, topic: Topic, events: tuple[NewEvent, ...], key: str | None, deadline: float, *, claim: bool, after: Cursor | None
    ) -> tuple[Event, ...]:
        identity, content = (_key_id(key) if key else secrets.token_hex(8)), digest(events)
        begun = self._clock()
        head = self._written.get(topic.name)
        if head is None or after not in (None, head.cursor):
            head = self._store.head(topic.name, consistent=True)
        for attempt in itertools.count():
            if key and (earlier := self._earlier(topic.name, head, identity, content, events)):
                return earlier
            if after is not None and after != (end := head.cursor if head else START):
                raise Moved(end)
            new = self._next(topic, head, events, identity, content, keyed=key is not None, claimed=claim)
            if head:
                self._store.retire(head, history=topic.keeps_all, receipt=self._in_window(head))
            swapped = self._store.swap(head, new)
            if swapped.done:
                return self._wrote(new, contended=attempt > 0)
            if swapped.head and swapped.head.id == identity and not key:
                return self._wrote(swapped.head, contended=True)
            if swapped.repeated and not key and self._went_in(topic, swapped.head, new):
                return tuple(new.unpacked())
            if self._clock() > deadline:
                break
            longest = _PAUSE_IN_ATTEMPTS * (self._clock() - begun) / (attempt + 1)
            self._sleep(random.uniform(0, max(_SHORTEST_PAUSE_SECONDS, longest)))  # noqa: S311 - jitter
            begun, head = self._clock(), self._store.head(topic.name, consistent=True)
        self._written.pop(topic.name, None)
        raise _busy(topic)

    def _earlier(self, topic: str, head: Append | None, id: str, content: str, events: tuple[NewEvent, ...]) -> tuple[Event, ...] | None:
        """The events of the first append with this key, if it is still remembered."""
        if head and head.id == id and self._in_window(head):
            receipt: Receipt | None = Receipt(head.epoch, head.first, head.at_ms, head.digest)
        else:
            receipt = self._store.receipt(topic, id)
        if receipt is None or self._clock() >= receipt.at_ms / 1000 + KEY_WINDOW_SECONDS:
            return None
        if receipt.digest != content:
            raise RealtimeError(Code.KEY_REUSED, "this idempotency key was used for another event within five minutes")
        return tuple(Event(topic, receipt.epoch, seq, e.type, e.data_json, receipt.at_ms) for seq, e in enumerate(events, receipt.first))

    def _next(
        self, topic: Topic, head: Append | None, events: tuple[NewEvent, ...], id: str, content: str, *, keyed: bool, claimed: bool
    ) -> Append:
        now_ms = int(self._clock() * 1000)
        at_ms = max(now_ms, head.at_ms + 1) if head else now_ms  # strictly rising, whatever the publishers' clocks say
        return Append(
            topic=topic.name,
            epoch=head.epoch if head else secrets.token_hex(6),
            first=head.last + 1 if head else 1,
            events=events,
            at_ms=at_ms,
            id=id,
            keyed=keyed,
            digest=content,
            expires=at_ms // 1000 + topic.retain_seconds if topic.keeps_all else None,
            claimed=claimed,
            passing=topic.passes,
        )

    def _in_window(self, head: Append) -> bool:
        return head.keyed and self._clock() < head.at_ms / 1000 + KEY_WINDOW_SECONDS

    def _went_in(self, topic: Topic, head: Append | None, new: Append) -> bool:
        """Whether a put that the SDK repeated after a lost answer had gone in the first time, and was superseded since."""
        if head is None or head.epoch != new.epoch or head.last < new.last:
            return False
        if not topic.keeps_all:
            raise RealtimeError(Code.UNAVAILABLE, "the answer was lost: publish again with an idempotency key", retry_after=1)
        rows = self._store.history(topic.name, new.epoch, new.last, new.last, limit=1, consistent=True)
        return bool(rows) and rows[0].id == new.id

    def _wrote(self, head: Append, *, contended: bool) -> tuple[Event, ...]:
        """Remember the head for the next append, unless other processes append too: then a read is cheaper than a lost race."""
        self._written.pop(head.topic, None)
        if not contended:
            self._written[head.topic] = head
        if len(self._written) > _CACHED_HEADS:
            self._written.popitem(last=False)
        return tuple(head.unpacked())

    # Reading

    def read(self, topic: Topic, after: Cursor, limit: int = 100, *, consistent: bool = False) -> Page:
        """What follows `after`: every event in order (`keep = "all"`) or at most the newest (`keep = "latest"`).

        All or nothing: where something after the cursor is gone, the page has `recovered` False. An eventually
        consistent read is enough to say "nothing new" or to hand out an unbroken run; anything else is read again.
        `consistent`: it must also hold whatever was appended before this call (twice the units).
        """
        page = None if consistent else self._page(topic, after, limit, consistent=False)
        return page or self._page(topic, after, limit, consistent=True) or self._reset(topic)

    def heads(self, topics: Sequence[Topic]) -> dict[str, Cursor]:
        """Where up to 100 topics end, by name: half a unit each. Hints: one may be stale or missing, never ahead of the log."""
        found = self._store.heads([topic.name for topic in topics])
        return {name: head.cursor for name, head in found.items()}

    def tails(self, topics: Sequence[Topic]) -> dict[str, Page]:
        """The newest append of up to 100 topics, by name: its events, if they have not expired, and where it ends.

        Half a unit each, for heads of at most 4 KB; perhaps stale or missing, never ahead of the log.
        """
        found, now = self._store.heads([topic.name for topic in topics]), self._clock()
        return {topic.name: _ending(topic, head, MAX_BATCH, now) for topic in topics if (head := found.get(topic.name))}

    def knows(self, topic: Topic, cursor: Cursor) -> bool:
        """Whether the cursor is of this life of the topic, by a consistent read (1 unit)."""
        head = self._store.head(topic.name, consistent=True)
        return cursor == START if head is None else not _ahead(cursor, head)

    def newest(self, topic: Topic, seen: Cursor = START) -> Page:
        """The newest event alone, for a reader without a position; `seen` is what a cache says it already holds."""
        head = self._newest_head(topic, seen)
        return Page(START, (), START, recovered=False) if head is None else _ending(topic, head, 1, self._clock())

    def recent(self, topic: Topic, limit: int = 100, seen: Cursor = START, *, consistent: bool = False) -> Page:
        """The newest events, at most `limit`, oldest first: what a reader without a position wants to see first.

        Half a unit where `seen` is the head; else the history is read consistently, one unit per 4 KB. `consistent`:
        it must also hold whatever was appended before this call.
        """
        head = self._store.head(topic.name, consistent=True) if consistent else self._newest_head(topic, seen)
        if head is None or seen == head.cursor:
            return Page(seen, (), seen, recovered=False)
        page = _ending(topic, head, limit, self._clock())
        missing = limit - len(page.events)
        if missing <= 0 or not topic.keeps_all or head.first == 1 or not page.events:
            return page
        older = self._store.history(topic.name, head.epoch, 1, head.first - 1, limit=missing, consistent=True, backward=True)
        return _extended(page, older, missing, self._clock())

    def _newest_head(self, topic: Topic, seen: Cursor) -> Append | None:
        """The head, read consistently where an eventually consistent read is missing or older than what was seen."""
        head = self._store.head(topic.name, consistent=False)
        if head is None or _ahead(seen, head):
            return self._store.head(topic.name, consistent=True)
        return head

    def _page(self, topic: Topic, after: Cursor, limit: int, *, consistent: bool) -> Page | None:
        """The page, or None where this read cannot honour the cursor."""
        head = self._store.head(topic.name, consistent=consistent)
        if head is None:
            return Page(START, (), START, recovered=True) if after == START and consistent else None
        if after != START and _ahead(after, head):
            return None
        seq = after.seq if after != START else 0
        if seq == head.last:
            return Page(after, (), after, recovered=True)
        if not topic.keeps_all:
            newest = tuple(head.unpacked(head.last - 1))
            return Page(after, newest, head.cursor, recovered=True)
        return self._run(topic, head, after, seq, limit, consistent=consistent)

    def _run(self, topic: Topic, head: Append, after: Cursor, seq: int, limit: int, *, consistent: bool) -> Page | None:
        """The unbroken run of events after `seq`, from history and then the head; None where it has a hole."""
        now, events, parts = self._clock(), list[Event](), list[Append]()
        if seq < head.first - 1:
            rows = self._store.history(topic.name, head.epoch, seq + 1, head.first - 1, limit=limit, consistent=consistent)
            parts.extend(rows)
        complete = not parts or parts[-1].last == head.first - 1
        for part in [*parts, head] if complete else parts:
            if part.first > seq + len(events) + 1 or part.expired(now):
                return None
            events.extend(part.unpacked(seq + len(events)))
            if len(events) >= limit:
                break
        if not events or not (complete or consistent or len(events) >= limit):
            return None
        chosen = tuple(events[:limit])
        return Page(after, chosen, chosen[-1].cursor, recovered=True, more=chosen[-1].seq < head.last)

    def _reset(self, topic: Topic) -> Page:
        head = self._store.head(topic.name, consistent=True)
        if head is None:
            return Page(START, (), START, recovered=False)
        if topic.keeps_all:
            return Page(head.cursor, (), head.cursor, recovered=False)
        return Page(START, tuple(head.unpacked(head.last - 1)), head.cursor, recovered=False)


def _ahead(cursor: Cursor, head: Append) -> bool:
    """Whether the cursor cannot be judged by this head: another epoch, or newer than it."""
    return cursor != START and (cursor.epoch != head.epoch or cursor.seq > head.last)


def _ending(topic: Topic, head: Append, limit: int, now: float) -> Page:
    """The last `limit` events of the head, if they have not expired; where only the newest is kept, it never does."""
    events = () if topic.keeps_all and head.expired(now) else tuple(head.unpacked(head.last - limit))
    after = Cursor(head.epoch, head.last - len(events))
    return Page(after, events, head.cursor, recovered=False)


def _extended(page: Page, older: Sequence[Append], missing: int, now: float) -> Page:
    """The page with older events before it, as far back as they are unbroken and unexpired."""
    events = list(page.events)
    for part in older:
        if part.last != events[0].seq - 1 or part.expired(now):
            break
        events[:0] = part.unpacked()
    chosen = tuple(events[-(missing + len(page.events)) :])
    return Page(Cursor(page.cursor.epoch, chosen[0].seq - 1), chosen, page.cursor, recovered=False)


def _key_id(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def _busy(topic: Topic) -> RealtimeError:
    return RealtimeError(Code.UNAVAILABLE, f"{topic.name} takes more appends than it can order: spread them over rooms", 1)
