"""Answers, token by token: a model's pieces -> previews at once, and batches in the log of the answer's own topic.

An answer is the topic `answers/<sub>/<id>`, which its owner alone may read. The log has `started`, then batches of `text`,
and then one of `done`, `failed` and `cancelled`, after which nothing follows. Each batch says which pieces it holds, so
whoever has seen them as previews, which come at once and are kept nowhere, puts them where he has them already.

What it costs: an append of 2 write units (4 where a long `sub` makes it more than 1 KB) per batch, and no read. 2,000 pieces
at 50 a second and more are at most 30 appends: the first batches are small, so that somebody who follows sees something soon,
later ones hold 100 pieces.
Every append is on the condition that the topic ends where the writer left it. So whoever appends `cancelled` has stopped the
writer: its next batch is refused.
"""

import hashlib
import itertools
import json
import logging
import random
import secrets
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from realtime.cursor import START, Cursor
from realtime.errors import Code, RealtimeError
from realtime.event import Event, NewEvent, dumps
from realtime.features import ANSWERS, Features, Topic
from realtime.log import Log, Moved

ANSWER_SECONDS = 300.0
"""The longest that an answer may take, looked at with each piece. It tells an answer that was broken off from a slow one."""

SILENT_SECONDS = 30.0
"""How long a model may be silent, also before its first piece. So an answer has ended that much later at the latest."""

MAX_TOKENS = 4_096
BATCH_PIECES = (4, 8, 16, 32, 64, 100)
"""Pieces of the first batches; the last number is that of all that follow."""

BATCH_SECONDS = 2.0
"""A slow model's batches are smaller: none is older than this when a piece comes."""

BATCH_BYTES, PIECE_CHARS = 2_000, 200
"""A batch is appended once it has so many bytes; longer pieces are split. So no event is bigger than `MIN_ANSWER_BYTES`."""

TRIES = 5
PAUSE_SECONDS = 1.0

STARTED, TEXT, DONE, FAILED, CANCELLED = "started", "text", "done", "failed", "cancelled"
LAST = frozenset({DONE, FAILED, CANCELLED})

logger = logging.getLogger("realtime.answers")


class Message(NamedTuple):
    """What was said before, and last the question."""

    role: Literal["user", "assistant"]
    text: str


class Usage(NamedTuple):
    """What an answer took, as the model counts it, and why it ended."""

    input_tokens: int
    output_tokens: int
    stop_reason: str


class Model(Protocol):
    """Where answers come from."""

    name: str

    def answer(self, messages: Sequence[Message], max_tokens: int) -> Generator[str | Usage]:
        """The pieces of an answer as they come, and at the end its usage. It blocks; a failure is a `RealtimeError`."""


class Stopped(Exception):  # noqa: N818 - it is what was asked for
    """Somebody else has ended the answer."""


def last(event: Event) -> bool:
    """Whether nothing follows an event of an answer."""
    return event.type in LAST and event.topic.startswith(f"{ANSWERS}/")


def topic_of(features: Features, sub: str, id: str) -> Topic:
    """The topic of an answer; `invalid` where the caller's `sub` cannot be part of one."""
    try:
        return features.topic(f"{ANSWERS}/{sub}/{id}")
    except RealtimeError:
        raise RealtimeError(Code.INVALID, "the id, or the token's sub, has characters that a topic cannot have") from None


def new_id(sub: str, key: str | None) -> str:
    """An answer's id: random, or the same for each repeat with an idempotency key."""
    return secrets.token_hex(12) if key is None else hashlib.sha256(dumps([sub, key]).encode()).hexdigest()[:24]


def digest(messages: Sequence[Message], max_tokens: int) -> str:
    """A fingerprint of a question."""
    return hashlib.sha256(dumps([messages, max_tokens]).encode()).hexdigest()[:32]


def begin(log: Log, topic: Topic, model: str, question: str) -> Event | None:
    """Append `started`; None where this answer was begun before."""
    data = {"id": topic.name.rsplit("/", 1)[-1], "model": model, "question": question}
    try:
        return log.append(topic, [NewEvent.of(STARTED, data)], after=START)[0]
    except Moved:
        begun(log, topic, question)
        return None


def begun(log: Log, topic: Topic, question: str) -> bool:
    """Whether this answer was begun before; `key_reused` where that was for another question. 1 or 2 read units."""
    page = log.read(topic, START, 1, consistent=True)
    if page.cursor == START:
        return False
    first = page.events
    if not first or first[0].type != STARTED or json.loads(first[0].data_json).get("question") != question:
        raise RealtimeError(Code.KEY_REUSED, "this idempotency key was used for another question, or long ago")
    return True


def cancel(log: Log, topic: Topic) -> None:
    """End the answer, if it has not ended: its writer learns of it with its next batch. `not_found` where there is none."""
    for _ in range(TRIES):
        page = log.recent(topic, 1, consistent=True)
        if not page.events:
            raise RealtimeError(Code.NOT_FOUND, "there is no such answer, or it is too old")
        if page.events[-1].type in LAST:
            return
        try:
            log.append(topic, [NewEvent.of(CANCELLED, {})], after=page.cursor)
        except Moved:
            continue  # a batch came in between
        return
    raise RealtimeError(Code.UNAVAILABLE, "the answer grows too fast to be stopped: try again", retry_after=1)


def over(log: Log, topic: Topic, cursor: Cursor | None, clock: Callable[[], float] = time.time) -> bool:
    """Whether a reader at the cursor, or one who begins at the end, has all that will ever come. One read of half a unit.

    An answer whose writer was broken off is ended by whoever comes to read it.
    """
    page = log.recent(topic, 1)
    if not page.events:  # never begun, or expired
        return True
    newest = page.events[-1]
    if newest.type in LAST:
        return cursor in (None, newest.cursor)
    if clock() > newest.at_ms / 1000 + ANSWER_SECONDS:
        with suppress(Moved):  # somebody else was faster
            log.append(topic, [_failure(RealtimeError(Code.UNAVAILABLE, "the answer was broken off: ask again"))], after=newest.cursor)
    return False


@dataclass
class Writer:
    """Writes one answer; `run` blocks, in a thread of its own, until it is whole.

    `heard` gets what the log has got, `preview` the data of a preview. `stopping` says that the process is about to end.
    """

    log: Log
    topic: Topic
    end: Cursor
    heard: Callable[[Sequence[Event]], None]
    preview: Callable[[str], None]
    seconds: float = ANSWER_SECONDS
    stopping: Callable[[], bool] = lambda: False
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _first: int = 0  # number of the first piece that is not in the log
    _pieces: list[str] = field(default_factory=list)
    _bytes: int = 0
    _waiting: list[NewEvent] = field(default_factory=list)  # for the log to take it
    _sizes: Iterator[int] = field(default_factory=lambda: itertools.chain(BATCH_PIECES, itertools.repeat(BATCH_PIECES[-1])))

    def run(self, model: Model, messages: Sequence[Message], max_tokens: int) -> None:
        """Whatever happens, the topic ends with one of `LAST`; unless the log itself is away for long."""
        try:
            self._append(NewEvent.of(DONE, self._write(model, messages, max_tokens)))
        except Stopped:
            return
        except RealtimeError as error:
            self._fail(error)
        except Exception:
            logger.exception("an answer failed")
            self._fail(RealtimeError(Code.INTERNAL, Code.INTERNAL.value.meaning))

    def _write(self, model: Model, messages: Sequence[Message], max_tokens: int) -> dict[str, object]:
        """Write the pieces; return what the answer took."""
        deadline, usage = self.clock() + self.seconds, Usage(0, 0, "")
        size, due = next(self._sizes), self.clock() + BATCH_SECONDS
        with closing(model.answer(messages, max_tokens)) as pieces:
            for piece in pieces:
                if isinstance(piece, Usage):
                    usage = piece
                    continue
                self._take(piece)
                if self.stopping() or self.clock() > deadline:
                    raise RealtimeError(Code.UNAVAILABLE, "the answer took too long, or its process ends: ask again")
                if self._pieces and (len(self._pieces) >= size or self.clock() >= due):
                    self._append()
                    size, due = next(self._sizes), self.clock() + BATCH_SECONDS
        return {"pieces": self._first + len(self._pieces), **usage._asdict()}

    def _take(self, text: str) -> None:
        for start in range(0, len(text), PIECE_CHARS):
            piece = text[start : start + PIECE_CHARS]
            self.preview(_text(self._first + len(self._pieces), [piece]))
            self._pieces.append(piece)
            self._bytes += len(dumps(piece).encode())
            if self._bytes >= BATCH_BYTES:
                self._append()

    def _append(self, *more: NewEvent) -> None:
        """Append what was collected and more, after what could not be appended before; `Stopped` where the topic has been ended."""
        self._waiting += [*self._batch(), *more]
        failures = 0
        while self._waiting:
            try:
                events = self._put()
            except RealtimeError:
                failures += 1
                if failures == TRIES:
                    raise
                self.sleep(random.uniform(0, PAUSE_SECONDS))  # noqa: S311 - jitter
                continue
            self.end = events[-1].cursor
            del self._waiting[: len(events)]
            self.heard(events)

    def _put(self) -> Sequence[Event]:
        """What the log has now of what waits: all of it, or what went in before although the answer was lost."""
        try:
            return self.log.append(self.topic, self._waiting, after=self.end)
        except Moved:
            events = self.log.read(self.topic, self.end, consistent=True).events
        ours = [(event.type, event.data_json) for event in self._waiting]
        if events and ours[: len(events)] == [(event.type, event.data_json) for event in events]:
            return events
        self.heard(events)
        raise Stopped

    def _batch(self) -> list[NewEvent]:
        """What was collected, as an event."""
        if not self._pieces:
            return []
        batch = NewEvent(TEXT, _text(self._first, self._pieces))
        self._first += len(self._pieces)
        self._pieces.clear()
        self._bytes = 0
        return [batch]

    def _fail(self, error: RealtimeError) -> None:
        try:
            self._append(_failure(error))
        except Stopped:
            return
        except RealtimeError:
            logger.exception("an answer could not be ended: whoever reads it after %g s will", ANSWER_SECONDS)


def _text(first: int, pieces: Sequence[str]) -> str:
    return dumps({"first": first, "pieces": pieces})


def _failure(error: RealtimeError) -> NewEvent:
    return NewEvent.of(FAILED, {"code": error.code.wire, "message": error.detail})
