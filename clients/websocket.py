"""WebSocket: ticket -> one connection for all topics -> subscribe, with the cursor -> pushes. A push is a hint, the log is the truth."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from clients.link import Link
from clients.network import ANSWER_SECONDS, Refused, backoff
from clients.order import Event, Page, ahead

if TYPE_CHECKING:
    from clients.realtime import Client
    from clients.topic import Topic

PINGS_SECONDS = (3.0, 15.0, 60.0)
"""After the last event, so that its loss is noticed soon; and then"""

PING_EVERY_SECONDS = 300.0
"""where API Gateway closes after 10 idle minutes."""

JITTER = 0.2
"""An event reaches all clients in the same instant: they need not all ping in the same instant."""

RENEW_AGAIN_SECONDS = 30.0
MAX_OUT = 1_000
CLOSE_SECONDS = 1.0
TICKET_TOPICS, TICKET_CHARS = 20, 2_000
"""What a ticket may name; the others are asked for with the token, once the connection is open."""


class WebSocket(Link):
    """One connection."""

    kind = "websocket"
    room = 50

    def __init__(self, client: "Client", *, alone: bool = False, recent: int = 0) -> None:
        super().__init__(client, alone=alone, recent=recent)
        self._out = asyncio.Queue[str](MAX_OUT)
        self._socket: ClientConnection | None = None
        self._is_open = False
        self._scope: set[str] | None = None  # the topics of the ticket; None once a token was sent
        self._asked: dict[str, str | None] = {}  # topic -> `after` of a subscribe without an answer
        self._refused: dict[str, int] = {}  # topic -> refusals in a row
        self._acks: dict[str, asyncio.Future[str]] = {}  # by id
        self._blocked = False  # the application has no room
        self._event_at = self._pinged_at = 0.0
        self._step = 0  # of the pings since the last event

    async def open(self) -> None:
        names = _named(list(self.topics))
        ticket = await self.client.ticket("websocket", names)
        token = None if len(names) == len(self.topics) else await self.client.tokens.get()
        self._out, self._asked, self._scope = asyncio.Queue(MAX_OUT), {}, set(names)
        self._socket = socket = await self._dial(f"{self.client.facts.websocket}?ticket={quote(ticket)}")
        sending = asyncio.ensure_future(self._send_all(socket))
        try:
            self._opened(token)
            async for message in socket:
                self.timers.cancel("answer")
                await self._read(json.loads(message))
        finally:
            self._is_open = False
            sending.cancel()
            await socket.close()
            await asyncio.wait([sending])
            self._socket = None

    async def _dial(self, url: str) -> ClientConnection:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await connect(url, compression=None, ping_interval=None, open_timeout=None, close_timeout=CLOSE_SECONDS)
        except InvalidStatus as refusal:  # by a proxy on the way, as likely as not: it says nothing about the caller's rights
            raise ConnectionError(f"the connection was refused with status {refusal.response.status_code}") from None

    def fail(self, error: Exception) -> None:
        super().fail(error)
        if self._socket:
            self._socket.transport.abort()  # there may be nobody left to say goodbye to

    # What topics and the client say

    def added(self, topic: "Topic") -> None:
        if not self._is_open:
            return  # it subscribes when it opens
        if self._scope is None or topic.name in self._scope:
            self._subscribe(topic)
        elif "auth" not in self.timers:
            self.timers.after(0, "auth", self._renew)  # and then

    def removed(self, topic: "Topic") -> None:
        self._asked.pop(topic.name, None)
        self._send(action="unsubscribe", topic=topic.name)

    def read(self, topic: "Topic") -> None:
        if self._is_open and topic.name not in self._asked:
            self._subscribe(topic)

    async def publish(self, **frame: Any) -> str:
        """Send it, and wait for its ack: the cursor."""
        ack: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._acks[frame["id"]] = ack
        try:
            self._send(action="publish", **frame)
            return await ack
        finally:
            if self._acks.get(frame["id"]) is ack:
                del self._acks[frame["id"]]

    # Frames

    def _send(self, **frame: object) -> None:
        if not self._is_open:
            return
        try:
            self._out.put_nowait(json.dumps(frame))
        except asyncio.QueueFull:
            self.fail(ConnectionError("the server does not take what is sent"))
        if "answer" not in self.timers:
            self._expect()

    def _expect(self) -> None:
        """Any frame will do."""
        gone = TimeoutError(f"no answer within {ANSWER_SECONDS:g} s")
        self.timers.after(ANSWER_SECONDS, "answer", lambda: self._expect() if self._blocked else self.fail(gone))

    async def _send_all(self, socket: ClientConnection) -> None:
        with suppress(ConnectionClosed):  # whoever reads is told, too
            while True:
                await socket.send(await self._out.get())

    def _opened(self, token: str | None) -> None:
        """With a token where the ticket could not name all topics: first, since each subscription makes it dearer."""
        self._is_open = True
        if token:
            self._send(action="auth", token=token)
        self._event_at = self._pinged_at = asyncio.get_running_loop().time()
        self._step = 0
        for topic in tuple(self.topics.values()):
            if not token or (self._scope and topic.name in self._scope):
                self.added(topic)
        self._renew_later(self.client.tokens.renew_in)
        self._ping_later()

    async def _read(self, frame: Mapping[str, Any]) -> None:
        topic = self.topics.get(frame.get("topic", ""))
        match frame.get("action"):
            case "event" if topic:
                await self._push(topic, [Event.of(frame)])
            case "events" if topic:
                await self._push(topic, [Event.of(event) for event in frame["events"]])
            case "subscribed" if topic:
                self._subscribed(topic, frame)
            case "pong":
                self._compare(frame["heads"])
            case "reset" if topic:
                self._begin_anew(topic)
            case "ack":
                self._settle(frame["id"], frame["cursor"])
            case "authenticated":
                self._authenticated()
            case "reconnect":
                self.again(frame["after_ms"] / 1000)
            case "error":
                self._refuse_frame(topic, frame)

    async def _push(self, topic: "Topic", events: list[Event]) -> None:
        topic.push(events)
        self._event_at = asyncio.get_running_loop().time()
        if self._step:
            self._step = 0
            self._ping_later()
        if topic.full:
            self._blocked = True
            await topic.room()
            self._blocked = False

    def _refuse_frame(self, topic: "Topic | None", frame: Mapping[str, Any]) -> None:
        error = Refused.told(frame)
        if error.sign_in:
            self.fail(error)
        elif "id" in frame:
            self._settle(frame["id"], error)
        elif topic is None and error.final:
            self.fail(ConnectionError(str(error)))
        elif topic is None:
            self._slow_down(error)
        elif error.code == "invalid_cursor":
            self._begin_anew(topic)
        elif error.final:
            topic.refuse(error)
        else:
            self._not_now(topic, error)

    def _settle(self, id: str, outcome: str | Refused) -> None:
        ack = self._acks.pop(id, None)
        if ack is None or ack.done():
            return
        if isinstance(outcome, Refused):
            ack.set_exception(outcome)
        else:
            ack.set_result(outcome)

    # Reading

    def _subscribe(self, topic: "Topic") -> None:
        """Ask for what follows the topic's cursor."""
        if self.topics.get(topic.name) is not topic:
            return
        self._asked[topic.name] = topic.cursor
        place = {"after": topic.cursor} if topic.cursor else {"recent": topic.recent} if topic.recent else {}
        self._send(action="subscribe", topic=topic.name, batch=True, **place)
        self.timers.after(ANSWER_SECONDS, f"subscribe {topic.name}", lambda: self._subscribe(topic))

    def _subscribed(self, topic: "Topic", frame: Mapping[str, Any]) -> None:
        """After its replay."""
        if topic.name not in self._asked:
            return  # twice
        after = self._asked.pop(topic.name)
        self._refused.pop(topic.name, None)
        self.timers.cancel(f"subscribe {topic.name}")
        topic.page(Page(after, frame["cursor"], frame["recovered"]))
        if frame.get("more"):
            self._subscribe(topic)
        self.live(topic)

    def _begin_anew(self, topic: "Topic") -> None:
        topic.page(Page(topic.cursor, None, recovered=False))
        self._subscribe(topic)

    def _not_now(self, topic: "Topic", error: Refused) -> None:
        """The other topics go on."""
        failures = self._refused.get(topic.name, 0)
        self._refused[topic.name] = failures + 1
        self._asked.pop(topic.name, None)
        wait = backoff(self.client.random, failures, error.retry_after)
        self.timers.after(wait, f"subscribe {topic.name}", lambda: self._subscribe(topic))
        self.down(topic, error)

    def _slow_down(self, error: Refused) -> None:
        """One of our messages was not even read. What may have been asked with it is asked again."""
        for topic in [self.topics[name] for name in self._asked if name in self.topics]:
            wait = self.client.random.uniform(1, 2) * max(1.0, error.retry_after)
            self.timers.after(wait, f"subscribe {topic.name}", partial(self._subscribe, topic))

    def _compare(self, heads: Mapping[str, str]) -> None:
        for name, head in heads.items():
            topic = self.topics.get(name)
            if topic and topic.cursor and ahead(head, topic.cursor):
                self.read(topic)

    # Pings: with where the topics stand, so that whoever missed the last event learns of it

    def _ping_later(self) -> None:
        now, jitter = asyncio.get_running_loop().time(), self.client.random.uniform(1, 1 + JITTER)
        at = self._pinged_at + PING_EVERY_SECONDS * jitter  # also where events never cease
        if self._step < len(PINGS_SECONDS):
            at = min(at, self._event_at + PINGS_SECONDS[self._step] * jitter)
        self.timers.after(max(0.0, at - now), "ping", self._ping)

    def _ping(self) -> None:
        now = asyncio.get_running_loop().time()
        due = now >= self._pinged_at + PING_EVERY_SECONDS or (
            self._step < len(PINGS_SECONDS) and now >= self._event_at + PINGS_SECONDS[self._step]
        )
        if due:
            self._pinged_at = now
            self._step += 1
            cursors = {topic.name: topic.cursor for topic in self.topics.values() if topic.cursor}
            self._send(action="ping", cursors=cursors)
        self._ping_later()

    # The token, in-band: what the ticket did not name may be asked for afterwards

    def _renew_later(self, seconds: float) -> None:
        if seconds < inf:
            self.timers.after(seconds, "auth", self._renew)

    def _renew(self) -> None:
        self.client.spawn(self._sign_in(), "token")

    async def _sign_in(self) -> None:
        try:
            token = await self.client.tokens.get()
        except Exception as error:  # noqa: BLE001 - whatever the application's own code raises
            self.client.log(error)
            self._renew_later(RENEW_AGAIN_SECONDS)
            return
        self._send(action="auth", token=token)

    def _authenticated(self) -> None:
        known, self._scope = self._scope, None
        for topic in tuple(self.topics.values()):
            if known is not None and topic.name not in known:
                self._subscribe(topic)
        self._renew_later(self.client.tokens.renew_in)


def _named(names: list[str]) -> list[str]:
    """The first of them, as many as a ticket may name."""
    named, chars = [], 0
    for name in names[:TICKET_TOPICS]:
        chars += len(name)
        if chars <= TICKET_CHARS:
            named.append(name)
    return named
