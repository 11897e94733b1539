"""The hub's way to a client: uvicorn's own transport, taken over; or ASGI `send`, where another server runs us.

uvicorn keeps a task, a parser, a scope and a request's cycle for as long as a response lasts: some 25 KB. A stream needs
none of them once its first bytes have left, so `StreamingProtocol` lets go of them and leaves the socket to a `Stream`.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Callable, MutableSet
from functools import lru_cache, partial
from typing import Any, Protocol, cast

from starlette.types import Receive, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

DETACH = "realtime.detach"
"""Name of the ASGI extension: `scope["extensions"][DETACH](hub)` gives the stream, or None where the client has left."""

UNFRAMED = "realtime.unframed"
"""Another one, for clients of HTTP/1.0 alone, which knows no chunks (RFC 9112 6.1): nginx asks so by default.

To be called before the head of an answer without a length is sent: such an answer ends with its connection.
"""

HIGH_WATER = 64 * 1024
"""Bytes that may wait for one client here, and (SO_SNDBUF, which Linux doubles for its own book-keeping) in the kernel."""

DRAIN_SECONDS = 30.0
END_SECONDS = 1.0
"""For the last bytes to leave. Who takes longer is cut off: his cursor brings him back."""


class Inner(Protocol):
    """What both ways to a client have, beyond what the hub asks of a reader."""

    @property
    def gone(self) -> bool:
        """Whether the client has left, or is being sent away."""

    @property
    def waiting(self) -> int:
        """Bytes that have not left yet."""

    def write(self, chunk: bytes) -> bool: ...

    def end(self, chunk: bytes = b"") -> None: ...

    async def drained(self) -> bool: ...


Detach = Callable[["Leaving"], "Stream | None"]

_LAST_CHUNK = b"0\r\n\r\n"


class Leaving(Protocol):
    """What a reader needs of the hub."""

    def leave(self, reader: Any) -> None:
        """The client is gone."""


@lru_cache(maxsize=8)
def framed(chunk: bytes) -> bytes:
    """A chunk of HTTP/1.1 (RFC 9112 7.1). All readers of a topic get the same bytes object, which is framed once."""
    return b"%x\r\n%b\r\n" % (len(chunk), chunk)


class StreamingProtocol(HttpToolsProtocol):
    """uvicorn's protocol with one more extension: an application may take the connection away from it."""

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        extensions: dict[str, Any] = {DETACH: partial(self.detach, self.cycle)}
        if self.scope["http_version"] == "1.0":
            extensions[UNFRAMED] = partial(setattr, self.cycle, "chunked_encoding", False)
        cast("dict[str, Any]", self.scope)["extensions"] = extensions

    def detach(self, cycle: RequestResponseCycle, hub: Leaving) -> "Stream | None":
        """Hand the connection over to a stream. To be called in the request's task, after the head was sent.

        For uvicorn it then looks as if the client had left: `receive` says so, `send` does nothing, the task may end.
        Whatever the client sends from now on is ignored, further requests on the connection (the pipeline) too.
        """
        if cycle.disconnected:
            return None
        cycle.disconnected = True
        cycle.message_event.set()
        cycle.scope["extensions"] = {}  # the old one refers back to the cycle
        self._unset_keepalive_if_required()
        self.pipeline.clear()
        self.flow.resume_reading()
        stream = Stream(self.transport, hub, cast("MutableSet[Any]", self.connections), chunked=bool(cycle.chunked_encoding))
        self.connections.discard(self)
        self.scope = self.cycle = self.parser = None  # type: ignore[assignment] # each of them refers back to us
        return stream


class Stream(asyncio.Protocol):
    """A detached connection, as the hub's reader. A chunk is taken whole or not at all."""

    __slots__ = ("_chunked", "_connections", "_deadline", "_hub", "_left", "_shut", "_transport")

    def __init__(self, transport: asyncio.Transport, hub: Leaving, connections: MutableSet[Any], *, chunked: bool) -> None:
        self._chunked = chunked
        self._transport = transport
        self._hub = hub
        self._connections = connections  # uvicorn's, which it waits for when it ends
        self._shut = False  # too much is waiting, or it is over
        self._left: asyncio.Future[None] | None = None
        self._deadline: asyncio.TimerHandle | None = None
        connections.add(self)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, HIGH_WATER)
        transport.set_protocol(self)
        if not transport.is_closing():
            transport.set_write_buffer_limits(HIGH_WATER)

    # Reader

    @property
    def gone(self) -> bool:
        """Whether the client has left, or is being sent away."""
        return self._transport.is_closing()

    @property
    def waiting(self) -> int:
        """Bytes that have not left yet."""
        return self._transport.get_write_buffer_size()

    def write(self, chunk: bytes) -> bool:
        if self._shut:
            return False
        self._transport.write(framed(chunk) if self._chunked else chunk)
        return True

    def end(self, chunk: bytes = b"") -> None:
        if self.gone:
            return
        if self._shut:
            self._transport.abort()  # what waits already would not leave in time
            return
        self._shut = True
        last = framed(chunk) if chunk and self._chunked else chunk
        self._transport.write(last + _LAST_CHUNK if self._chunked else last)
        self._deadline = asyncio.get_running_loop().call_later(END_SECONDS, self._transport.abort)
        self._transport.close()

    async def drained(self) -> bool:
        if self.gone:
            return False
        self._transport.set_write_buffer_limits(0)  # now a single byte that waits is too much
        if self._shut:
            self._left = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._left], timeout=DRAIN_SECONDS)
            self._left = None
        if not self.gone:
            self._transport.set_write_buffer_limits(HIGH_WATER)
        return not (self._shut or self.gone)

    # asyncio.Protocol, and what uvicorn asks of it

    def pause_writing(self) -> None:
        self._shut = True

    def resume_writing(self) -> None:
        self._shut = self.gone
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - how it was lost changes nothing
        self._shut = True
        self._connections.discard(self)
        if self._deadline:
            self._deadline.cancel()
        self._wake()
        self._hub.leave(self)

    def shutdown(self) -> None:
        """uvicorn ends, and the hub has not sent this client away: it must not wait for him."""
        self.end()

    def _wake(self) -> None:
        if self._left and not self._left.done():
            self._left.set_result(None)


class Sender:
    """The fall-back: a reader over ASGI `send`, with a queue that is bounded by bytes and one task that empties it.

    What waits in the server's own buffers and in the kernel is the server's business, and so is cutting off who is frozen.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._over = asyncio.Event()
        self._news = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self.gone = False

    @property
    def waiting(self) -> int:
        """Bytes that have not left yet."""
        return self._size

    def write(self, chunk: bytes) -> bool:
        if self._over.is_set() or self._size > HIGH_WATER:
            return False
        self._put(chunk)
        return True

    def end(self, chunk: bytes = b"") -> None:
        if not self._over.is_set():
            self._over.set()
            self._put(chunk)

    async def drained(self) -> bool:
        try:
            async with asyncio.timeout(DRAIN_SECONDS):  # not wait_for: in Python 3.11 it can swallow a cancellation
                await self._empty.wait()
        except TimeoutError:
            return False
        return not self._over.is_set()

    async def run(self, receive: Receive) -> None:
        """Send until the stream has ended or the client has left."""
        sending, leaving = asyncio.ensure_future(self._sending()), asyncio.ensure_future(_left(receive))
        ending = asyncio.ensure_future(self._overdue())
        try:
            await asyncio.wait([sending, leaving, ending], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.gone = True
            self._over.set()
            self._empty.set()
            for task in (sending, leaving, ending):
                task.cancel()
            await asyncio.gather(sending, leaving, ending, return_exceptions=True)

    def _put(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self._size += len(chunk)
        self._empty.clear()
        self._news.set()

    async def _sending(self) -> None:
        while self._chunks or not self._over.is_set():
            await self._news.wait()
            while self._chunks:
                chunk = self._chunks.popleft()
                await self._send({"type": "http.response.body", "body": chunk, "more_body": bool(self._chunks) or not self._over.is_set()})
                self._size -= len(chunk)
            self._news.clear()
            self._empty.set()

    async def _overdue(self) -> None:
        await self._over.wait()
        await asyncio.sleep(END_SECONDS)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
