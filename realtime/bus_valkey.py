"""The bus over Valkey: publisher -> PUBLISH events:<topic> -> every hub that has readers of the topic.

Pub/sub loses whatever is sent while nobody listens, and redis-py's PubSub hides such a loss: it connects and subscribes
again by itself. So this is a bare connection of redis-py, used for one session: whatever fails ends the session, and the
next one compares every topic with the log before the bus is ready. docs/decisions/0010-valkey-client.md says why it is
not the cluster client.
"""

import asyncio
import math
from collections.abc import Callable, Collection, Mapping
from itertools import count
from typing import Any

from redis.asyncio.connection import AbstractConnection, ConnectionPool

from realtime.bus import CHANNEL, Backoff, Hub, attempt, compare, decode, logger
from realtime.features import Topic
from realtime.log import Log

CHECK_SECONDS = 5.0

PING_SECONDS = 2.0
"""Between two pings; with the time-out of the answer, a silent death is noticed within 4 s."""

ANSWER_SECONDS = 2.0
"""For connecting and for an answer. While anything else arrives, an answer may still be behind it."""

_FIRST_BACKOFF_SECONDS = 0.1


class ValkeyBus:
    """Keeps one connection subscribed to the hub's topics. `ready` only while it is, and every topic has been compared."""

    def __init__(self, hub: Hub, log: Log, url: str, *, check: float = CHECK_SECONDS) -> None:
        self._hub = hub
        self._log = log
        self._check = check
        self._pool = ConnectionPool.from_url(
            url,
            protocol=2,  # HELLO, which turns on 3, is one command more that a server has to have
            driver_info=None,  # and so is CLIENT SETINFO
            socket_connect_timeout=ANSWER_SECONDS,
            socket_timeout=ANSWER_SECONDS,
        )
        self._backoff = Backoff(_FIRST_BACKOFF_SECONDS)
        self._changed = asyncio.Event()  # topics were opened or closed
        self.ready = False

    async def run(self) -> None:
        """One session after another, until cancelled; between them random pauses of at most 5 s, each after a look at the log.

        So while Valkey is away events are late by such a pause, and by the 2 s that an attempt to connect may take.
        """
        self._hub.watchers.add(self._changed.set)
        try:
            while True:
                failure = await attempt(self._session())
                pause = self._backoff.note(_first(failure), "Valkey")
                await attempt(compare(self._hub, self._log, list(self._hub.feeds.values())))  # late is better than silent
                await asyncio.sleep(pause)
        finally:
            self._hub.watchers.discard(self._changed.set)

    async def _session(self) -> None:
        """Connect and listen until something fails."""
        link = _Link(self._pool.make_connection(), self._hear)  # type: ignore[no-untyped-call]  # redis-py's
        try:
            await link.open()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(link.listen())
                tasks.create_task(link.keep_alive())
                tasks.create_task(self._tend(link))
        finally:
            self.ready = False
            await link.close()

    async def _tend(self, link: "_Link") -> None:
        """Follow the hub's topics: the new ones are compared when they are subscribed to, all of them from time to time."""
        loop = asyncio.get_running_loop()
        followed: dict[str, Topic] = {}
        due = loop.time()
        while True:
            self._changed.clear()
            feeds = dict(self._hub.feeds)
            await _follow(link, followed, feeds)
            everything = loop.time() >= due
            await compare(self._hub, self._log, [feeds[name] for name in feeds if everything or name not in followed])
            due = loop.time() + self._check if everything else due
            followed = feeds
            self._now_ready()
            await _set_by(self._changed, due)

    def _now_ready(self) -> None:
        self._backoff.note(None, "Valkey")
        self.ready = True

    def _hear(self, message: bytes) -> None:
        try:
            events = decode(message)
        except ValueError:
            logger.warning("a malformed message of %d bytes was ignored", len(message))
            return
        self._hub.hear(events[0].topic, events)


class _Link:
    """One connection, which is never renewed: what fails here fails for good.

    redis-py does connect again for a command on a connection that it has closed. That cannot hide a loss: it closes one
    only to raise, which ends the session, and it does not subscribe again.
    """

    def __init__(self, connection: AbstractConnection, hear: Callable[[bytes], None]) -> None:
        self._connection = connection
        self._hear = hear
        self._numbers = count(1)
        self._answers: dict[bytes, asyncio.Future[None]] = {}  # of pings that are under way
        self._arrived = False  # whether anything has, since this was last set to False

    async def open(self) -> None:
        await self._connection.connect()  # type: ignore[no-untyped-call]  # redis-py's

    async def close(self) -> None:
        await self._connection.disconnect(nowait=True)

    async def send(self, command: str, *arguments: str | bytes) -> None:
        await self._connection.send_command(command, *arguments)

    async def listen(self) -> None:
        """Take what arrives, until the connection fails."""
        while True:
            self._take(await self._connection.read_response(timeout=math.inf))
            await asyncio.sleep(0)  # many messages at once must not keep everything else waiting

    def _take(self, response: Any) -> None:
        self._arrived = True
        match response:
            case [b"message", bytes(), bytes(message)]:
                self._hear(message)
            case [b"pong", bytes(number)] | bytes(number):  # the latter without any subscription
                if (answer := self._answers.get(number)) and not answer.done():
                    answer.set_result(None)

    async def keep_alive(self) -> None:
        """Ask again and again whether the server is there; `TimeoutError` when it is not."""
        while True:
            await self.ping()
            await asyncio.sleep(PING_SECONDS)

    async def ping(self) -> None:
        """Return when the server has answered, and so has carried out whatever was sent before."""
        number = b"%d" % next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        try:
            await self.send("PING", number)
            while not answer.done():
                self._arrived = False
                await asyncio.wait([answer], timeout=ANSWER_SECONDS)
                if not (answer.done() or self._arrived):
                    raise TimeoutError(f"Valkey said nothing for {ANSWER_SECONDS:g} s")
        finally:
            del self._answers[number]


async def _follow(link: _Link, followed: Mapping[str, Topic], feeds: Mapping[str, Topic]) -> None:
    """Subscribe to the new topics and leave those that are gone; on return that is in force."""
    if gone := followed.keys() - feeds.keys():
        await link.send("UNSUBSCRIBE", *_channels(gone))
    if new := feeds.keys() - followed.keys():
        await link.send("SUBSCRIBE", *_channels(new))
        await link.ping()


def _channels(topics: Collection[str]) -> list[str]:
    return [CHANNEL + topic for topic in topics]


async def _set_by(event: asyncio.Event, due: float) -> None:
    """Return when it is set, at the latest at this time of the loop."""
    try:
        async with asyncio.timeout_at(due):
            await event.wait()
    except TimeoutError:
        return


def _first(failure: BaseException | None) -> BaseException | None:
    """The failure that ended a group of tasks."""
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return failure
