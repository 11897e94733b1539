"""One request on a plain socket, and its answer as it comes: bytes, items of the stream, and when each came."""

import re
import select
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import urlencode, urlsplit

from tests.conformance.http1 import Chunks, Head, ProtocolError, parse_head
from tests.conformance.parser import Comment, Event, Item, Parser, Retry

SECONDS = 5.0
"""How long anything may take that is not given a time of its own."""


@dataclass(frozen=True, slots=True)
class Place:
    """A URL and the header fields that go with it."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> "Place":
        """`URL`, or `URL | Name: value | Name: value`."""
        url, *lines = re.split(r"\s+\|\s+", text.strip())
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise ValueError(f"not a URL of http or https: {url}")
        return cls(url, dict(header(line) for line in lines))

    def with_query(self, **query: str) -> "Place":
        mark = "&" if urlsplit(self.url).query else "?"
        return Place(self.url + mark + urlencode(query), self.headers)

    @property
    def target(self) -> str:
        """As the request line names it."""
        parts = urlsplit(self.url)
        return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def header(line: str) -> tuple[str, str]:
    """`Name: value`."""
    name, colon, value = line.partition(":")
    if not colon or not name.strip():
        raise ValueError(f"not a header field: {line}")
    return name.strip(), value.strip()


class Stream:
    """A request that has been sent. Every wait is bounded; what the server does wrong is a `ProtocolError`."""

    def __init__(
        self,
        place: Place,
        headers: Mapping[str, str] | None = None,
        *,
        method: str = "GET",
        version: str = "1.1",
        buffer: int | None = None,
    ) -> None:
        self.began = time.monotonic()
        self.raw = b""
        """Every byte of the answer's head, and the first 64 KB of its body."""
        self.body = b""
        """The body without its framing."""
        self.items: list[tuple[float, Item]] = []
        """What the stream holds, with seconds since the request."""
        self.first_byte: float | None = None
        """When the body began, in seconds since the request."""
        self.closed = False
        """The server has ended the connection, or broken it."""
        self.parser = Parser()
        self._method = method
        self._head: Head | None = None
        self._chunks: Chunks | None = None
        self._socket = _connect(place, buffer)
        lines = (
            {"Host": urlsplit(place.url).netloc.rpartition("@")[2], "Accept": "text/event-stream"}
            | dict(place.headers)
            | dict(headers or {})
        )
        request = [f"{method} {place.target} HTTP/{version}", *(f"{name}: {value}" for name, value in lines.items())]
        if method == "POST":
            request.append("Content-Length: 0")
        self._socket.sendall("\r\n".join([*request, "", ""]).encode("latin-1"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # What has come

    @property
    def head(self) -> Head:
        self.until(lambda: self._head is not None, "the head of an answer")
        assert self._head is not None
        return self._head

    @property
    def events(self) -> list[Event]:
        return [item for _, item in self.items if isinstance(item, Event)]

    @property
    def comments(self) -> list[Comment]:
        return [item for _, item in self.items if isinstance(item, Comment)]

    @property
    def retries(self) -> list[int]:
        return [item.milliseconds for _, item in self.items if isinstance(item, Retry)]

    @property
    def chunked(self) -> bool:
        return self._chunks is not None

    @property
    def finished(self) -> bool:
        """The body has come to the end that its framing tells; without framing that is the end of the connection."""
        return self._chunks.finished if self._chunks else self.closed

    # Waiting

    def until(self, holds: Callable[[], bool], what: str, seconds: float | None = None) -> None:
        """Read until it holds; else a `ProtocolError` that says what did not come."""
        limit = SECONDS if seconds is None else seconds
        deadline = time.monotonic() + limit
        while not holds():
            left = deadline - time.monotonic()
            if self.closed:
                raise ProtocolError(f"the connection ended before {what} came; at last {self.raw[-80:]!r}")
            if left <= 0:
                raise ProtocolError(f"{what} did not come within {limit:g} s; at last {self.raw[-80:]!r}")
            self._read(left)

    def begin(self, seconds: float | None = None) -> None:
        """Read until the body has begun."""
        self.until(lambda: bool(self.body), "the first byte of the body", seconds)

    def rest(self, seconds: float | None = None) -> None:
        """Read until the server closes."""
        self.until(lambda: self.closed, "the end of the connection", seconds)

    def read_for(self, seconds: float) -> None:
        """Read whatever comes, for so long."""
        deadline = time.monotonic() + seconds
        while not self.closed and (left := deadline - time.monotonic()) > 0:
            self._read(left)

    def answer(self, seconds: float | None = None) -> bytes:
        """The body of an answer that ends by itself: with its length, its last chunk, or the connection."""
        length = self.head.get("content-length")
        bare = self._method == "HEAD" or self.head.status in (204, 304)
        self.until(lambda: self.finished or bare or (length is not None and len(self.body) >= int(length)), "the whole answer", seconds)
        return self.body

    # Leaving

    def close(self) -> None:
        self._socket.close()

    def send(self, more: bytes) -> None:
        """Bytes that follow the request."""
        self._socket.sendall(more)

    def half_close(self) -> None:
        """Say that nothing more will be sent, and go on reading."""
        self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Vanish: RST instead of FIN."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    # Reading

    def _read(self, seconds: float) -> None:
        buffered = isinstance(self._socket, ssl.SSLSocket) and self._socket.pending()
        if not buffered and not select.select([self._socket], [], [], seconds)[0]:
            return
        piece = b""
        with suppress(ConnectionError):
            piece = self._socket.recv(65_536)
        if not piece:
            self.closed = True
        self._take(piece)

    def _take(self, piece: bytes) -> None:
        if self._head is None:
            self.raw += piece
            head, end, piece = self.raw.partition(b"\r\n\r\n")
            if not end:
                return
            self._head = parse_head(head)
            if self._head.tokens("transfer-encoding") == {"chunked"}:
                self._chunks = Chunks()
        elif len(self.raw) < 65_536:
            self.raw += piece
        self._content(self._chunks.feed(piece) if self._chunks else piece)

    def _content(self, content: bytes) -> None:
        if not content:
            return
        now = time.monotonic() - self.began
        self.first_byte = self.first_byte or now
        self.body += content
        self.items.extend((now, item) for item in self.parser.feed(content))


def _connect(place: Place, buffer: int | None) -> socket.socket:
    """A connection; `buffer` bounds what the kernel takes for a client that does not read."""
    parts = urlsplit(place.url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    for family, kind, number, _, address in _addresses(host, port):
        made = socket.socket(family, kind, number)
        made.settimeout(SECONDS)
        if buffer:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        try:
            made.connect(address)
        except OSError:
            made.close()
            continue
        return ssl.create_default_context().wrap_socket(made, server_hostname=host) if parts.scheme == "https" else made
    raise ConnectionError(f"nobody answers at {host}:{port}")


def _addresses(host: str, port: int) -> Iterator[tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[object, ...]]]:
    yield from socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
