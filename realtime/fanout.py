"""Fan-out: an append -> the subscribers of its topic, shard by shard -> their connections; what is left over -> the queue.

Pushes are hints: one may be lost, repeated or late, and the reader's cursor notices. So nothing here is retried for
long, and no connection waits for another.
"""

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

from realtime import frames
from realtime.connections import Connections, Subscriber, shard_key, shards
from realtime.cursor import Cursor
from realtime.errors import Code, RealtimeError
from realtime.event import Event, NewEvent
from realtime.features import Topic
from realtime.gateway import Gateway, Job, Outcome

PROMPT_SECONDS = 1.0
"""What the publisher's own push may take: his client waits 2 s for the ack. Whoever is left is handed over."""

CLEARED = 200
"""Stale rows that one push removes, a quarter of a second's work: the next push meets the others again."""

THREADS = 8

_EXPIRED = frames.error(RealtimeError(Code.EXPIRED, "the token has expired: connect again with a new one"), {})


@dataclass(frozen=True, slots=True)
class Push:
    """Events of one append, and whom they are for: a shard's subscribers behind `after`, a connection id (None: all of them)."""

    events: tuple[Event, ...]
    shard: int
    after: str | None = None

    def encode(self) -> str:
        """As a message of the queue."""
        first = self.events[0]
        kept = [[event.type, event.data_json] for event in self.events]
        place = {"topic": first.topic, "epoch": first.epoch, "first": first.seq, "at": first.at_ms}
        return json.dumps({**place, "events": kept, "shard": self.shard, "after": self.after}, ensure_ascii=False, separators=(",", ":"))

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

    def deliver(self, topic: Topic, events: tuple[Event, ...], *, seconds: float = PROMPT_SECONDS) -> None:
        """Push an append to everybody: here and now for a topic of one shard, else one invocation a shard."""
        pushes = [Push(events, shard) for shard in range(shards(topic.feature))]
        if len(pushes) == 1:
            self.push(topic, pushes[0], seconds=seconds)
        else:
            self._queue.send(pushes)

    def push(self, topic: Topic, push: Push, *, seconds: float) -> None:
        """Push to one shard within the time, and hand over whoever is left."""
        key, deadline, last = shard_key(topic, push.shard), self._clock() + seconds, push.after
        parcel = _Parcel(topic, push.events, self._clock())
        with ThreadPoolExecutor(THREADS) as threads:
            pages = self._connections.subscribers(key, push.after)
            coming = threads.submit(next, pages, None)
            while (page := coming.result()) is not None:
                coming = threads.submit(next, pages, None)  # the next page is on its way while this one is posted
                jobs = [parcel.job(subscriber) for subscriber in page]
                outcomes = self._gateway.run(jobs, seconds=max(0.0, deadline - self._clock()))
                self._clear(key, parcel, jobs, outcomes, threads)
                if Outcome.UNSENT in outcomes:
                    begun = outcomes.index(Outcome.UNSENT)
                    self._queue.send([replace(push, after=page[begun - 1].connection if begun else last)])
                    return
                last = page[-1].connection if page else last

    def _clear(self, key: str, parcel: "_Parcel", jobs: list[Job], outcomes: list[Outcome], threads: Executor) -> None:
        """Remove the rows of connections that are gone or were just closed, and subscriptions that are not allowed any more."""
        done = [(job, outcome) for job, outcome in zip(jobs, outcomes, strict=True) if outcome in (Outcome.GONE, Outcome.SENT)]
        ended = [job.connection for job, outcome in done if outcome is Outcome.GONE or job.close]
        refused = [job.connection for job, outcome in done if outcome is Outcome.SENT and job.frames == parcel.forbidden]
        for connection in ended[:CLEARED]:
            threads.submit(self._connections.remove, connection, key)
        for connection in refused[:CLEARED]:
            threads.submit(self._connections.drop, connection, key)


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
            return Job(subscriber.connection, self.forbidden)
        return Job(subscriber.connection, self._batched if subscriber.batch else self._single)

    @cached_property
    def forbidden(self) -> tuple[bytes, ...]:
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
