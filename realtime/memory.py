"""Everything that the cloud keeps in DynamoDB, in memory: for tests, benches and servers that run alone."""

import threading
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from operator import attrgetter

from realtime.log import KEY_WINDOW_SECONDS, Append, Receipt, Swapped
from realtime.tickets import TICKET_SECONDS, Grant, Use

_last = attrgetter("last")


class MemoryStore:
    """The log's items in dictionaries; one process, gone when it ends. Expired history is dropped as new comes in."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._heads: dict[str, Append] = {}
        self._history: dict[tuple[str, str], list[Append]] = {}  # by topic and epoch, in order of seq
        self._receipts: dict[tuple[str, str], Receipt] = {}

    def head(self, topic: str, *, consistent: bool) -> Append | None:  # noqa: ARG002 - memory is always consistent
        return self._heads.get(topic)

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
    return receipt.at_ms + KEY_WINDOW_SECONDS * 1000 < head.at_ms


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
