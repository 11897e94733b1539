"""Events as they are published, stored and delivered, and the JSON that carries them."""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NoReturn

from realtime.cursor import Cursor
from realtime.errors import Code, RealtimeError

MAX_DEPTH = 32
"""Levels of nesting that a body may have; parsers of other languages begin to fail between 100 and 1000."""

_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}", re.ASCII)
_CONTROL = frozenset({"reset", "reconnect", "error", "open", "preview"})  # names that SSE clients get from the stream itself


@dataclass(frozen=True, slots=True)
class NewEvent:
    """What a publisher hands in: a type and its data, as compact JSON text."""

    type: str
    data_json: str

    @classmethod
    def of(cls, type: str, data: object) -> "NewEvent":
        """Check and encode; a bad type, or data that JSON cannot carry, is `invalid`."""
        if not _TYPE.fullmatch(type):
            raise RealtimeError(Code.INVALID, "type must be 1 to 64 letters, digits or . _ : - and begin with a letter or digit")
        if type in _CONTROL:
            raise RealtimeError(Code.INVALID, f"type {type} is kept for the stream itself: choose another name")
        return cls(type, dumps(data))

    @property
    def size(self) -> int:
        """Bytes of the data on the wire."""
        return len(self.data_json.encode())


@dataclass(frozen=True, slots=True)
class Event:
    """An event of the log. `data_json` stays text: the hot path copies it and never parses it. `at_ms` is Unix time."""

    topic: str
    epoch: str
    seq: int
    type: str
    data_json: str
    at_ms: int

    @property
    def cursor(self) -> Cursor:
        return Cursor(self.epoch, self.seq)

    @property
    def data(self) -> object:
        return json.loads(self.data_json)

    def encode(self, prev: Cursor | None = None) -> str:
        """The event as JSON; `prev` is the cursor that it follows for the reader it is sent to."""
        at = datetime.fromtimestamp(self.at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        tail = "" if prev is None else f',"prev":"{prev}"'
        return (
            f'{{"topic":{json.dumps(self.topic)},"seq":{self.seq},"epoch":"{self.epoch}","type":"{self.type}",'
            f'"data":{self.data_json},"at":"{at}"{tail}}}'
        )


def dumps(data: object) -> str:
    """Compact JSON in UTF-8; what JSON or UTF-8 cannot carry (NaN, half a surrogate pair, endless nesting) is `invalid`."""
    try:
        text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text.encode()
    except (ValueError, TypeError, RecursionError):
        raise RealtimeError(Code.INVALID, "data must be JSON: no NaN, no infinities, only whole characters") from None
    return text


def loads(raw: bytes) -> object:
    """Parse a body that a client sent, strictly: UTF-8, RFC 8259 numbers, at most `MAX_DEPTH` levels."""
    try:
        value = json.loads(raw.decode(), parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise RealtimeError(Code.INVALID, "the body must be JSON in UTF-8") from None
    if any(depth > MAX_DEPTH for depth in _depths(value)):
        raise RealtimeError(Code.INVALID, f"the body is nested deeper than {MAX_DEPTH} levels")
    return value


def digest(events: Sequence[NewEvent]) -> str:
    """A fingerprint of an append's content that does not depend on the order of keys."""
    canonical = json.dumps([[e.type, json.loads(e.data_json)] for e in events], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def _depths(value: object) -> Iterator[int]:
    level, layer = 0, [value]
    while layer:
        yield level
        level += 1
        if level > MAX_DEPTH + 1:
            return
        layer = [child for node in layer for child in _children(node)]


def _children(node: object) -> Sequence[object]:
    if isinstance(node, dict):
        return list(node.values())
    return node if isinstance(node, list) else ()
