"""Answers: POST /answers -> a model, whose pieces the caller gets as they come; DELETE /answers/{id} stops it."""

import asyncio
import math
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Depends, Header, Request, Response
from pydantic import Field
from starlette.types import Receive, Scope, Send

from realtime import answers, sse
from realtime.answers import ANSWER_SECONDS, MAX_TOKENS, Message, Model, Writer
from realtime.cursor import START, Cursor
from realtime.errors import Code, RealtimeError
from realtime.event import Event
from realtime.features import Topic
from realtime.hub import Hub
from realtime.policy import Principal, check, known
from realtime.publish import MAX_KEY_CHARS
from realtime.runtime import Runtime
from realtime.sessions import COOKIE
from realtime.strict import Strict, parsed
from realtime.tokens import CLOCK_SECONDS, sent
from services.http.bodies import Authorization, RawBody
from services.sse.stream import Draining, EventStream, Manners, nothing_more
from services.sse.transport import Inner

Write = Callable[["Asker | None"], None]

SPARE_SECONDS = 5.0
"""An answer ends so long before its caller's token does, so that its end still reaches him."""


class Said(Strict):
    """One turn of the conversation."""

    role: Literal["user", "assistant"]
    content: Annotated[str, Field(min_length=1, max_length=20_000)]


class Question(Strict):
    """What to answer: the conversation so far, which ends with the user's turn, and how long the answer may be."""

    messages: Annotated[list[Said], Field(min_length=1, max_length=100)]
    max_tokens: Annotated[int, Field(ge=1, le=MAX_TOKENS)] = 1_024

    def conversation(self) -> list[Message]:
        """The turns; `invalid` where they do not alternate, from user to user."""
        if any(said.role != ("user", "assistant")[number % 2] for number, said in enumerate(self.messages)) or len(self.messages) % 2 == 0:
            raise RealtimeError(Code.INVALID, "messages: user and assistant take turns, and the user begins and ends")
        return [Message(said.role, said.content) for said in self.messages]


def router(runtime: Runtime, hub: Hub, draining: Draining, manners: Manners, model: Model) -> APIRouter:
    """The routes of answers."""
    routes, desk = APIRouter(), Desk(runtime, hub, draining, manners, model)

    @routes.post("/answers", response_class=Response)
    def ask(
        request: Request,
        raw: Annotated[bytes, Depends(RawBody())],
        authorization: Authorization = None,
        idempotency_key: Annotated[str | None, Header(description="a repeat goes on with the answer that was begun")] = None,
        last_event_id: Annotated[str | None, Header(description="of a repeat: the id of the last event")] = None,
    ) -> Response:
        """The answer as a stream: what is in its topic, and previews of what soon will be. `Content-Location` is the topic's own stream."""
        principal = _caller(runtime, request, authorization)
        question = parsed(Question.model_validate, raw)
        return desk.ask(principal, question, idempotency_key, Cursor.parse(last_event_id) if last_event_id else START)

    @routes.delete("/answers/{id}", status_code=204)
    def stop(request: Request, id: str, authorization: Authorization = None) -> Response:
        """Stop the answer. What was written of it stays, as long as the feature retains it."""
        principal = _caller(runtime, request, authorization)
        answers.cancel(runtime.log, _owned(runtime, principal, id))
        return Response(status_code=204, headers={"Cache-Control": "no-store"})

    return routes


class Desk:
    """Begins answers, each of which has a thread of its own."""

    def __init__(self, runtime: Runtime, hub: Hub, draining: Draining, manners: Manners, model: Model) -> None:
        self._runtime = runtime
        self._hub = hub
        self._draining = draining
        self._manners = manners
        self._model = model

    def ask(self, principal: Principal, question: Question, key: str | None, after: Cursor) -> Response:
        """A stream of a new answer, or of the one that was begun with this key."""
        if key is not None and not (1 <= len(key) <= MAX_KEY_CHARS and key.isprintable()):
            raise RealtimeError(Code.INVALID, f"an idempotency key is 1 to {MAX_KEY_CHARS} printable characters")
        seconds = min(ANSWER_SECONDS, principal.expires - time.time() - SPARE_SECONDS)
        if seconds <= 0:
            raise RealtimeError(Code.EXPIRED, "the token ends too soon for an answer: come with a new one")
        log, messages = self._runtime.log, question.conversation()
        topic = _owned(self._runtime, principal, answers.new_id(principal.sub, key))
        asked, until = answers.digest(messages, question.max_tokens), principal.expires + CLOCK_SECONDS
        if key is not None and answers.begun(log, topic, asked):
            return self._follow(topic, after, until)
        if self._draining.now:
            raise RealtimeError(Code.UNAVAILABLE, "this process is about to end: ask again", retry_after=1)
        self._runtime.publisher.admit(topic, principal)
        started = answers.begin(log, topic, self._model.name, asked)
        if started is None:  # the same question came twice at once
            return self._follow(topic, after, until)
        write = self._writing(topic, started, messages, question.max_tokens, seconds)
        return _located(AnswerStream(self._hub, self._draining, topic, until, write), topic)

    def _follow(self, topic: Topic, after: Cursor, until: float) -> Response:
        if self._manners.over(topic, after):
            return nothing_more()
        return _located(EventStream(self._hub, self._draining, [topic], [after], until, self._manners.seconds([topic])), topic)

    def _writing(self, topic: Topic, started: Event, messages: list[Message], max_tokens: int, seconds: float) -> Write:
        """What writes the answer, once it is called in the loop; its asker may be gone by then."""

        def write(asker: "Asker | None") -> None:
            loop = asyncio.get_running_loop()

            def tell(function: Callable[..., object], *what: object) -> None:
                with suppress(RuntimeError):  # the loop has ended: the log has it all the same
                    loop.call_soon_threadsafe(function, *what)

            def heard(events: Sequence[Event]) -> None:
                tell(self._hub.hear, topic.name, events)

            def preview(data: str) -> None:
                if asker:
                    tell(asker.show, data)

            def work() -> None:
                try:
                    writer.run(self._model, messages, max_tokens)
                finally:
                    if asker:
                        tell(asker.finish)

            end, ending = started.cursor, lambda: self._draining.now
            writer = Writer(self._runtime.log, topic, end, heard, preview, seconds=seconds, stopping=ending)
            threading.Thread(target=work, name="answer").start()

        return write


class Asker:
    """The reader of who asked. The hub may be done with him: his response lasts until the answer is written.

    On Lambda nothing goes on once a response has ended: neither the writer, nor what it holds at the model.
    """

    def __init__(self, inner: Inner) -> None:
        self._inner = inner
        self._done = False

    def write(self, chunk: bytes) -> bool:
        return not self._done and self._inner.write(chunk)

    def end(self, chunk: bytes = b"") -> None:
        if chunk:
            self.write(chunk)
        self._done = True

    async def drained(self) -> bool:
        return await self._inner.drained() and not self._done

    def show(self, data: str) -> None:
        """A preview, if nothing waits for him: what it tells comes again."""
        if not (self._done or self._inner.gone or self._inner.waiting):
            self._inner.write(sse.preview(data))

    def finish(self) -> None:
        """The answer is written."""
        self._done = True
        self._inner.end()


class AnswerStream(EventStream):
    """The stream of who asked."""

    def __init__(self, hub: Hub, draining: Draining, topic: Topic, until: float, write: Write) -> None:
        super().__init__(hub, draining, [topic], [START], until, math.inf)
        self._write: Write | None = write

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._begin(None)  # whoever asked is gone already: the answer will be in its topic

    async def _stream(self, reader: Inner, begin: Sequence[Cursor]) -> None:
        asker = Asker(reader)
        try:
            await self._hub.stream(asker, self._topics, begin, self._until, self._seconds)
        finally:
            self._begin(asker)

    def _begin(self, asker: Asker | None) -> None:
        write, self._write = self._write, None
        if write:
            write(asker)


def _caller(runtime: Runtime, request: Request, authorization: str | None) -> Principal:
    """By token, else by cookie. A browser names the page's own origin with a POST; `Sec-Fetch-Site` no script can set."""
    token, cookie = sent(authorization), request.cookies.get(COOKIE)
    if token is not None or cookie is None:
        return known(runtime.principal(token))
    own = request.headers.get("sec-fetch-site") == "same-origin"
    return runtime.sessions.verify(cookie, None if own else request.headers.get("origin"))


def _owned(runtime: Runtime, principal: Principal, id: str) -> Topic:
    topic = answers.topic_of(runtime.features, principal.sub, id)
    check(topic, "read", principal)
    return topic


def _located(response: Response, topic: Topic) -> Response:
    """With the place of the topic's stream, relative to where the request went: a stage may stand before it."""
    response.headers["Content-Location"] = f"topics/{quote(topic.name)}/stream"
    return response
