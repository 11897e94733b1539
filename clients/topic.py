"""A topic and its ladder: which transports feed its one position. The best that is live serves; better ones keep trying."""

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from clients.facts import Feature
from clients.network import Refused, Timers
from clients.order import Event, Order, Page

if TYPE_CHECKING:
    from collections.abc import Callable

    from clients.link import Link
    from clients.realtime import Client

HEDGE_SECONDS = 0.8
"""A transport that is not live by then: the next one starts as well."""

DESCEND_SECONDS = 1.0
"""Full jitter: whoever lost a server lost it with everybody else."""

GAP_SECONDS = 1.0
"""What came after a gap is held that long; in vain, then twice as long each time."""

MAX_GAP_SECONDS = 60.0
MAX_BUFFER = 1_000
"""Events that wait for the application; then what feeds the topic waits, too."""

State = Literal["connecting", "live", "retrying", "refused", "closed"]


class Reset(Exception):  # noqa: N818 - an answer, not a failure
    """The position is lost: load your state anew. Who goes on iterating gets what follows from now on."""


@dataclass(frozen=True, slots=True)
class Status:
    """How a subscription does. `latency`: milliseconds from an event's `at` to here, as far as the clocks agree; None before the first."""

    state: State
    transport: str | None
    latency: float | None
    cursor: str | None
    received: int
    problem: str


@dataclass(slots=True, eq=False)
class _Rung:
    kind: str
    link: "Link | None" = None
    live: bool = False


class Topic:
    """The position, what waits for the application, and the transports that serve."""

    feature: Feature

    def __init__(
        self, client: "Client", name: str, *, after: str | None, recent: int, on_status: "Callable[[Status], object] | None"
    ) -> None:
        self.client = client
        self.name = name
        self.recent = recent
        """Events to begin with, where there is no position."""

        self.problem = ""
        self.buffer: deque[Event | Reset] = deque()
        self.over: Exception | None = None
        """Why nothing more will come: refused, or (`StopAsyncIteration`) closed."""

        self.news = asyncio.Event()
        """Something is in the buffer, or it is over."""

        self.received = 0
        self._on_status = on_status
        self._taken = asyncio.Event()  # set while there is room
        self._taken.set()
        self._newest: tuple[Event, float] | None = None  # and when it came, in Unix seconds
        self._order = Order(after)
        self._rungs: list[_Rung] = []
        self._reached = -1  # the last rung that was started
        self._timers = Timers()
        self._gap_seconds = GAP_SECONDS

    @property
    def cursor(self) -> str | None:
        return self._order.cursor

    @property
    def status(self) -> Status:
        state: State = "live" if self._serving else "retrying" if self.problem else "connecting"
        if self.over:
            state = "refused" if isinstance(self.over, Refused) else "closed"
        transport = self._serving.kind if self._serving else None
        return Status(state, transport, self._latency, self.cursor, self.received, self.problem)

    # What the application says

    def start(self, feature: Feature, kinds: Iterable[str]) -> None:
        self.feature = feature
        self._rungs = [_Rung(kind) for kind in kinds]
        self._reach(0)

    def take(self) -> Event | Reset:
        """The next that waits."""
        item = self.buffer.popleft()
        if len(self.buffer) < MAX_BUFFER:
            self._taken.set()
        if not self.buffer and not self.over:
            self.news.clear()
        return item

    def end(self, why: Exception) -> None:
        """Nothing more comes. What waits already may still be taken."""
        if self.over:
            return
        self.over = why
        self._timers.cancel()
        self._leave(0)
        self.news.set()
        self._taken.set()
        self.changed()

    def changed(self) -> None:
        if self._on_status:
            self.client.tell(self._on_status, self.status)

    # What links say

    def push(self, events: Iterable[Event]) -> None:
        """Hints, as they came."""
        self._hand_on(self._order.push(events))

    def page(self, page: Page) -> None:
        """The answer to a read."""
        lost, events = self._order.page(page)
        if lost:
            self._put([Reset(f"{self.name}: the position {page.after} cannot be honoured: load your state anew")])
        if self.cursor is not None:
            self.recent = 0
        self._hand_on(events)

    async def room(self) -> None:
        """Wait until the application has room for more."""
        if len(self.buffer) >= MAX_BUFFER:
            await self._taken.wait()

    @property
    def full(self) -> bool:
        return len(self.buffer) >= MAX_BUFFER and not self.over

    def up(self, link: "Link") -> None:
        """The link serves: worse ones are not needed."""
        index = next((index for index, rung in enumerate(self._rungs) if rung.link is link), None)
        if index is None or self._rungs[index].live:
            return
        self._rungs[index].live = True
        self.problem = self.problem if index else ""
        self._timers.cancel("hedge", "descend")
        self._leave(index + 1)
        self.changed()

    def down(self, link: "Link", error: Exception) -> None:
        """The link does not serve, or not any more: the next one is tried as well."""
        rung = next((rung for rung in self._rungs if rung.link is link), None)
        if rung is None:
            return
        rung.live = False
        self.problem = str(error)
        below = self._reached + 1
        if self._serving is None and below < len(self._rungs) and "descend" not in self._timers:
            self._timers.after(self.client.random.uniform(0, DESCEND_SECONDS), "descend", lambda: self._reach(below))
        self.changed()

    def refuse(self, error: Refused) -> None:
        """No transport will ever serve it."""
        self.problem = str(error)
        self.end(error)

    def move(self, old: "Link", new: "Link") -> None:
        """Be served by another link of the same kind."""
        for rung in self._rungs:
            if rung.link is old:
                rung.link = new
                old.detach(self)
                new.attach(self)

    # Within

    @property
    def _serving(self) -> _Rung | None:
        return next((rung for rung in self._rungs if rung.live), None)

    @property
    def _latency(self) -> float | None:
        if self._newest is None:
            return None
        event, came = self._newest
        return max(0.0, 1000 * (came - datetime.fromisoformat(event.at).timestamp()))

    def _reach(self, index: int) -> None:
        """Start a rung; and the next, if this one takes too long."""
        if self._serving or self.over or not self._reached < index < len(self._rungs):
            return
        self._reached, rung = index, self._rungs[index]
        self._timers.after(HEDGE_SECONDS, "hedge", lambda: self._reach(index + 1))
        rung.link = self.client.link(rung.kind, self)
        rung.link.attach(self)

    def _leave(self, index: int) -> None:
        """Stop this rung and those below it."""
        for rung in self._rungs[index:]:
            link, rung.link, rung.live = rung.link, None, False
            if link:
                link.detach(self)
        self._reached = min(self._reached, index - 1)

    def _hand_on(self, events: Sequence[Event]) -> None:
        if events:
            self._gap_seconds = GAP_SECONDS
            self._newest = events[-1], time.time()
            self._put(events)
        if self._order.gap:
            self._mind_gap()
        elif "gap" in self._timers:
            self._timers.cancel("gap")

    def _put(self, items: Sequence[Event | Reset]) -> None:
        if self.over:
            return
        self.buffer.extend(items)
        self.news.set()
        if len(self.buffer) >= MAX_BUFFER:
            self._taken.clear()

    def _mind_gap(self) -> None:
        if "gap" not in self._timers:
            self._timers.after(self._gap_seconds, "gap", self._ask_again)
            self._gap_seconds = min(MAX_GAP_SECONDS, 2 * self._gap_seconds)

    def _ask_again(self) -> None:
        if (rung := self._serving) and rung.link:
            rung.link.read(self)
        self._mind_gap()
