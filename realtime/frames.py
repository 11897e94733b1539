"""The WebSocket frames of the wire contract: JSON text, `action` names the frame in both directions."""

import json
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from realtime.cursor import Cursor
from realtime.errors import Code, RealtimeError
from realtime.event import Event, loads
from realtime.log import Page
from realtime.publish import MAX_KEY_CHARS

FRAME_BYTES = 32 * 1024
"""A frame at most, and what API Gateway bills as one message (developer guide, "Quotas for WebSocket APIs", pricing)."""

MAX_SUBSCRIPTIONS = 50
"""Topics of one connection: what a ping can ask about, and what a lost connection costs to clear away."""

MAX_RECENT = 100

MAX_TOPIC_CHARS = 300


class Subscribe(NamedTuple):
    """Send me the topic: `after` replays what follows a cursor, `recent` begins with the newest; `batch` allows `events` frames."""

    topic: str
    after: str | None = None
    recent: int = 0
    batch: bool = False


class Unsubscribe(NamedTuple):
    topic: str


class Publish(NamedTuple):
    """`id` is the idempotency key: the same one within five minutes adds nothing and gets the same ack."""

    topic: str
    type: str
    data: object
    id: str


class Ping(NamedTuple):
    cursors: dict[str, str]


class Auth(NamedTuple):
    token: str


Frame = Subscribe | Unsubscribe | Publish | Ping | Auth

_Rule = tuple[Callable[[Any], bool], str]


def _text(most: int) -> _Rule:
    """Printable: half a surrogate pair is not, and could not be sent back."""
    return (
        lambda value: isinstance(value, str) and 1 <= len(value) <= most and value.isprintable(),
        f"must be 1 to {most} printable characters",
    )


def _is_cursors(value: object) -> bool:
    if not isinstance(value, dict) or len(value) > MAX_SUBSCRIPTIONS:
        return False
    return all(topic.isprintable() and isinstance(cursor, str) for topic, cursor in value.items())


_TOPIC = _text(MAX_TOPIC_CHARS)
_FLAG: _Rule = (lambda value: isinstance(value, bool), "must be true or false")
_COUNT: _Rule = (lambda value: type(value) is int and 0 <= value <= MAX_RECENT, f"must be a whole number from 0 to {MAX_RECENT}")
_CURSORS: _Rule = (_is_cursors, f"must map at most {MAX_SUBSCRIPTIONS} topics to cursors")
_ANYTHING: _Rule = (lambda _: True, "")

_FORMS: dict[str, tuple[Callable[..., Frame], dict[str, _Rule], dict[str, Any]]] = {  # kind, fields, defaults of those that may be missing
    "subscribe": (
        Subscribe,
        {"topic": _TOPIC, "after": _text(64), "recent": _COUNT, "batch": _FLAG},
        {"after": None, "recent": 0, "batch": False},
    ),
    "unsubscribe": (Unsubscribe, {"topic": _TOPIC}, {}),
    "publish": (Publish, {"topic": _TOPIC, "type": _text(64), "data": _ANYTHING, "id": _text(MAX_KEY_CHARS)}, {}),
    "ping": (Ping, {"cursors": _CURSORS}, {"cursors": {}}),
    "auth": (Auth, {"token": _text(FRAME_BYTES)}, {}),
}


def parse(body: str) -> Frame:
    """A client's frame; `invalid` says what is wrong with anything else. By hand: a model library costs 170 ms at a cold start."""
    value = loads(body.encode(errors="surrogatepass"))
    action = value.get("action") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(action, str) or action not in _FORMS:
        raise RealtimeError(Code.INVALID, f"a message is an object whose action is one of {', '.join(_FORMS)}")
    kind, rules, defaults = _FORMS[action]
    given = {name: field for name, field in value.items() if name != "action"}
    for name, field in given.items():
        if name not in rules:
            raise RealtimeError(Code.INVALID, f"{action} has no field {name[:40]!a}: known are {', '.join(rules)}")
        holds, what = rules[name]
        if not holds(field):
            raise RealtimeError(Code.INVALID, f"{action}.{name} {what}")
    if missing := rules.keys() - given.keys() - defaults.keys():
        raise RealtimeError(Code.INVALID, f"{action} needs {', '.join(sorted(missing))}")
    return kind(**{**defaults, **given})


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
    wait = {} if refusal.retry_after is None else {"retry_after": round(refusal.retry_after * random.uniform(1, 1.5), 1)}  # noqa: S311 - jitter
    return _frame("error", code=refusal.code.wire, message=refusal.detail, **about, **wait, **refusal.more)


def _frame(action: str, **fields: object) -> bytes:
    return json.dumps({"action": action, **fields}, ensure_ascii=False, separators=(",", ":")).encode()
