"""A connection by one transport: made when topics need it, made again with backoff when it is lost, ended when none is left."""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

from clients.network import Refused, Timers, backoff, reason
from clients.order import Page

if TYPE_CHECKING:
    from clients.realtime import Client
    from clients.topic import Topic

LIVED_SECONDS = 5.0
"""A connection that lived so long was a good one: the next wait begins at 1 s again."""

FRESH_TOKENS = 2
"""So many that are refused in a row, and it is for good."""


class Link:
    """What the transports share. Each adds `open()`, which returns or raises when its connection has ended.

    While it is open it calls `live()` when it serves; `added`, `removed` and `read` tell it what its topics want.
    """

    kind: ClassVar[str]
    room: ClassVar[int]
    """Topics at most."""

    def __init__(self, client: "Client", *, alone: bool = False, recent: int = 0) -> None:
        self.client = client
        self.alone = alone
        self.recent = recent
        self.topics: dict[str, Topic] = {}
        self.timers = Timers()  # of one connection
        self.told = 0.0
        """Seconds that the server wants its clients to wait before they come back."""

        self._serving: set[str] = set()  # topics
        self._failures = 0
        self._live_at: float | None = None
        self._refusals = 0  # in a row, of fresh tokens
        self._end: asyncio.Future[Exception | None] | None = None  # of the present connection
        self._kicked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    # What topics and the client say

    def attach(self, topic: "Topic") -> None:
        self.topics[topic.name] = topic
        if self._task is None:
            self._task = self.client.spawn(self._run(), f"{self.kind} link")
        elif self._end:
            self.added(topic)

    def detach(self, topic: "Topic") -> None:
        if self.topics.pop(topic.name, None) is None:
            return
        self._serving.discard(topic.name)
        if self.topics:
            self.removed(topic)
        else:
            self.close()

    def close(self) -> None:
        self.timers.cancel()
        self.client.links.discard(self)
        if self._task:
            self._task.cancel()

    def kick(self) -> None:
        """Try now: something has changed for the better."""
        self._kicked.set()

    def fail(self, error: Exception) -> None:
        """End the present connection."""
        if self._end and not self._end.done():
            self._end.set_result(error)

    def again(self, seconds: float) -> None:
        """A planned new connection in that time; the first word counts."""
        if "again" not in self.timers:
            self.timers.after(seconds, "again", self._leave)

    # What a transport adds

    async def open(self) -> None:
        raise NotImplementedError

    def added(self, topic: "Topic") -> None:  # noqa: ARG002 - most begin anew with all of them
        self.again(0)

    def removed(self, topic: "Topic") -> None:
        """What comes for it is dropped."""

    def read(self, topic: "Topic") -> None:  # noqa: ARG002
        """Ask for what follows the topic's cursor."""
        self.again(0)

    # What a transport says

    def live(self, *topics: "Topic") -> None:
        """The connection serves these topics (none named: all)."""
        self._live_at = self._live_at or asyncio.get_running_loop().time()
        self._refusals = 0
        for topic in topics or tuple(self.topics.values()):
            if topic.name not in self._serving:
                self._serving.add(topic.name)
                topic.up(self)

    def down(self, topic: "Topic", error: Exception) -> None:
        """It does not serve this topic just now, whatever it does for others."""
        self._serving.discard(topic.name)
        topic.down(self, error)

    def serves(self, topic: str) -> bool:
        return topic in self._serving

    # Within

    def _leave(self) -> None:
        if self._end and not self._end.done():
            self._end.set_result(None)

    async def _run(self) -> None:
        while self.topics:
            error = await self._connection()
            if error and self.topics:
                wait = self._lost(error)
                self._kicked.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._kicked.wait()

    async def _connection(self) -> Exception | None:
        """One connection, to its end: why it was lost, or None where it was planned."""
        self._end = asyncio.get_running_loop().create_future()
        self._live_at, self.told = None, 0.0
        if self.kind in self.client.cuts:
            return ConnectionError(f"{self.kind} is cut off")
        work = asyncio.ensure_future(self.open())
        work.add_done_callback(_failure)  # somebody has looked
        either: list[asyncio.Future[Any]] = [work, self._end]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if self._end.done():
                return self._end.result()
            return _failure(work)
        finally:
            self._end = None
            self.timers.cancel()
            work.cancel()
            await asyncio.wait([work])

    def _lost(self, error: Exception) -> float:
        """Tell the topics, and how long to wait."""
        now = asyncio.get_running_loop().time()
        self._serving.clear()
        if self._live_at is not None and now - self._live_at >= LIVED_SECONDS:
            self._failures = 0
        refused = error if isinstance(error, Refused) else Refused(reason(error), code="unavailable")
        wait = backoff(self.client.random, self._failures, max(self.told, refused.retry_after))
        self._failures += 1
        if refused.sign_in:
            self.client.tokens.forget()
            self._refusals += 1
            wait = 0.0 if self._refusals == 1 else wait
        if refused.final or self._refusals > FRESH_TOKENS or refused.code == "invalid_cursor":
            self._refuse(refused)
            return 0.0
        for topic in tuple(self.topics.values()):
            topic.down(self, refused)
        return wait

    def _refuse(self, error: Refused) -> None:
        """The topic, or its cursor, is refused for good. Where there are several, each asks for itself, so that the others are not."""
        topics = tuple(self.topics.values())
        for topic in topics:
            if len(topics) > 1:
                self.client.part(self, topic)
            elif error.code == "invalid_cursor" and topic.cursor:
                topic.page(Page(topic.cursor, None, recovered=False))
            else:
                topic.refuse(error)


def _failure(work: "asyncio.Future[None]") -> Exception:
    """Why it ended."""
    if work.cancelled():
        return ConnectionError("the connection was given up")
    error = work.exception()
    return error if isinstance(error, Exception) else ConnectionError("the connection was lost")
