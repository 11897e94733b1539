"""Fan-out: an append -> the subscribers of its topic, shard by shard -> their connections; what is left over -> the queue.

Pushes are hints: one may be lost, repeated or late, and the reader's cursor notices. So nothing here is retried for
long, and no connection waits for another.
"""

import json
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from functools import cached_property
from typing import NamedTuple, Protocol

from realtime import frames
from realtime.connections import Connections, Subscriber, shard_key, shards
from realtime.cursor import Cursor
from realtime.errors import Code, RealtimeError
from realtime.event import Event, NewEvent
from realtime.features import Topic
from realtime.gateway import Gateway, Job, Outcome

PROMPT_SECONDS = 1.0
"""What the publisher's own push may take: his client waits 2 s for the ack. Whoever is left is handed over."""

PATIENCE_SECONDS = 0.3
"""What it waits for a single connection: one that hangs must not keep everybody's ack."""

AGE_SECONDS = 300
"""A push that late is of no use: every client has compared its cursor with the head by then."""

CLEARED = 200
"""Stale rows that one push removes, a quarter of a second's work: the next push meets the others again."""

THREADS = 8

logger = logging.getLogger("realtime.fanout")

_EXPIRED = frames.error(RealtimeError(Code.EXPIRED, "the token has expired: connect again with a new one"), {})


class Push(NamedTuple):
    """Events of one append, and whom they are for: a shard's subscribers behind `after`, a connection id (None: all of them)."""

    events: tuple[Event, ...]
    shard: int
    after: str | None = None

    def encode(self) -> str:
        """As a message of the queue. In ASCII: SQS does not carry every character of JSON (U+FFFF, for one)."""
        first = self.events[0]
        kept = [[event.type, event.data_json] for event in self.events]
        place = {"topic": first.topic, "epoch": first.epoch, "first": first.seq, "at": first.at_ms}
        return json.dumps({**place, "events": kept, "shard": self.shard, "after": self.after}, separators=(",", ":"))

    @classmethod
    def decode(cls, text: str) -> "Push":
        """Back from a message of the queue."""
        found = json.loads(text)
        kept = enumerate((NewEvent(*event) for event in found["events"]), found["first"])
        events = tuple(Event(found["topic"], found["epoch"], seq, e.type, e.data_json, found["at"]) for seq, e in kept)
        return cls(events, found["shard"], found["after"])


class Queue(Protocol):
    def send(self, pushes: Sequence[Push]) -> None:
        """Hand pushes to other invocations, each at least once."""


class Fanout:
    """Pushes events to subscribers, at once where they are few, by parallel invocations where they are many."""

    def __init__(self, connections: Connections, gateway: Gateway, queue: Queue, clock: Callable[[], float] = time.time) -> None:
        self._connections = connections
        self._gateway = gateway
        self._queue = queue
        self._clock = clock

    def deliver(self, topic: Topic, events: tuple[Event, ...], *, seconds: float = PROMPT_SECONDS, patience: float | None = None) -> None:
        """Push an append to everybody: here and now for a topic of one shard, else one invocation a shard.

        `patience`: a connection that has not answered after so many seconds is not waited for.
        """
        pushes = [Push(events, shard) for shard in range(shards(topic.feature))]
        if len(pushes) == 1:
            self.push(topic, pushes[0], seconds=seconds, patience=patience)
        else:
            self._queue.send(pushes)

    def push(self, topic: Topic, push: Push, *, seconds: float, patience: float | None = None) -> None:
        """Push to one shard within the time, and hand over whoever is left. What is too old to be of use is dropped."""
        if self._clock() - push.events[-1].at_ms / 1000 > AGE_SECONDS:
            return
        key, deadline, last = shard_key(topic, push.shard), self._clock() + seconds, push.after
        parcel, threads = _Parcel(topic, push.events, self._clock()), ThreadPoolExecutor(THREADS)
        clearing = _Clearing(self._connections, key, threads)
        try:
            pages = self._connections.subscribers(key, push.after)
            coming = threads.submit(next, pages, None)
            while (page := coming.result()) is not None:
                coming = threads.submit(next, pages, None)  # the next page is on its way while this one is posted
                jobs = [parcel.job(subscriber) for subscriber in page]
                outcomes = self._gateway.run(jobs, seconds=max(0.0, deadline - self._clock()), patience=patience)
                clearing.begin(page, jobs, outcomes)
                if Outcome.UNSENT in outcomes:
                    begun = outcomes.index(Outcome.UNSENT)
                    self._queue.send([push._replace(after=page[begun - 1].connection if begun else last)])
                    return
                last = page[-1].connection if page else last
            clearing.finish(seconds=max(0.0, deadline - self._clock()))
        finally:
            threads.shutdown(wait=False, cancel_futures=True)


class _Clearing:
    """Removes the rows of connections that are gone or were just closed, and subscriptions that are not allowed any more.

    As far as there is time: whatever stays is met again by the next push.
    """

    def __init__(self, connections: Connections, key: str, threads: Executor) -> None:
        self._connections = connections
        self._key = key
        self._threads = threads
        self._removals: list[Future[None]] = []

    def begin(self, page: Sequence[Subscriber], jobs: Sequence[Job], outcomes: Sequence[Outcome]) -> None:
        """Look at what became of a page's jobs."""
        for subscriber, job, outcome in zip(page, jobs, outcomes, strict=True):
            if len(self._removals) == CLEARED:
                return
            if outcome is Outcome.GONE or (job.close and outcome is Outcome.SENT):
                self._removals.append(self._threads.submit(self._connections.remove, job.connection, self._key))
            elif outcome is Outcome.SENT and job.refused:
                self._removals.append(self._threads.submit(self._connections.drop, job.connection, self._key, subscriber.rule))

    def finish(self, *, seconds: float) -> None:
        """Give them that much time, and say what failed."""
        done, _ = wait(self._removals, timeout=seconds)
        if failures := [removal.exception() for removal in done if removal.exception()]:
            logger.warning("%d stale rows could not be removed: %r", len(failures), failures[0])


class _Parcel:
    """What each subscriber gets: encoded once for all of them."""

    def __init__(self, topic: Topic, events: tuple[Event, ...], now: float) -> None:
        self._topic = topic
        self._events = events
        self._now = now

    def job(self, subscriber: Subscriber) -> Job:
        """The events; or the reason why there are none any more."""
        if subscriber.until <= self._now:
            return Job(subscriber.connection, (_EXPIRED,), close=True)
        if subscriber.rule != self._topic.feature.access.read:
            return Job(subscriber.connection, self._forbidden, refused=True)
        return Job(subscriber.connection, self._batched if subscriber.batch else self._single)

    @cached_property
    def _forbidden(self) -> tuple[bytes, ...]:
        refusal = RealtimeError(Code.FORBIDDEN, "the rule for reading this topic has changed: subscribe again")
        return (frames.error(refusal, {"topic": self._topic.name}),)

    @cached_property
    def _single(self) -> tuple[bytes, ...]:
        return frames.deliver(self._topic.name, self._deliveries, batch=False)

    @cached_property
    def _batched(self) -> tuple[bytes, ...]:
        return frames.deliver(self._topic.name, self._deliveries, batch=True)

    @cached_property
    def _deliveries(self) -> list[tuple[Event, Cursor]]:
        """Each event with the cursor that it follows: where only the newest counts, it follows whatever the reader has."""
        if self._topic.keeps_all:
            return [(event, Cursor(event.epoch, event.seq - 1)) for event in self._events]
        return [(self._events[-1], Cursor(self._events[-1].epoch, 0))]
