"""The event stream format, from the bytes of a body to events: WHATWG HTML 9.2.5 and 9.2.6, and nothing beyond.

A client must read whatever comes; what it has to ignore by the rules is kept in `ignored`, since no server should send it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n|\r|\n")
_DIGITS = frozenset("0123456789")


@dataclass(frozen=True, slots=True)
class Event:
    """What a listener gets. `id` is the last one that was set; `fields` are the names of this event's own lines."""

    type: str
    data: str
    id: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Retry:
    """How long to wait before coming back."""

    milliseconds: int


@dataclass(frozen=True, slots=True)
class Comment:
    """A line that begins with a colon; heartbeats are made of them."""

    text: str


Item = Event | Retry | Comment


class Parser:
    """Feed it bytes in pieces of any size."""

    def __init__(self) -> None:
        self.last_id = ""
        """What a client would send as Last-Event-ID."""
        self.ignored: list[bytes] = []
        """Lines that are no field of the format, or a field whose value has to be ignored."""
        self.empty = 0
        """Blank lines that have ended no event: those of heartbeats."""
        self.unterminated = b""
        """The line that has begun and not ended."""
        self._first = True
        self._after_cr = False
        self._id = ""
        self._type = ""
        self._data: list[str] = []
        self._fields: list[str] = []

    @property
    def pending(self) -> tuple[str, ...]:
        """Fields of an event whose blank line has not come: at the end of a stream they are discarded."""
        return tuple(self._fields)

    def feed(self, piece: bytes) -> list[Item]:
        """What the piece completes, in order."""
        return [item for line in self._lines(piece) for item in self._line(line)]

    def _lines(self, piece: bytes) -> Iterator[bytes]:
        """Lines end with CRLF, LF or CR. A CR ends one at once; an LF that follows, perhaps in the next piece, is part of it."""
        if self._after_cr:
            piece, self._after_cr = piece.removeprefix(b"\n"), not piece
        if not piece:
            return
        self._after_cr = piece.endswith(b"\r")
        *lines, self.unterminated = _LINE_END.split(self.unterminated + piece)
        for line in lines:
            yield line.removeprefix(_BOM) if self._first else line
            self._first = False

    def _line(self, raw: bytes) -> Iterator[Item]:
        line = raw.decode(errors="replace")
        name, _, value = line.partition(":")
        if not line:
            yield from self._dispatch()
        elif not name:
            yield Comment(value)
        else:
            self._fields.append(name)
            yield from self._field(name, value.removeprefix(" "), raw)

    def _field(self, name: str, value: str, raw: bytes) -> Iterator[Item]:
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._type = value
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value and _DIGITS.issuperset(value):
            yield Retry(int(value))
        else:
            self.ignored.append(raw)

    def _dispatch(self) -> Iterator[Item]:
        """A blank line: the id counts from now on; without a data line there is no event."""
        self.last_id = self._id
        if self._data:
            yield Event(self._type or "message", "\n".join(self._data), self.last_id, tuple(self._fields))
        else:
            self.empty += 1
        self._type, self._data, self._fields = "", [], []
