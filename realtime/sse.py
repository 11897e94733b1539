"""The Server-Sent Events format (WHATWG HTML, "Server-sent events"): bytes that go to readers as they are."""

import json
from collections.abc import Sequence

from realtime.cursor import Cursor
from realtime.errors import Code, RealtimeError
from realtime.event import Event

HEARTBEAT = b":\n\n"
"""A comment: keeps every proxy's idle timer from running out, and no client notices."""

MAX_TOPICS = 20
"""Topics of one stream: each reconnect sends the cursor of each, and a header line is bounded."""


NO_CURSOR = "*"
"""In the id of several topics, where a client that has the cursors of some has none of this one."""


def identified(id: str, body: bytes) -> bytes:
    """An event with the id that a client sends back as `Last-Event-ID`."""
    return b"id: " + id.encode() + b"\n" + body


def body(event: Event, prev: Cursor) -> bytes:
    """An event without its id: the same for every reader, whatever else he reads. Its JSON is one line."""
    return f"event: {event.type}\ndata: {event.encode(prev)}\n\n".encode()


def retry(milliseconds: int) -> bytes:
    """How long the client waits before it comes back; each connection gets another."""
    return f"retry: {milliseconds}\n\n".encode()


def position(id: str) -> bytes:
    """Where the stream begins. A block without data is no event, and yet its id is what a client comes back with."""
    return b"id: " + id.encode() + b"\n\n"


def reset(topic: str, id: str) -> bytes:
    """The cursor cannot be honoured: the state is to be loaded anew; the stream goes on from `id`."""
    return identified(id, b"event: reset\ndata: " + _json(topic=topic) + b"\n\n")


def reconnect(milliseconds: int) -> bytes:
    """The server closes on purpose: come back after that long, with your cursor."""
    return f"event: reconnect\nretry: {milliseconds}\ndata: ".encode() + _json(after_ms=milliseconds) + b"\n\n"


def preview(data: str) -> bytes:
    """What will soon be in the log, as JSON text. It has no id: like every push it is a hint, and what it tells comes again as an event."""
    return f'event: preview\ndata: {{"type":"preview","data":{data}}}\n\n'.encode()


def error(refusal: RealtimeError) -> bytes:
    """Why the stream ends."""
    return b"event: error\ndata: " + _json(code=refusal.code.wire, message=refusal.detail) + b"\n\n"


def join(cursors: Sequence[Cursor]) -> str:
    """The id of a stream: the cursors of its topics, in the order in which its URL names them."""
    return ".".join(map(str, cursors))


def split(id: str, count: int) -> list[Cursor | None]:
    """The cursors of an id, None for a `*`: a topic without one yet. `invalid_cursor` where it is not of a stream with so many topics."""
    parts = id.split(".")
    if len(parts) != count:
        raise RealtimeError(Code.INVALID_CURSOR, f"this stream's id is {count} cursors joined by dots: send back one that you were given")
    return [None if part == NO_CURSOR else Cursor.parse(part) for part in parts]


def _json(**fields: object) -> bytes:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()
