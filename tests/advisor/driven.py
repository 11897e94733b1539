"""Loads as they were driven: what the model says of them, and the clients that drive them."""

import asyncio
import json
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import Any

import httpx2
from websockets.asyncio.client import ClientConnection, connect

from advisor.load import SECONDS, Load
from advisor.usage import usage
from advisor.ways import Way
from realtime.connections import SUBSCRIBERS_PER_SHARD
from realtime.features import Feature
from tests.advisor.counted import Deployment

WAIT_SECONDS = 30.0
REST_SECONDS = 0.11
"""Between two messages of a connection: one that comes within a tenth of a second costs a write more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Driven(Load):
    """A month of nothing but what was driven: `connects` in `seconds`, which need not be those of the clock."""

    seconds: float
    connects: float = 0.0
    planned: int = 1
    """The feature's `readers`, by which its topics have shards; `readers` is how many there were."""

    @classmethod
    def through(cls, feature: Feature, *, seconds: float, appends: int, readers: int = 5, **more: Any) -> "Driven":
        """Of a feature as it is deployed; five readers of one topic, where nothing else is said."""
        known = {field.name: getattr(Load.of(feature), field.name) for field in fields(Load)}
        was = {"readers": readers, "hours": 24.0, "events": appends / seconds, "topics": 1}
        return cls(**known | was | more, seconds=seconds, planned=feature.readers)

    @property
    def visits(self) -> float:
        return self.connects * SECONDS / self.seconds

    @property
    def shards(self) -> int:
        return math.ceil(self.planned / SUBSCRIBERS_PER_SHARD)

    def model(self, way: Way) -> dict[str, float]:
        """What the model says of these seconds."""
        return {item: quantity * self.seconds / SECONDS for item, quantity in usage(self, way).items()}


def poller(deployed: Deployment, topic: str) -> Iterator[int]:
    """Polls at each `next`, with cursor and validator as our clients do, and yields how many events it has seen since the first."""
    query, validator, seen = dict[str, str](), dict[str, str](), -1
    while True:
        answer = deployed.door.get(f"/topics/{topic}", params=query, headers=deployed.headers() | validator)
        if answer.status_code == httpx2.codes.OK:
            body, validator = answer.json(), {"If-None-Match": answer.headers["etag"]}
            query = {"after": body["cursor"]} if "cursor" in body else {}
            seen += len(body.get("events", [body])) if seen >= 0 else 1
        yield seen


@dataclass
class Stream:
    """A reader of a stream on Lambda, who comes back at once with his cursor. `seconds` is how long he was on it."""

    url: str
    cursor: str = ""
    seconds: float = 0.0
    connects: int = 0

    async def read(self, client: httpx2.AsyncClient, *seconds: float) -> None:
        """One stream after the other, each for so long at most."""
        for most in seconds:
            self.connects += 1
            headers = {"Last-Event-ID": self.cursor} if self.cursor else {}
            async with client.stream("GET", self.url, headers=headers) as answer:
                assert answer.status_code == httpx2.codes.OK
                began = time.monotonic()
                with suppress(TimeoutError):
                    async with asyncio.timeout(most):
                        await self._lines(answer)
                self.seconds += time.monotonic() - began

    async def _lines(self, answer: httpx2.Response) -> None:
        async for line in answer.aiter_lines():
            if line.startswith("id: "):
                self.cursor = line.removeprefix("id: ")


class Talker:
    """A client of one topic. `messages`: frames in both directions; `calls` of the function: its own frames, connect, disconnect."""

    def __init__(self, socket: ClientConnection, topic: str) -> None:
        self._socket = socket
        self._topic = topic
        self.messages, self.calls = 0, 2

    @classmethod
    async def joined(cls, deployed: Deployment, topic: str) -> "Talker":
        answer = deployed.door.post("/tickets", json={"use": "websocket", "topics": [topic]}, headers=deployed.headers())
        made = cls(await connect(f"{deployed.websocket}?ticket={answer.json()['ticket']}", open_timeout=WAIT_SECONDS), topic)
        await made.say("subscribed", action="subscribe", topic=topic)
        return made

    async def ping(self, times: int) -> None:
        for _ in range(times):
            await self.say("pong", action="ping", cursors={self._topic: "0-0"})

    async def publish(self, id: str) -> None:
        """It hears its own event before the ack."""
        await self.say("ack", action="publish", topic=self._topic, type="note", data="x" * 98, id=id)

    async def say(self, answer: str, **frame: object) -> None:
        await asyncio.sleep(REST_SECONDS)
        await self._socket.send(json.dumps(frame))
        self.messages, self.calls = self.messages + 1, self.calls + 1
        await self.hear(answer)

    async def hear(self, action: str) -> None:
        """The next frame of that kind."""
        async with asyncio.timeout(WAIT_SECONDS):
            while (frame := json.loads(await self._socket.recv()))["action"] != action:
                assert frame["action"] != "error", frame
                self.messages += 1
        self.messages += 1

    async def close(self) -> None:
        await self._socket.close()


async def listen(deployed: Deployment, topic: str, events: int, pings: int) -> list[Talker]:
    """Five clients join, get a backend's events, ping so often after each of them and after the connect, and leave."""
    talkers = [await Talker.joined(deployed, topic) for _ in range(5)]
    for number in range(events + 1):
        if number:
            await asyncio.to_thread(deployed.publish, topic)
            await asyncio.gather(*(talker.hear("event") for talker in talkers))
        await asyncio.gather(*(talker.ping(pings) for talker in talkers))
    await leave(talkers)
    return talkers


async def talk(deployed: Deployment, topic: str, events: int) -> list[Talker]:
    """Five clients join, publish by turns, and leave."""
    talkers = [await Talker.joined(deployed, topic) for _ in range(5)]
    for number in range(events):
        speaker = talkers[number % 5]
        await speaker.publish(f"{number}")
        await asyncio.gather(*(talker.hear("event") for talker in talkers if talker is not speaker))
    await leave(talkers)
    return talkers


async def leave(talkers: Sequence[Talker]) -> None:
    for talker in talkers:
        await talker.close()
