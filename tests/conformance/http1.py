"""HTTP/1.1 as RFC 9112 writes it, without leniency: the head of an answer, and the framing of its body byte by byte."""

import re
from dataclasses import dataclass

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2}) [\t\x20-\x7e\x80-\xff]*")
_FIELD = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*((?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?)[ \t]*"
)
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?")
_LONGEST_LINE = 16_384


class ProtocolError(AssertionError):
    """What came is not HTTP/1.1."""


@dataclass(frozen=True, slots=True)
class Head:
    """Status and header fields; names are in lower case."""

    status: int
    fields: tuple[tuple[str, str], ...]

    def all(self, name: str) -> list[str]:
        return [value for field, value in self.fields if field == name]

    def get(self, name: str) -> str | None:
        """The field's value; several lines are one list (RFC 9110 5.3)."""
        return ", ".join(self.all(name)) if self.all(name) else None

    def tokens(self, name: str) -> set[str]:
        """The members of a list such as Cache-Control, in lower case."""
        return {token.strip().lower() for token in (self.get(name) or "").split(",") if token.strip()}


def parse_head(raw: bytes) -> Head:
    """RFC 9112 4 and 5: the bytes before the empty line."""
    first, *lines = raw.split(b"\r\n")
    status = _STATUS_LINE.fullmatch(first)
    if not status:
        raise ProtocolError(f"not a status line: {first!r}")
    return Head(int(status[1]), tuple(_field(line) for line in lines))


def _field(line: bytes) -> tuple[str, str]:
    field = _FIELD.fullmatch(line)
    if not field:
        raise ProtocolError(f"not a header field: {line!r}")
    return field[1].decode().lower(), field[2].decode("latin-1")


class Chunks:
    """RFC 9112 7.1: chunk-size CRLF data CRLF, and at last `0` CRLF CRLF."""

    def __init__(self) -> None:
        self.finished = False
        """The last chunk and the trailer section have come."""
        self.sizes: list[int] = []
        self._raw = b""
        self._left = 0  # bytes of the chunk that have not come, and its CRLF
        self._last = False

    def feed(self, piece: bytes) -> bytes:
        """The data in it."""
        self._raw += piece
        out: list[bytes] = []
        while self._raw and (self._data(out) if self._left else self._line()):
            pass
        return b"".join(out)

    def _data(self, out: list[bytes]) -> bool:
        size = self._left - 2
        if size > 0:
            out.append(self._raw[:size])
            self._left -= len(out[-1])
            self._raw = self._raw[size:]
            return True
        if not b"\r\n".startswith(self._raw[:2]):
            raise ProtocolError(f"a chunk of {self.sizes[-1]} bytes is not followed by CRLF but by {self._raw[:20]!r}")
        if len(self._raw) < 2:
            return False
        self._raw, self._left = self._raw[2:], 0
        return True

    def _line(self) -> bool:
        if self.finished:
            raise ProtocolError(f"after the last chunk: {self._raw[:20]!r}")
        line, end, rest = self._raw.partition(b"\r\n")
        if not end:
            if len(line) > _LONGEST_LINE:
                raise ProtocolError(f"not a chunk's size: {line[:40]!r}")
            return False
        self._raw = rest
        if self._last:
            self._trailer(line)
        else:
            self._size(line)
        return True

    def _size(self, line: bytes) -> None:
        form = _CHUNK_SIZE.fullmatch(line)
        if not form:
            raise ProtocolError(f"not a chunk's size: {line[:40]!r}")
        size = int(form[1], 16)
        self._last = size == 0
        if size:
            self.sizes.append(size)
            self._left = size + 2

    def _trailer(self, line: bytes) -> None:
        if line:
            _field(line)
        else:
            self.finished = True
