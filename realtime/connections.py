"""Open WebSocket connections and who subscribes to what: one row a connection, one a subscription.

A topic's subscriptions are spread over shards, so that neither one partition nor one fan-out carries them all.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol
from zlib import crc32

from realtime.errors import Code, RealtimeError
from realtime.features import Feature, Topic
from realtime.frames import MAX_SUBSCRIPTIONS
from realtime.policy import Principal

ROW_SECONDS = 2 * 3600 + 600
"""API Gateway ends a connection after 2 h; its rows outlive it by ten minutes and are never refreshed."""

MESSAGE_MS = 100
"""What a message costs of a connection's allowance: ten a second in the long run."""

BURST_MS = 6_000
"""How far a connection may be ahead: 60 messages at once."""

OFFENCE_MS = 1_000
"""What a refused message costs on top."""

DEBT_MS = 20_000
"""A connection that is so far ahead of its allowance is closed: 20 refusals in a row, fewer in a flood."""

MAX_SUBSCRIPTION_CHARS = 2_000
"""They stand in the connection's row, which every message writes: a unit for each KB."""

SUBSCRIBERS_PER_SHARD = 1_000
MAX_SHARDS = 64


class Connection(NamedTuple):
    """One open connection.

    `scope`: the topics of the ticket it was opened with; None for whatever its token allows. `subscriptions` are the
    keys of its subscription rows. `due_ms`: when its allowance of messages is whole again (Unix milliseconds).
    """

    id: str
    principal: Principal
    scope: tuple[str, ...] | None
    connected_ms: int
    subscriptions: frozenset[str] = frozenset()
    due_ms: int = 0

    @property
    def expires(self) -> int:
        """When its rows are of no more use, in Unix seconds."""
        return self.connected_ms // 1000 + ROW_SECONDS


class Subscriber(NamedTuple):
    """A subscription as the fan-out sees it: `until` (Unix seconds) is when the token ends, `rule` what admitted it."""

    connection: str
    until: float
    rule: str
    batch: bool
    expires: int


class ConnectionStore(Protocol):
    """Rows of connections and subscriptions. Costs are write units, for rows of at most 1 KB."""

    def put(self, connection: Connection) -> None:
        """A new connection. 1 unit."""

    def count(self, id: str, now_ms: int, *, rested: bool) -> tuple[bool, Connection | None]:
        """Take a message off the allowance, if it is whole (`rested`) or else in use but not used up; and the row. 1 unit."""

    def charge(self, id: str, cost_ms: int) -> int | None:
        """Add to `due_ms` and return it; None where there is no such connection. 1 unit."""

    def join(self, id: str, key: str) -> Connection | None:
        """Note a subscription in the connection's row, and return that; None where the connection is gone. 1 unit."""

    def enrol(self, key: str, subscriber: Subscriber) -> None:
        """Write the subscription's own row, which fan-outs find. 1 unit. A disconnect since `join` leaves it to the next push."""

    def subscriber(self, id: str, key: str) -> Subscriber | None:
        """One subscription, consistently. 1 unit."""

    def leave(self, id: str, key: str, rule: str | None) -> None:
        """Remove a subscription; with `rule`, only if it was admitted by that one. 2 units."""

    def renew(self, connection: Connection) -> Connection | None:
        """Store another principal and scope, and return the row; None where the connection is gone. 1 unit."""

    def remove(self, id: str, key: str | None) -> None:
        """Remove a connection and its subscriptions, that of `key` also if its row does not name it. 1 unit, and 1 a subscription."""

    def page(self, key: str, after: str | None) -> tuple[Sequence[Subscriber], str | None]:
        """Subscribers of a shard, by connection id, consistently: up to 1 MB (some 8,000), and where to go on. 1 unit per 4 KB."""


class Connections:
    """The rules over the rows: what expires when, who sends too much, which shard is whose."""

    def __init__(self, store: ConnectionStore, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock

    def open(self, connection: Connection) -> None:
        """Remember a new connection."""
        self._store.put(connection)

    def admit(self, id: str) -> Connection | None:
        """The connection, after one of its messages was counted; None where it is gone. 1 unit, 2 within a burst.

        `too_many_requests` where its allowance is used up: nothing is counted then.
        """
        now_ms = int(self._clock() * 1000)
        wait_ms = 0
        for rested in (True, False):
            counted, row = self._store.count(id, now_ms, rested=rested)
            if row is None or row.expires <= self._clock():
                return None
            if counted:
                return row
            wait_ms = row.due_ms - now_ms - BURST_MS
        raise RealtimeError(Code.TOO_MANY_REQUESTS, f"a connection may send {1000 // MESSAGE_MS} messages a second", max(1, wait_ms / 1000))

    def offend(self, id: str) -> bool:
        """Charge a refused message; whether the connection has done it so often that it must be closed. 1 unit."""
        due_ms = self._store.charge(id, OFFENCE_MS)
        return due_ms is not None and due_ms > self._clock() * 1000 + BURST_MS + DEBT_MS

    def subscribe(self, connection: Connection, topic: Topic, *, batch: bool) -> Connection | None:
        """Add the topic; from now on fan-outs find it. None where the connection is gone. 2 units."""
        key = shard_key(topic, shard_of(topic.feature, connection.id))
        keys = {other for other in connection.subscriptions if topic_of(other) != topic.name} | {key}
        if len(keys) > MAX_SUBSCRIPTIONS or sum(map(len, keys)) > MAX_SUBSCRIPTION_CHARS:
            limits = f"{MAX_SUBSCRIPTIONS} topics, whose names have at most {MAX_SUBSCRIPTION_CHARS} characters together"
            raise RealtimeError(Code.INVALID, f"a connection has at most {limits}: unsubscribe from one")
        row = self._store.join(connection.id, key)
        if row:  # as it now is: its token may have been renewed since this message was admitted
            self._store.enrol(key, Subscriber(row.id, row.principal.expires, topic.feature.access.read, batch, row.expires))
        return row

    def unsubscribe(self, connection: Connection, topic: str) -> None:
        """Take the topic away, in whatever shard it is. 2 units."""
        for key in connection.subscriptions:
            if topic_of(key) == topic:
                self._store.leave(connection.id, key, None)

    def charge(self, id: str, messages: float) -> None:
        """Take something that is worth so many messages off the allowance. 1 unit."""
        self._store.charge(id, int(messages * MESSAGE_MS))

    def renew(self, connection: Connection) -> Connection | None:
        """Store the connection's new principal; None where it is gone. Its subscriptions are to be written anew. 1 unit."""
        return self._store.renew(connection)

    def resubscribe(self, connection: Connection, topic: Topic, key: str) -> None:
        """Write a subscription anew, with what the connection's principal now is and into the shard where it now belongs."""
        row = self._store.subscriber(connection.id, key)
        moved = self.subscribe(connection, topic, batch=row is not None and row.batch)
        if moved and key != shard_key(topic, shard_of(topic.feature, connection.id)):
            self._store.leave(connection.id, key, None)

    def settle(self, connection: Connection, topic: Topic, key: str) -> None:
        """Move a subscription that lies in an old shard, since the feature's `readers` were changed; else this costs nothing."""
        if key != shard_key(topic, shard_of(topic.feature, connection.id)):
            self.resubscribe(connection, topic, key)

    def remove(self, id: str, key: str | None = None) -> None:
        """Forget a closed connection: exactly its row and its subscriptions (and that of `key`, by which it was found)."""
        self._store.remove(id, key)

    def drop(self, id: str, key: str, rule: str | None = None) -> None:
        """Take one subscription away; with `rule`, unless it was written anew by another rule."""
        self._store.leave(id, key, rule)

    def subscribers(self, key: str, after: str | None = None) -> Iterator[list[Subscriber]]:
        """Pages of a shard's subscribers, those whose connection can still be open, read consistently as they are asked for."""
        while True:
            page, after = self._store.page(key, after)
            yield [subscriber for subscriber in page if subscriber.expires > self._clock()]
            if after is None:
                return


def shards(feature: Feature) -> int:
    """How many shards a feature's topics have: one per thousand of its `readers`."""
    return min(MAX_SHARDS, -(-feature.readers // SUBSCRIBERS_PER_SHARD))


def shard_of(feature: Feature, id: str) -> int:
    """The shard of a connection's subscriptions."""
    return crc32(id.encode()) % shards(feature)


def shard_key(topic: Topic, shard: int) -> str:
    """The partition of a shard's subscriptions; no topic has a #."""
    return f"{topic.name}#{shard}"


def topic_of(key: str) -> str:
    """The topic of a subscription's key."""
    return key.rpartition("#")[0]
