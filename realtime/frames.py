"""The WebSocket frames of the wire contract: JSON text, `action` names the frame in both directions."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field, JsonValue, TypeAdapter

from realtime.cursor import Cursor
from realtime.errors import RealtimeError
from realtime.event import Event
from realtime.log import Page
from realtime.publish import MAX_KEY_CHARS
from realtime.strict import Strict, parsed

FRAME_BYTES = 32 * 1024
"""A frame at most, and what API Gateway bills as one message (developer guide, "Quotas for WebSocket APIs", pricing)."""

MAX_SUBSCRIPTIONS = 50
"""Topics of one connection: what a ping can ask about, and what a lost connection costs to clear away."""

MAX_RECENT = 100

_TopicName = Annotated[str, Field(min_length=1, max_length=300)]


class Subscribe(Strict):
    """Send me the topic: `after` replays what follows a cursor, `recent` begins with the newest; `batch` allows `events` frames."""

    action: Literal["subscribe"]
    topic: _TopicName
    after: str | None = None
    recent: Annotated[int, Field(ge=0, le=MAX_RECENT)] = 0
    batch: bool = False


class Unsubscribe(Strict):
    action: Literal["unsubscribe"]
    topic: _TopicName


class Publish(Strict):
    """`id` is the idempotency key: the same one within five minutes adds nothing and gets the same ack."""

    action: Literal["publish"]
    topic: _TopicName
    type: str
    data: JsonValue
    id: Annotated[str, Field(min_length=1, max_length=MAX_KEY_CHARS)]


class Ping(Strict):
    action: Literal["ping"]
    cursors: Annotated[dict[str, str], Field(default_factory=dict, max_length=MAX_SUBSCRIPTIONS)]


class Auth(Strict):
    action: Literal["auth"]
    token: str


Frame = Annotated[Subscribe | Unsubscribe | Publish | Ping | Auth, Field(discriminator="action")]

_FRAMES: TypeAdapter[Frame] = TypeAdapter(Frame)


def parse(body: str) -> Frame:
    """A client's frame; `invalid` says what is wrong with anything else."""
    return parsed(_FRAMES.validate_python, body.encode(errors="surrogatepass"))


def deliver(topic: str, deliveries: Iterable[tuple[Event, Cursor]], *, batch: bool) -> tuple[bytes, ...]:
    """The frames that carry events to a reader: one each, or as many as fit into one where the reader takes batches."""
    encoded = [event.encode(previous) for event, previous in deliveries]
    if batch and len(encoded) > 1:
        return tuple(_packed(topic, encoded))
    return tuple(f'{{"action":"event",{event[1:]}'.encode() for event in encoded)


def _packed(topic: str, events: Sequence[str]) -> Iterator[bytes]:
    head = f'{{"action":"events","topic":{json.dumps(topic)},"events":['.encode()
    room, waiting = FRAME_BYTES - len(head) - 2, list[bytes]()
    for event in (e.encode() for e in events):
        if waiting and sum(map(len, waiting)) + len(waiting) + len(event) > room:
            yield head + b",".join(waiting) + b"]}"
            waiting = []
        waiting.append(event)
    yield head + b",".join(waiting) + b"]}"


def subscribed(topic: str, page: Page) -> bytes:
    more = {"more": True} if page.more else {}
    return _frame("subscribed", topic=topic, cursor=str(page.cursor), recovered=page.recovered, **more)


def unsubscribed(topic: str) -> bytes:
    return _frame("unsubscribed", topic=topic)


def ack(id: str, cursor: Cursor) -> bytes:
    return _frame("ack", id=id, cursor=str(cursor))


def pong(heads: dict[str, Cursor]) -> bytes:
    return _frame("pong", heads={topic: str(cursor) for topic, cursor in heads.items()})


def reset(topic: str) -> bytes:
    """The cursor that the client holds is not of this topic's log any more."""
    return _frame("reset", topic=topic)


def reconnect(after_ms: int) -> bytes:
    """Make a new connection in that time, and resume by cursor."""
    return _frame("reconnect", after_ms=after_ms)


def authenticated(seconds: int) -> bytes:
    return _frame("authenticated", expires_in=seconds)


def error(refusal: RealtimeError, about: dict[str, str]) -> bytes:
    """`about` names the publish (`id`) or the `topic` that was refused."""
    wait = {} if refusal.retry_after is None else {"retry_after": round(refusal.retry_after, 1)}
    return _frame("error", code=refusal.code.wire, message=refusal.detail, **about, **wait)


def _frame(action: str, **fields: object) -> bytes:
    return json.dumps({"action": action, **fields}, ensure_ascii=False, separators=(",", ":")).encode()
