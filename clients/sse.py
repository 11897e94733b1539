"""Server-Sent Events: one stream for all topics of a host, whose id is a cursor of each; a token in its head, or a ticket in its URL."""

import asyncio
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from clients.facts import Place
from clients.link import Link
from clients.network import Refused, asked
from clients.order import Event, Page

if TYPE_CHECKING:
    from clients.realtime import Client
    from clients.topic import Topic

SILENT_SECONDS = 40.0
"""Heartbeats come every 15 s."""

MAX_BLOCK_BYTES = 1024 * 1024
NONE = "*"
"""In an id: the topic has no cursor yet."""


class Sse(Link):
    """One stream."""

    kind = "sse"
    room = 20

    def __init__(self, client: "Client", place: Place, *, alone: bool = False, recent: int = 0) -> None:
        super().__init__(client, alone=alone, recent=recent)
        self.place = place
        self._resting: dict[str, float] = {}  # topics that are directed down, and until when on the loop's clock
        self._names: list[str] = []  # in the order of the URL
        self._cursors: list[str | None] = []  # of each
        self._announced = False  # to the topics, that it serves
        self._planned = False  # the server has said that it closes
        self._heard = 0.0
        self._blocked = False  # the application has no room

    async def open(self) -> None:
        self._announced = self._planned = False
        try:
            await self._stream(self._awake())
        except Refused as refusal:
            if not (refusal.features and self._rest(refusal)):
                raise
            self.again(0)  # without those
            await asyncio.Event().wait()

    async def _stream(self, topics: "list[Topic]") -> None:
        self._names, self._cursors = [topic.name for topic in topics], [topic.cursor for topic in topics]
        url, token = await self._address(topics)
        async with asked(
            self.client.http, url, token=token, headers={"Accept": "text/event-stream", "Cache-Control": "no-store"}
        ) as response:
            if response.status_code == 204:
                raise Refused("nothing more follows", code="over")
            blocks, loop = Blocks(), asyncio.get_running_loop()
            self._heard = loop.time()
            self._listen()
            async for chunk in response.aiter_bytes():
                self._heard = loop.time()
                for block in blocks.feed(chunk):
                    await self._take(block)
        if self._planned:
            await asyncio.Event().wait()  # for the next connection

    async def _address(self, topics: "list[Topic]") -> tuple[str, str | None]:
        """The URL, and the token to send along."""
        query = [("topic", name) for name in self._names] if len(topics) > 1 else []
        if any(self._cursors):
            query.append(("after", ".".join(cursor or NONE for cursor in self._cursors)))
        if recent := max((topic.recent for topic in topics if topic.cursor is None), default=0):
            query.append(("recent", str(recent)))
        token = None if all(topic.feature.public for topic in topics) else await self.client.tokens.get()
        if token and self.place.ticket:
            query.append(("ticket", await self.client.ticket("sse", self._names)))
            token = None
        path = "/stream" if len(topics) > 1 else f"/topics/{quote(self._names[0])}/stream"
        return f"{self.place.url}{path}{'?' if query else ''}{urlencode(query, safe='*')}", token

    async def _take(self, block: dict[str, str]) -> None:
        kind, data = block.get("event"), block.get("data")
        if "retry" in block and block["retry"].isdecimal():
            self.told = int(block["retry"]) / 1000
        if kind == "error":
            raise Refused.told(json.loads(data or "{}"))
        if kind == "reconnect":
            self._planned = True
            self.again(json.loads(data or "{}").get("after_ms", 0) / 1000)
            return
        if not self._announced:
            self._announced = True
            self.live(*(topic for name in self._names if (topic := self.topics.get(name))))
        if kind == "preview":
            return  # it comes again as an event
        before = self._cursors
        if "id" in block:
            self._cursors = list(block["id"].split("."))
        if data is None:
            self._begin(before)
        else:
            await self._tell(kind, json.loads(data), before)

    def _begin(self, before: list[str | None]) -> None:
        """Where the stream begins, for topics that had no position."""
        for name, old, new in zip(self._names, before, self._cursors, strict=True):
            if old is None and new is not None and (topic := self.topics.get(name)):
                topic.page(Page(None, new, recovered=False))

    async def _tell(self, kind: str | None, told: dict[str, Any], before: list[str | None]) -> None:
        topic = self.topics.get(told["topic"])
        if topic is None:
            return  # unsubscribed since
        if kind == "reset":
            place = self._names.index(topic.name)
            topic.page(Page(topic.cursor if before[place] is None else before[place], self._cursors[place], recovered=False))
        else:
            topic.push([Event.of(told)])
        if topic.full:
            self._blocked = True
            await topic.room()
            self._blocked = False
            self._heard = asyncio.get_running_loop().time()

    # What is directed down

    def _awake(self) -> "list[Topic]":
        """The topics that may be asked for now: all of them, where none may."""
        now = asyncio.get_running_loop().time()
        self._resting = {name: until for name, until in self._resting.items() if until > now and name in self.topics}
        awake = [topic for topic in self.topics.values() if topic.name not in self._resting]
        if awake and self._resting:
            self.timers.after(min(self._resting.values()) - now, "rest", lambda: self.again(0))
        return awake or list(self.topics.values())

    def _rest(self, refusal: Refused) -> bool:
        """Leave out what the server does not stream for now; False where nothing would be left."""
        until = asyncio.get_running_loop().time() + refusal.retry_after
        directed = [topic for topic in self.topics.values() if topic.feature.name in refusal.features]
        if len(directed) == len(self.topics):
            return False
        for topic in directed:
            self._resting[topic.name] = until
            self.down(topic, refusal)
        return True

    def _listen(self) -> None:
        """Whoever is silent too long is gone."""
        loop = asyncio.get_running_loop()
        left = self._heard + SILENT_SECONDS - loop.time()
        if self._blocked or left > 0:
            self.timers.after(SILENT_SECONDS if self._blocked else left, "silence", self._listen)
        else:
            self.fail(TimeoutError(f"no sign of life for {SILENT_SECONDS:g} s"))


class Blocks:
    """Takes bytes of a text/event-stream, cut anywhere, and gives each block as its fields. Comments are left out."""

    def __init__(self) -> None:
        self._rest = b""
        self._block: dict[str, str] = {}

    def feed(self, chunk: bytes) -> Iterator[dict[str, str]]:
        """The blocks that are complete now; ValueError where one is too long."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > MAX_BLOCK_BYTES:
            raise ValueError("a block of the stream is too long")
        for line in lines:
            if text := line.removesuffix(b"\r").decode():
                self._field(text)
            elif self._block:
                block, self._block = self._block, {}
                yield block

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data" and "data" in self._block:
            self._block["data"] += "\n" + value
        elif name:
            self._block[name] = value
