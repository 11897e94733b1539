"""Everything that the cloud keeps in DynamoDB, in memory: for tests, benches and servers that run alone."""

import threading
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from operator import attrgetter

from realtime.connections import BURST_MS, MESSAGE_MS, Connection, Subscriber
from realtime.direct import Direction
from realtime.log import KEY_WINDOW_SECONDS, Append, Receipt, Swapped
from realtime.tickets import TICKET_SECONDS, Grant, Use

_last = attrgetter("last")

MEMORY_PAGE = 500
"""Subscribers in a page: small enough that tests go through several."""


class MemoryStore:
    """The log's items in dictionaries; one process, gone when it ends. Expired history is dropped as new comes in."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._heads: dict[str, Append] = {}
        self._history: dict[tuple[str, str], list[Append]] = {}  # by topic and epoch, in order of seq
        self._receipts: dict[tuple[str, str], Receipt] = {}

    def head(self, topic: str, *, consistent: bool) -> Append | None:  # noqa: ARG002 - memory is always consistent
        return self._heads.get(topic)

    def heads(self, topics: Sequence[str]) -> Mapping[str, Append]:
        return {topic: self._heads[topic] for topic in topics if topic in self._heads}

    def history(
        self,
        topic: str,
        epoch: str,
        first: int,
        last: int,
        *,
        limit: int,
        consistent: bool,  # noqa: ARG002 - memory is always consistent
        backward: bool = False,
    ) -> Sequence[Append]:
        with self._lock:
            rows = self._history.get((topic, epoch), [])
            start, end = bisect_left(rows, first, key=_last), bisect_right(rows, last, key=_last)
            return rows[max(start, end - limit) : end][::-1] if backward else rows[start : min(end, start + limit)]

    def receipt(self, topic: str, id: str) -> Receipt | None:
        return self._receipts.get((topic, id))

    def retire(self, head: Append, *, history: bool, receipt: bool) -> None:
        with self._lock:
            if history:
                rows = self._history.setdefault((head.topic, head.epoch), [])
                if not rows or rows[-1].last < head.last:
                    rows.append(head)
                del rows[: next((i for i, row in enumerate(rows) if not row.expired(head.at_ms / 1000)), len(rows))]
            if receipt:
                while (oldest := next(iter(self._receipts.items()), None)) and _outlived(oldest[1], head):
                    del self._receipts[oldest[0]]
                self._receipts[head.topic, head.id] = Receipt(head.epoch, head.first, head.at_ms, head.digest)

    def swap(self, expected: Append | None, new: Append) -> Swapped:
        with self._lock:
            current = self._heads.get(new.topic)
            if (current and current.cursor) != (expected and expected.cursor):
                return Swapped(done=False, head=current)
            self._heads[new.topic] = new
            return Swapped(done=True, head=new)


def _outlived(receipt: Receipt, head: Append) -> bool:
    """With as much again to spare: the times of appends run ahead of the clock where many come in one millisecond."""
    return receipt.at_ms + 2 * KEY_WINDOW_SECONDS * 1000 < head.at_ms


class MemoryTickets:
    """Tickets in a dictionary; expired ones go when a new one comes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._grants: dict[str, tuple[Grant, int]] = {}

    def put(self, hashed: str, grant: Grant, expires: int) -> None:
        with self._lock:
            self._grants = {h: kept for h, kept in self._grants.items() if kept[1] > expires - TICKET_SECONDS}
            self._grants[hashed] = grant, expires

    def take(self, hashed: str, use: Use, now: int) -> Grant | None:
        with self._lock:
            grant, expires = self._grants.get(hashed, (None, 0))
            return self._grants.pop(hashed)[0] if grant and expires > now and grant.use == use else None


class MemoryCounters:
    """Counters in a dictionary; those of earlier windows go when a new window begins."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, tuple[int, int]] = {}

    def count(self, name: str, limit: int, expires: int) -> bool:
        with self._lock:
            if name not in self._counts:
                self._counts = {n: kept for n, kept in self._counts.items() if kept[1] >= expires}
            counted = self._counts.get(name, (0, expires))[0]
            if counted < limit:
                self._counts[name] = counted + 1, expires
            return counted < limit


class MemoryDirections:
    """What features are directed to, in a dictionary; what is over is honoured by the reader, as with DynamoDB's TTL."""

    def __init__(self) -> None:
        self._directions: dict[str, Direction] = {}

    def direction(self, feature: str) -> Direction | None:
        return self._directions.get(feature)

    def put(self, feature: str, direction: Direction) -> None:
        self._directions[feature] = direction

    def remove(self, feature: str) -> None:
        self._directions.pop(feature, None)


class MemoryConnections:
    """Rows of connections and subscriptions in dictionaries; `expires` is honoured by the reader, as with DynamoDB's TTL."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.connections: dict[str, Connection] = {}
        self.subscribers: dict[str, dict[str, Subscriber]] = {}  # by key of the shard, then by connection

    def put(self, connection: Connection) -> None:
        with self._lock:
            self.connections[connection.id] = connection

    def count(self, id: str, now_ms: int, *, rested: bool) -> tuple[bool, Connection | None]:
        with self._lock:
            row = self.connections.get(id)
            if row is None or (row.due_ms > now_ms if rested else not now_ms < row.due_ms <= now_ms + BURST_MS):
                return False, row
            row = self.connections[id] = row._replace(due_ms=(now_ms if rested else row.due_ms) + MESSAGE_MS)
            return True, row

    def charge(self, id: str, cost_ms: int) -> int | None:
        with self._lock:
            if (row := self.connections.get(id)) is None:
                return None
            self.connections[id] = row._replace(due_ms=row.due_ms + cost_ms)
            return row.due_ms + cost_ms

    def join(self, id: str, key: str) -> Connection | None:
        with self._lock:
            if (row := self.connections.get(id)) is None:
                return None
            row = self.connections[id] = row._replace(subscriptions=row.subscriptions | {key})
            return row

    def enrol(self, key: str, subscriber: Subscriber) -> None:
        with self._lock:
            self.subscribers.setdefault(key, {})[subscriber.connection] = subscriber

    def subscriber(self, id: str, key: str) -> Subscriber | None:
        return self.subscribers.get(key, {}).get(id)

    def leave(self, id: str, key: str, rule: str | None) -> None:
        with self._lock:
            subscriber = self.subscribers.get(key, {}).get(id)
            if rule is not None and (subscriber is None or subscriber.rule != rule):
                return
            if row := self.connections.get(id):
                self.connections[id] = row._replace(subscriptions=row.subscriptions - {key})
            self._forget(id, key)

    def renew(self, connection: Connection) -> Connection | None:
        with self._lock:
            if (row := self.connections.get(connection.id)) is None:
                return None
            row = self.connections[connection.id] = row._replace(principal=connection.principal, scope=connection.scope)
            return row

    def remove(self, id: str, key: str | None) -> None:
        with self._lock:
            row = self.connections.pop(id, None)
            for subscription in (row.subscriptions if row else frozenset()) | ({key} if key else set()):
                self._forget(id, subscription)

    def page(self, key: str, after: str | None) -> tuple[Sequence[Subscriber], str | None]:
        with self._lock:
            shard = self.subscribers.get(key, {})
            names = sorted(name for name in shard if after is None or name > after)
            return [shard[name] for name in names[:MEMORY_PAGE]], names[MEMORY_PAGE - 1] if len(names) > MEMORY_PAGE else None

    def _forget(self, id: str, key: str) -> None:
        shard = self.subscribers.get(key, {})
        shard.pop(id, None)
        if not shard:
            self.subscribers.pop(key, None)
