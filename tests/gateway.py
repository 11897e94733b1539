"""A real WebSocket server that runs the real core: what API Gateway, the authorizer and the handler do, on one port of this machine.

It can be cut, refuse, go silent and lose pushes. Unlike API Gateway it handles a connection's messages one after another, and
knows neither quotas nor ages: tests/api_gateway knows those, on a virtual clock.
"""

import asyncio
import secrets
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit
from weakref import WeakKeyDictionary

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.protocol import State

from realtime.errors import RealtimeError
from realtime.gateway import Job, Outcome
from realtime.websocket import Admission, Gate, WebSocket

THREADS = 8
MAX_MESSAGE_BYTES = 128 * 1024
MAX_WAITING_BYTES = 256 * 1024
"""What may wait for one client; then a post fails, as API Gateway answers 429."""


@dataclass
class Faults:
    """What is wrong with a transport just now, and when connections (requests of polling) came: on the clock of `time.monotonic`."""

    refuse: bool = False  # whoever comes is turned away without an answer
    silent: bool = False  # nothing is heard in either direction; what is said meanwhile arrives afterwards
    lose: int = 0  # so many of the next pushes
    busy: int = 0  # whoever comes is answered 503, with this Retry-After
    accepted: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)

    def admit(self) -> bool:
        """Note that somebody comes; whether he may."""
        (self.refused if self.refuse else self.accepted).append(time.monotonic())
        return not self.refuse


class SocketServer:
    """Serves connections in its own event loop, and is the `Gateway` of the core whose threads call `run`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, faults: Faults, port: int) -> None:
        self.faults = faults
        self.port = port
        self.core: WebSocket  # it needs a gateway itself
        self.gate: Gate
        self._loop = loop
        self._open: dict[str, ServerConnection] = {}
        self._admitted = WeakKeyDictionary[ServerConnection, Admission]()
        self._held: dict[str, list[bytes]] = {}  # said while it is silent
        self._audible = asyncio.Event()
        self._audible.set()
        self._threads = ThreadPoolExecutor(THREADS, "socket")
        self._server: Server | None = None

    @property
    def connections(self) -> int:
        return len(self._open)

    # In the loop

    async def start(self) -> None:
        self._server = await serve(
            self._serve,
            "127.0.0.1",
            self.port,
            process_request=self._admit,
            compression=None,
            ping_interval=None,
            open_timeout=None,
            max_size=MAX_MESSAGE_BYTES,
            backlog=4096,
        )

    async def stop(self) -> None:
        """Close the port and all connections without a word, as a process does that is killed."""
        if self._server:
            self._server.close(close_connections=False)
            self.cut()
            await self._server.wait_closed()
            self._server = None

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)

    def cut(self) -> None:
        for connection in list(self._server.all_connections if self._server else ()):
            connection.transport.abort()

    def silence(self, *, silent: bool) -> None:
        self.faults.silent = silent
        if silent:
            self._audible.clear()
            return
        self._audible.set()
        held, self._held = self._held, {}
        for name, frames in held.items():
            for frame in frames:
                self._write(name, frame)

    async def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        if not self.faults.admit():
            connection.transport.abort()
            return connection.respond(503, "")
        await self._audible.wait()
        query, headers = parse_qs(urlsplit(request.path).query), request.headers
        credentials = {
            "ticket": query.get("ticket", [None])[0],
            "authorization": headers.get("Authorization"),
            "origin": headers.get("Origin"),
        }
        try:
            self._admitted[connection] = await self._in_thread(lambda: self.gate.admit(**credentials))
        except RealtimeError as refusal:
            return connection.respond(403, refusal.detail)
        return None

    async def _serve(self, connection: ServerConnection) -> None:
        name = secrets.token_hex(6)
        await self._in_thread(self.core.open, name, self._admitted.pop(connection), int(time.time() * 1000))
        self._open[name] = connection
        try:
            async for message in connection:
                await self._audible.wait()
                if frame := await self._in_thread(self.core.receive, name, str(message)):
                    self._write(name, frame)
        except ConnectionClosed:
            pass  # how it ended makes no difference
        finally:
            del self._open[name]
            self._held.pop(name, None)
            await self._in_thread(self.core.close, name)

    def _write(self, id: str, frame: bytes) -> Outcome:
        connection = self._open.get(id)
        if connection is None or connection.protocol.state is not State.OPEN:
            return Outcome.GONE
        if self.faults.silent:
            self._held.setdefault(id, []).append(frame)
        elif connection.transport.get_write_buffer_size() > MAX_WAITING_BYTES:
            return Outcome.FAILED
        else:
            connection.protocol.send_text(frame)
            connection.send_data()
        return Outcome.SENT

    async def _in_thread(self, function: Any, *args: Any) -> Any:
        return await self._loop.run_in_executor(self._threads, function, *args)

    async def _do(self, jobs: Sequence[Job]) -> list[Outcome]:
        outcomes = []
        for job in jobs:
            done = [self._write(job.connection, frame) for frame in job.frames if not self._loses(frame)]
            outcomes.append(next((outcome for outcome in done if outcome is not Outcome.SENT), Outcome.SENT))
            if job.close and (connection := self._open.get(job.connection)):
                self._loop.create_task(connection.close())
        return outcomes

    def _loses(self, frame: bytes) -> bool:
        """Whether this is a push that is to be lost."""
        if not self.faults.lose or not frame.startswith(b'{"action":"event'):
            return False
        self.faults.lose -= 1
        return True

    # In other threads

    def run(self, jobs: Sequence[Job], *, seconds: float, patience: float | None = None) -> list[Outcome]:
        """`Gateway`: write the frames to the open sockets, in the loop."""
        try:
            return asyncio.run_coroutine_threadsafe(self._do(jobs), self._loop).result(max(1.0, seconds))
        except (TimeoutError, RuntimeError):  # the loop is busy, or ends
            return [Outcome.FAILED] * len(jobs)
