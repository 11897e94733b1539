"""Where a reader of one topic stands: of events that come twice, late or in any order, each is handed on once and in order."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, NamedTuple

START = "0-0"
"""The cursor of an empty topic: before every event, of whatever epoch."""

MAX_HELD = 1_000
"""Events that wait for what comes before them; what does not fit comes with the next page."""


@dataclass(frozen=True, slots=True)
class Event:
    """An event of the log. `at` is ISO 8601, in UTC; `prev` the cursor that it follows."""

    topic: str
    seq: int
    epoch: str
    type: str
    data: Any
    at: str
    prev: str = field(default="", repr=False, compare=False)

    @property
    def cursor(self) -> str:
        """Where to go on after it."""
        return f"{self.epoch}-{self.seq}"

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> "Event":
        """As it comes over the wire."""
        return cls(told["topic"], told["seq"], told["epoch"], told["type"], told["data"], told["at"], told.get("prev", START))


class Page(NamedTuple):
    """The answer to a read after `after` (None: without a position): what follows it, up to `cursor`. `recovered`: whether it was honoured.

    `cursor` None: the position is not of this log any more, and the next read, without one, begins anew.
    """

    after: str | None
    cursor: str | None
    recovered: bool
    events: Sequence[Event] = ()


class Order:
    """The drop-and-hold rule. It knows nothing of time: who asks again for what is missing, and when, is not its business."""

    def __init__(self, cursor: str | None = None) -> None:
        self._held: list[Event] = []
        self.cursor = cursor

    @property
    def cursor(self) -> str | None:
        """Everything up to here was handed on; None while there is no position."""
        return self._cursor

    @cursor.setter
    def cursor(self, cursor: str | None) -> None:
        self._cursor = cursor
        self._epoch, self._seq = split(cursor or START)

    @property
    def gap(self) -> bool:
        """Whether events wait for what comes before them."""
        return bool(self._held)

    def push(self, events: Iterable[Event]) -> list[Event]:
        """Take events as they were pushed, which are hints, and return those that can be handed on now, in order."""
        ready = []
        waiting = sorted([*self._held, *events], key=_by_seq)
        self._held = []
        for event in waiting:
            if self._cursor is not None and self._follows(event):
                self._move(event)
                ready.append(event)
            elif len(self._held) < MAX_HELD and (self._cursor is None or self._is_new(event)):
                self._held.append(event)
        return ready

    def page(self, page: Page) -> tuple[bool, list[Event]]:
        """Whether the position was lost, so that events begin anew; and those that can be handed on now.

        What answers somebody else's read is no more than events that were pushed.
        """
        lost = False
        if page.after is not None and page.after == self._cursor and not (page.recovered and page.after == START):
            epoch = split(page.cursor or "")[0]
            self._held = [event for event in self._held if event.epoch == epoch]  # others are of a life before
            lost = not page.recovered
        if lost:
            self.cursor = page.cursor
        if self._cursor is None and page.after is None and page.cursor is not None:
            return False, self._begin(page.cursor, page.events)
        return lost, self.push(page.events)

    def _begin(self, cursor: str, events: Sequence[Event]) -> list[Event]:
        """Stand at the page's cursor, or before the oldest event that it brought along."""
        self.cursor = cursor
        oldest = min((event for event in [*self._held, *events] if not self._is_new(event)), key=_by_seq, default=None)
        if oldest:
            self.cursor = oldest.prev
        return self.push(events)

    def _move(self, event: Event) -> None:
        self._cursor, self._epoch, self._seq = event.cursor, event.epoch, event.seq

    def _is_new(self, event: Event) -> bool:
        """Whether it is beyond the cursor: further on, or in another life of the topic."""
        return event.epoch != self._epoch or event.seq > self._seq

    def _follows(self, event: Event) -> bool:
        """Whether it is new, and nothing is missing between the cursor and it: a topic's first event follows START, too."""
        if self._cursor == START:
            return event.prev in (START, f"{event.epoch}-0")
        epoch, seq = split(event.prev)
        return epoch == self._epoch == event.epoch and seq <= self._seq < event.seq


_by_seq = attrgetter("seq")


def split(cursor: str) -> tuple[str, int]:
    """Epoch and seq; an epoch has no dash. What is no cursor has an epoch of its own, which no server knows."""
    epoch, _, seq = cursor.rpartition("-")
    return (epoch, int(seq)) if seq.isdecimal() else (cursor, 0)


def ahead(cursor: str, other: str) -> bool:
    """Whether a cursor is beyond another: further on, or in another life of the topic."""
    (epoch, seq), (other_epoch, other_seq) = split(cursor), split(other)
    return epoch != other_epoch or seq > other_seq
