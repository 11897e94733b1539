"""One event log, three transports, one cursor: polling, Server-Sent Events or WebSocket, as client.json says for each feature.

    async with connect("https://shop.example/client.json", token=token) as client:
        async for event in client.subscribe("orders", after=cursor):
            ...
            cursor = event.cursor

Each event is handed on once and in order, whatever happens to connections, or `Reset` says that state is to be loaded anew.
"""

import asyncio
import inspect
import logging
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from random import Random
from types import TracebackType
from typing import Any, Literal, Self
from uuid import uuid4

import httpx2

from clients.facts import Facts
from clients.link import Link
from clients.network import Refused, ask, backoff, reason
from clients.order import Event
from clients.outbox import Outbox, Publish
from clients.polling import Polling
from clients.sse import Sse
from clients.tokens import Source, Tokens
from clients.topic import Reset, Status, Topic
from clients.websocket import WebSocket

logger = logging.getLogger("realtime.client")


class Subscription(AsyncIterator[Event]):
    """The events of one topic, for one iteration at a time. It ends with `close()`, with its client, or when nobody holds it any more."""

    def __init__(self, topic: Topic, on_reset: Callable[[Reset], object] | None, leave: Callable[[], None]) -> None:
        self._topic = topic
        self._on_reset = on_reset
        self._finalizer = weakref.finalize(self, leave)
        self._finalizer.atexit = False

    @property
    def status(self) -> Status:
        return self._topic.status

    def close(self) -> None:
        self._finalizer()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """The next event. `Reset` where the position was lost and nobody handles that; `Refused` where there will be none."""
        while True:
            item = await self._next()
            if isinstance(item, Event):
                self._topic.received += 1
                return item
            if self._on_reset is None:
                raise item
            handled = self._on_reset(item)
            if inspect.isawaitable(handled):
                await handled

    async def _next(self) -> Event | Reset:
        while not self._topic.buffer:
            if over := self._topic.over:
                raise over.with_traceback(None)
            await self._topic.news.wait()
        return self._topic.take()


class Client:
    """Subscriptions and publishing over connections that all of them share. Use it with `async with`."""

    facts: Facts

    def __init__(
        self, features: str | Mapping[str, Any], token: str | Source | None, http: httpx2.AsyncClient | None, random: Random | None
    ) -> None:
        self.tokens = Tokens(token)
        self.random = random or Random()  # noqa: S311 - jitter
        self.links: set[Link] = set()
        self.cuts: set[str] = set()
        """Transports that are cut off."""

        self._features = features
        self._given_http = http
        self._topics: dict[str, Topic] = {}
        self._outboxes: dict[str, Outbox] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._known = asyncio.Event()
        self._failed: Refused | None = None  # the deployment cannot be known
        self._closed = False

    async def __aenter__(self) -> Self:
        self.http = self._given_http or httpx2.AsyncClient(timeout=None, limits=httpx2.Limits(), follow_redirects=True)
        self._loop = asyncio.get_running_loop()
        if not isinstance(self._features, str):
            self._knows(Facts.of(self._features))
        else:
            self.spawn(self._look_up(self._features), "client.json")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._closed = True
        for topic in tuple(self._topics.values()):
            topic.end(StopAsyncIteration())
        self._topics.clear()
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(tuple(self._tasks))
        if not self._given_http:
            await self.http.aclose()

    # For everybody

    def subscribe(
        self,
        topic: str,
        *,
        after: str | None = None,
        recent: int = 0,
        on_reset: Callable[[Reset], object] | None = None,
        on_status: Callable[[Status], object] | None = None,
    ) -> Subscription:
        """The events that follow the cursor `after`; without one from now on, or from the newest `recent` (at most 100).

        At most one subscription of a topic at a time. `on_reset` may be a coroutine function; `on_status` is told of every change.
        """
        self.check_open()
        if topic in self._topics:
            raise ValueError(f"this client is subscribed to {topic} already: share what it gives, or connect once more")
        if not 0 <= recent <= 100:
            raise ValueError("recent must be 0 to 100")
        if after is not None and not (after.isascii() and after.isprintable() and 1 <= len(after) <= 64):
            raise ValueError("after must be a cursor that an event or a status had")
        made = self._topics[topic] = Topic(self, topic, after=after, recent=recent, on_status=on_status)
        if self._known.is_set():
            self._start(made)
        return Subscription(made, on_reset, lambda: self._leave(made))

    async def publish(self, topic: str, type: str, data: object, *, id: str | None = None) -> str:
        """Publish, again and again with the same id until the server has it, and return the event's cursor.

        Events of one topic arrive in the order of the calls. `Refused` where the server says no; TimeoutError after 240 s, when
        it may have arrived: the same id settles that.
        """
        self.check_open()
        outbox = self._outboxes.setdefault(topic, Outbox(self))
        return await outbox.publish(Publish(topic, type, data, id or str(uuid4())))

    def cut(self, transport: Literal["websocket", "sse", "polling"], on: bool = True) -> None:  # noqa: FBT001, FBT002 - as in JavaScript
        """As a bad network would: that transport fails until it is given back. For demonstrations and tests."""
        (self.cuts.add if on else self.cuts.discard)(transport)
        for link in tuple(self.links):
            if link.kind == transport:
                link.fail(ConnectionError(f"{transport} is cut off")) if on else link.kick()

    # For links and topics

    def link(self, kind: str, topic: Topic) -> Link:
        """A link with room for the topic."""
        place = self.facts.sse.get(topic.feature.host)
        for link in self.links:
            fits = link.kind == kind and not link.alone and len(link.topics) < link.room
            if fits and (not isinstance(link, Sse) or (link.place == place and link.recent == topic.recent)):
                return link
        return self._linked(kind, topic)

    def part(self, link: Link, topic: Topic) -> None:
        """Give the topic a link of its own: among those of this one, somebody is refused."""
        topic.move(link, self._linked(link.kind, topic, alone=True))

    def socket(self, topic: str) -> WebSocket | None:
        """The WebSocket that serves the topic, if one does."""
        return next((link for link in self.links if isinstance(link, WebSocket) and link.serves(topic)), None)

    async def ticket(self, use: str, topics: list[str]) -> str:
        """A ticket, which is good for one connection."""
        answer = await ask(self.http, f"{self.facts.http}/tickets", token=await self.tokens.get(), body={"use": use, "topics": topics})
        return str(answer.json()["ticket"])

    async def facts_known(self) -> Facts:
        """What is deployed, once it is known."""
        await self._known.wait()
        if self._failed:
            raise self._failed
        return self.facts

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """A task that ends with the client."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def tell(self, handler: Callable[[Status], object], status: Status) -> None:
        """A handler that fails fails alone."""
        try:
            handler(status)
        except Exception:
            logger.exception("on_status failed")

    def log(self, error: Exception) -> None:
        logger.warning("no new token: %s", reason(error))

    # Within

    def _linked(self, kind: str, topic: Topic, *, alone: bool = False) -> Link:
        made: Link
        if kind == "sse":
            made = Sse(self, self.facts.sse[topic.feature.host], alone=alone, recent=topic.recent)
        else:
            made = (WebSocket if kind == "websocket" else Polling)(self, alone=alone)
        self.links.add(made)
        return made

    async def _look_up(self, url: str) -> None:
        """client.json, as often as it takes."""
        failures = 0
        while True:
            try:
                answer = await ask(self.http, url)
                self._knows(Facts.of(answer.json(), str(answer.url)))
            except (OSError, httpx2.HTTPError, httpx2.InvalidURL, ValueError, Refused) as error:
                refused = error if isinstance(error, Refused) else Refused(f"{url}: {reason(error)}", code="unavailable")
                if refused.final or isinstance(error, ValueError | httpx2.InvalidURL):
                    self._fails(refused)
                    return
                self._complain(refused)
                await asyncio.sleep(backoff(self.random, failures, refused.retry_after))
                failures += 1
            else:
                return

    def _knows(self, facts: Facts) -> None:
        self.facts = facts
        self._known.set()
        for topic in tuple(self._topics.values()):
            self._start(topic)

    def _fails(self, refused: Refused) -> None:
        self._failed = refused
        self._known.set()
        for topic in tuple(self._topics.values()):
            topic.refuse(refused)

    def _complain(self, refused: Refused) -> None:
        for topic in self._topics.values():
            topic.problem = str(refused)
            topic.changed()

    def _start(self, topic: Topic) -> None:
        if self._failed:
            topic.refuse(self._failed)
            return
        feature = self.facts.feature(topic.name)
        if feature is None:
            topic.refuse(
                Refused(f"no feature serves the topic {topic.name}: there are {', '.join(self.facts.features)}", code="unknown_topic")
            )
        elif not (feature.public or self.tokens.given):
            topic.refuse(Refused(f"{feature.name} is not public: give connect() a token", code="unauthorized"))
        else:
            topic.start(feature, self.facts.ladder(feature, signed_in=self.tokens.given))

    def _leave(self, topic: Topic) -> None:
        """It is not wanted any more: said in any thread, since a garbage collector may say it."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._end, topic)

    def _end(self, topic: Topic) -> None:
        if self._topics.get(topic.name) is topic:
            del self._topics[topic.name]
        topic.end(StopAsyncIteration())

    def _done(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            logger.error("%s failed", task.get_name(), exc_info=error)

    def check_open(self) -> None:
        if self._closed or not hasattr(self, "http"):
            raise RuntimeError("the client is not open: use it within `async with connect(...) as client`")


def connect(
    features: str | Mapping[str, Any],
    *,
    token: str | Source | None = None,
    http: httpx2.AsyncClient | None = None,
    random: Random | None = None,
) -> Client:
    """A client of the deployment that `features` describes: the URL of its client.json, or what is in it.

    `token`: a text, or a coroutine function that is given the previous one (None at first) and returns one, perhaps with the
    seconds that it lives. `http`: an HTTP client to share, which stays open.
    """
    return Client(features, token, http, random)
