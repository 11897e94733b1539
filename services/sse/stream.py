"""Streams: GET /topics/{topic}/stream, GET /stream?topic=a&topic=b -> who may read -> the hub."""

import asyncio
import random
from collections.abc import Callable, Sequence
from math import inf
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Header, Query, Request, Response
from starlette.types import Receive, Scope, Send

from realtime import sse
from realtime.cursor import Cursor
from realtime.errors import Code, RealtimeError
from realtime.features import Topic
from realtime.frames import MAX_RECENT
from realtime.hub import Hub, come_back
from realtime.policy import Principal, check
from realtime.runtime import Runtime
from realtime.sessions import COOKIE
from realtime.tokens import CLOCK_SECONDS, sent
from services.http.bodies import Authorization
from services.http.problems import problem
from services.sse.transport import DETACH, UNFRAMED, Detach, Inner, Sender

RETRY_MS = (2_000, 6_000)
"""Each connection comes back after another time between these."""

HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store, no-transform",  # no proxy may compress, which buffers
    "X-Accel-Buffering": "no",  # nginx
}

_Ticket = Annotated[str | None, Query(description="a ticket of POST /tickets, instead of a header")]
_After = Annotated[str | None, Query(description="the id to go on from; Last-Event-ID goes before it")]
_Recent = Annotated[
    int, Query(ge=0, le=MAX_RECENT, description="with how many of its newest events a topic begins for which no position is given")
]
_LastEventId = Annotated[str | None, Header(description="the id of the last event, as EventSource sends it")]


class Asked(NamedTuple):
    """A request's credentials and position."""

    authorization: str | None
    ticket: str | None
    cookie: str | None
    origin: str | None
    last_event_id: str | None


class Draining:
    """Whether the process is about to end: whoever comes now is sent elsewhere."""

    now = False


class Manners(NamedTuple):
    """How a deployment's streams are unlike a hub's: of which features, how many seconds they live, whether nothing follows a cursor."""

    host: str = "service"
    seconds: Callable[[Sequence[Topic]], float | None] = lambda _: None
    over: Callable[[Topic, Cursor | None], bool] = lambda *_: False


def router(runtime: Runtime, hub: Hub, draining: Draining, manners: Manners) -> APIRouter:
    """The stream routes."""
    routes = APIRouter()

    @routes.get("/topics/{topic:path}/stream", response_class=Response)
    def one(
        request: Request,
        topic: str,
        authorization: Authorization = None,
        ticket: _Ticket = None,
        after: _After = None,
        recent: _Recent = 0,
        last_event_id: _LastEventId = None,
    ) -> Response:
        """The events of one topic, as they come. `id` is the cursor."""
        return begin([topic], Asked(sent(authorization), ticket, *_cookie(request), last_event_id), after, recent)

    @routes.get("/stream", response_class=Response)
    def several(
        request: Request,
        topic: Annotated[list[str], Query(min_length=1, max_length=sse.MAX_TOPICS)],
        authorization: Authorization = None,
        ticket: _Ticket = None,
        after: _After = None,
        recent: _Recent = 0,
        last_event_id: _LastEventId = None,
    ) -> Response:
        """The events of several topics. `id` holds a cursor of each, in the order of the URL; `*` stands for one that is not known."""
        return begin(topic, Asked(sent(authorization), ticket, *_cookie(request), last_event_id), after, recent)

    def begin(names: Sequence[str], asked: Asked, after: str | None, recent: int) -> Response:
        topics = _topics(runtime, names, manners.host)
        position = asked.last_event_id or after
        cursors = sse.split(position, len(topics)) if position else [None] * len(topics)
        runtime.directions.check((topic.feature for topic in topics), "sse")  # before a ticket is spent
        try:
            until = _admit(runtime, topics, asked)
        except RealtimeError as refusal:
            if not _for_good(refusal, asked):
                raise
            return nothing_more()
        if all([manners.over(topic, cursor) for topic, cursor in zip(topics, cursors, strict=True)]):  # noqa: C419 - each is asked
            return nothing_more()
        return EventStream(hub, draining, topics, cursors, until, manners.seconds(topics), recent)

    return routes


class EventStream(Response):
    """A stream that has been granted: head and first bytes, and then the hub writes.

    Where it begins is settled before the head is sent: what is published once a client sees its stream open will come. A
    client that had no cursor gets one at once, so that he misses nothing if he is cut off before the first event.
    """

    def __init__(
        self,
        hub: Hub,
        draining: Draining,
        topics: Sequence[Topic],
        after: Sequence[Cursor | None],
        until: float,
        seconds: float | None = None,
        recent: int = 0,
    ) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers(HEADERS)
        self._hub = hub
        self._draining = draining
        self._topics = topics
        self._after = after
        self._until = until
        self._seconds = seconds
        self._recent = recent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._draining.now:  # not an error: EventSource would stop for good
            await self._elsewhere(scope, receive, send)
            return
        try:
            begin = await self._hub.begin(self._topics, self._after, self._recent)
        except RealtimeError as refusal:
            await problem(refusal)(scope, receive, send)
            return
        if self._draining.now:
            await self._elsewhere(scope, receive, send)
            return
        first = sse.retry(_retry_ms()) + (sse.position(sse.join(begin)) if None in self._after else b"")
        extensions = scope.get("extensions") or {}
        detach, unframed = extensions.get(DETACH), extensions.get(UNFRAMED)
        if unframed:
            unframed()
        last = [(b"connection", b"close")] if detach else []  # a connection that is handed over serves nothing after it
        await send({"type": "http.response.start", "status": 200, "headers": [*self.raw_headers, *last]})
        if detach is None:
            await self._through(Sender(send), receive, first, begin)
        else:
            await self._detached(detach, first, begin)

    async def _elsewhere(self, scope: Scope, receive: Receive, send: Send) -> None:
        await Response(come_back(), headers=HEADERS)(scope, receive, send)

    async def _detached(self, detach: Detach, first: bytes, begin: Sequence[Cursor]) -> None:
        if stream := detach(self._hub):
            stream.write(first)
            await self._stream(stream, begin)
            if stream.gone:  # perhaps before the hub knew of him
                self._hub.leave(stream)

    async def _through(self, sender: Sender, receive: Receive, first: bytes, begin: Sequence[Cursor]) -> None:
        sender.write(first)
        sending = asyncio.ensure_future(sender.run(receive))
        try:
            await self._stream(sender, begin)
            await sending
        finally:
            sending.cancel()
            self._hub.leave(sender)

    async def _stream(self, reader: Inner, begin: Sequence[Cursor]) -> None:
        await self._hub.stream(reader, self._topics, begin, self._until, self._seconds)


def nothing_more() -> Response:
    """After which no EventSource comes back."""
    return Response(status_code=204, headers={"Cache-Control": "no-store"})


def _topics(runtime: Runtime, names: Sequence[str], host: str) -> list[Topic]:
    topics = [runtime.features.topic(name) for name in names]
    if len(set(names)) < len(names):
        raise RealtimeError(Code.INVALID, "a stream names each topic once")
    for topic in topics:
        if topic.feature.pattern not in ("sse", "fallback"):
            raise RealtimeError(
                Code.UNKNOWN_TOPIC, f"{topic.feature.name} is not served as a stream: its pattern is {topic.feature.pattern}"
            )
        if topic.feature.host != host:
            raise RealtimeError(Code.UNKNOWN_TOPIC, f"{topic.feature.name} is not served here: its host is {topic.feature.host}")
    return topics


def _admit(runtime: Runtime, topics: Sequence[Topic], asked: Asked) -> float:
    """Until when (Unix seconds) the caller may read all topics; a refusal where he may not."""
    if all(topic.feature.public for topic in topics):
        return inf
    principal = _principal(runtime, topics, asked)
    for topic in topics:
        check(topic, "read", principal)
    return principal.expires + CLOCK_SECONDS if principal else inf


def _principal(runtime: Runtime, topics: Sequence[Topic], asked: Asked) -> Principal | None:
    """Who asks: by token, else by ticket, else by cookie."""
    if asked.authorization is not None:
        return runtime.principal(asked.authorization)
    if asked.ticket is not None:
        grant = runtime.tickets.redeem(asked.ticket, "sse")
        if not {topic.name for topic in topics} <= set(grant.topics):
            raise RealtimeError(Code.FORBIDDEN, "the ticket is not for all of these topics: name them when you ask for one")
        return grant.principal
    if asked.cookie is not None:
        return runtime.sessions.verify(asked.cookie, asked.origin)
    return None


def _for_good(refusal: RealtimeError, asked: Asked) -> bool:
    """Whether a client that comes back by itself must be stopped: 204, after which no EventSource tries again.

    That is one with Last-Event-ID, so it was on this stream before, whose session has ended or whose session or ticket no longer
    admits him. A spent ticket stays 401: our clients then get a new one. Tokens come from programs, which read the status.
    """
    if not asked.last_event_id or asked.authorization is not None:
        return False
    if asked.ticket is not None:
        return refusal.code is Code.FORBIDDEN
    return asked.cookie is not None and refusal.code in (Code.FORBIDDEN, Code.UNAUTHORIZED)


def _cookie(request: Request) -> tuple[str | None, str | None]:
    return request.cookies.get(COOKIE), request.headers.get("origin")


def _retry_ms() -> int:
    return random.randint(*RETRY_MS)  # noqa: S311 - jitter
