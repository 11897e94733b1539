"""Keep-alive sockets to one HTTP/1.1 server: a request out, the status of its answer back, without a task per request."""

import asyncio
import ssl
from collections.abc import Callable
from typing import cast

import httptools

from realtime.tls import Tls, Trust

CONNECT_SECONDS = 2.0
"""For name, TCP and TLS together: within a region it takes milliseconds."""

IDLE_SECONDS = 50.0
"""An older socket is not used again: load balancers commonly close at 60 s, and some forget a socket without a word."""

Answered = Callable[["Socket", int | None], None]
Opened = Callable[[OSError | None], None]


class Socket(asyncio.BufferedProtocol):
    """One connection, for one request at a time. The status line decides: a body that breaks off changes nothing."""

    _transport: asyncio.Transport
    _answered: Answered | None = None
    _status: int | None = None
    _complete = False

    def __init__(self, loop: asyncio.AbstractEventLoop, tls: Tls | None, arrivals: memoryview) -> None:
        self._loop = loop
        self._tls = tls
        self._arrivals = arrivals
        self._parser = httptools.HttpResponseParser(self)

        self.opened: asyncio.Future[None] = loop.create_future()
        """Done when the first request may be sent, or with the reason why none may. Cancel it to give the socket up."""

        self.opened.add_done_callback(lambda opened: self.abort() if opened.cancelled() else opened.exception())

        self.since = loop.time()
        """When the last request was sent, on the loop's clock."""

    @property
    def usable(self) -> bool:
        """Whether it takes another request, as far as one can tell without trying."""
        return not self._transport.is_closing() and self._loop.time() < self.since + IDLE_SECONDS

    def send(self, request: bytes, answered: Answered) -> None:
        """Send a request. `answered` is called once: with the status, or None if the socket broke before it was known."""
        self.since = self._loop.time()
        self._answered, self._status, self._complete = answered, None, False
        if self._tls is None:
            self._transport.write(request)
        else:
            self._tls.encrypt(request)
            self._transport.write(self._tls.leaving())

    def abort(self) -> None:
        """Drop it. Nobody is told."""
        self._answered = None
        self._transport.abort()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._shaken()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        return self._arrivals

    def buffer_updated(self, nbytes: int) -> None:
        try:
            self._receive(self._arrivals[:nbytes])
        except (ssl.SSLError, httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self.opened.done():
                self.opened.set_exception(error)
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(exc or ConnectionResetError("closed before it was open"))
        self._tell()

    # What the parser calls.

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()

    def on_message_complete(self) -> None:
        self._complete = self._parser.get_status_code() >= 200  # 1xx only announces the answer
        if not self._parser.should_keep_alive():
            self._transport.close()

    def _receive(self, data: memoryview) -> None:
        if self._tls is None:
            self._parse(data)
            return
        self._tls.arrived(data)
        if self.opened.done() or self._shaken():
            for part in self._tls.decrypt():
                self._parse(part)

    def _shaken(self) -> bool:
        """Go on with the handshake, and say whether it is done."""
        try:
            done = self._tls is None or self._tls.shake()
        finally:
            if self._tls:
                self._transport.write(self._tls.leaving())
        if done:
            self.opened.set_result(None)
        return done

    def _parse(self, data: bytes | memoryview) -> None:
        if not data or self._answered is None:  # TLS's farewell, or an answer without a request
            self._transport.close()
            return
        self._parser.feed_data(data)
        if self._complete:
            if self._tls:
                self._tls.remember()
            self._tell()

    def _tell(self) -> None:
        """Report the answer, or that there is none, to whoever waits for it."""
        answered, self._answered = self._answered, None
        if answered:
            answered(self, self._status)


class Pool:
    """The sockets to one server. Those that are idle are kept between the loop's runs."""

    def __init__(self, loop: asyncio.AbstractEventLoop, host: str, port: int, context: ssl.SSLContext | None, *, size: int) -> None:
        self.loop = loop
        self._host = host
        self._port = port
        self._trust = context and Trust(host, context)
        self._size = size
        self._arrivals = memoryview(bytearray(64 * 1024))  # one for all, used up in one callback: a new one each time costs 30 us
        self._idle: list[Socket] = []
        self._opening: set[asyncio.Task[OSError | None]] = set()

    @property
    def opening(self) -> int:
        """How many are being opened."""
        return len(self._opening)

    def take(self) -> Socket | None:
        """The idle socket that was used last, if there is one."""
        while self._idle:
            socket = self._idle.pop()
            if socket.usable:
                return socket
            socket.abort()
        return None

    def give(self, socket: Socket) -> None:
        """Keep a socket for the next request; or drop it, where `size` are kept already."""
        if socket.usable and len(self._idle) < self._size:
            self._idle.append(socket)
        else:
            socket.abort()

    def open(self, opened: Opened) -> None:
        """Open one more. `opened` is called when it stands among the idle, or with the reason why it does not."""
        task = self.loop.create_task(self._open())
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)
        task.add_done_callback(lambda done: None if done.cancelled() else opened(done.result()))

    def clear(self) -> None:
        """Drop the idle ones."""
        while self._idle:
            self._idle.pop().abort()

    async def settle(self) -> None:
        """Give up those that are being opened, and let those that were dropped be closed."""
        for task in self._opening:
            task.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)
        await asyncio.sleep(0)

    async def _open(self) -> OSError | None:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, socket = await self.loop.create_connection(self._make, self._host, self._port)
                await socket.opened
        except OSError as error:  # TimeoutError and ssl.SSLError are among them
            return error
        self._idle.append(socket)
        return None

    def _make(self) -> Socket:
        return Socket(self.loop, Tls(self._trust) if self._trust else None, self._arrivals)
