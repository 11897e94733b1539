"""A real uvicorn server in a thread, with a hub of a few lines that keeps its readers."""

import asyncio
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
import uvicorn
from fastapi import FastAPI

from realtime.cursor import Cursor
from realtime.direct import Directions
from realtime.errors import RealtimeError
from realtime.event import Event
from realtime.features import Features, Topic
from realtime.hub import Hub, Reader
from realtime.log import Log
from realtime.memory import MemoryCounters, MemoryDirections, MemoryStore, MemoryTickets
from realtime.policy import Principal
from realtime.publish import Publisher
from realtime.rate import RateLimit
from realtime.runtime import Runtime
from realtime.sessions import Sessions
from realtime.tickets import Tickets
from realtime.tokens import SecretVerifier, issue
from services.sse.app import create_app
from services.sse.server import Server
from tests.helpers import SECRET, Clock

FIRST = b"id: e-1\ndata: first\n\n"
ORIGIN = "https://shop.example"


@dataclass
class FakeHub:
    """Writes one event and keeps the reader."""

    readers: list[Reader] = field(default_factory=list)
    left: list[Reader] = field(default_factory=list)
    asked: list[tuple[list[str], list[Cursor], float]] = field(default_factory=list)
    heard: list[Event] = field(default_factory=list)
    refusal: RealtimeError | None = None
    recent: int | None = None
    feeds: dict[str, Topic] = field(default_factory=dict)

    async def begin(self, topics: Sequence[Topic], after: Sequence[Cursor | None], recent: int = 0) -> list[Cursor]:
        self.recent = recent
        if self.refusal:
            raise self.refusal
        return [cursor or Cursor("begin", 0) for cursor in after]

    async def stream(
        self, reader: Reader, topics: Sequence[Topic], after: Sequence[Cursor], until: float = math.inf, seconds: float | None = None
    ) -> bool:
        self.asked.append(([topic.name for topic in topics], list(after), until))
        reader.write(FIRST)
        self.readers.append(reader)
        return await reader.drained()

    def leave(self, reader: Reader) -> None:
        self.left.append(reader)

    def hear(self, topic: str, events: Sequence[Event]) -> None:
        self.heard.extend(events)

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def drain(self, seconds: float) -> None:
        for reader in self.readers:
            reader.end(b"event: reconnect\n\n")


@dataclass
class Served:
    """The server, and a way to run something in its loop."""

    port: int
    hub: FakeHub
    app: FastAPI
    server: uvicorn.Server
    loop: asyncio.AbstractEventLoop

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        async def run() -> Any:
            made = function(*args)
            return await made if asyncio.iscoroutine(made) else made

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(35)

    def reader(self) -> Any:
        """The reader that came last."""
        until(lambda: self.hub.readers)
        return self.hub.readers[-1]


def until(holds: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait for it, at most so long."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come to hold"
        time.sleep(0.01)


def token(sub: str = "ann", seconds: int = 600, **claims: Any) -> str:
    return issue(SECRET, sub, seconds, **claims)


def bearer(sub: str = "ann", **claims: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(sub, **claims)}"}


def principal(sub: str = "ann") -> Principal:
    return Principal(sub, time.time() + 600, {})


@pytest.fixture
def directed() -> MemoryDirections:
    """What an operator directs."""
    return MemoryDirections()


@pytest.fixture
def runtime(features: Features, directed: MemoryDirections) -> Runtime:
    log = Log(MemoryStore())
    publisher = Publisher(features, log, RateLimit(MemoryCounters(), Clock()))  # a minute that does not end between two publishes
    sessions = Sessions(lambda: SECRET, [ORIGIN])
    verifier = SecretVerifier(lambda: SECRET)
    return Runtime(features, log, publisher, Tickets(MemoryTickets()), sessions, verifier, Directions(directed))


@pytest.fixture
def hub() -> FakeHub:
    return FakeHub()


@contextmanager
def running(app: FastAPI, hub: Any, http: Any = None) -> Iterator[Served]:
    """A server in a thread; `http`: with another protocol than ours."""
    server = Server(app, hub, "127.0.0.1", 0)
    if http:
        server.config.http = http
    loops: list[asyncio.AbstractEventLoop] = []

    async def run() -> None:
        loops.append(asyncio.get_running_loop())
        await server.serve()

    def work() -> None:
        with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
            runner.run(run())

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        until(lambda: server.started)
        yield Served(server.servers[0].sockets[0].getsockname()[1], hub, app, server, loops[0])
    finally:
        server.should_exit = True
        thread.join(10)
    assert not thread.is_alive(), "the server did not end"


@pytest.fixture
def serve(runtime: Runtime, hub: FakeHub) -> Iterator[Callable[..., Served]]:
    """Start a server; `http`: with another protocol than ours."""
    with ExitStack() as servers:
        yield lambda http=None: servers.enter_context(running(create_app(runtime, cast("Hub", hub)), hub, http))


@pytest.fixture
def served(serve: Callable[..., Served]) -> Served:
    return serve()


class Client:
    """A plain socket with one request on it."""

    def __init__(
        self,
        port: int,
        target: str,
        headers: dict[str, str] | None = None,
        buffer: int | None = None,
        *,
        method: str = "GET",
        body: bytes = b"",
    ) -> None:
        self.socket = socket.socket()
        self.socket.settimeout(5)
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.connect(("127.0.0.1", port))
        lines = [f"{method} {target} HTTP/1.1", "Host: test", *(f"{name}: {value}" for name, value in (headers or {}).items())]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        self.got = b""

    def until(self, mark: bytes) -> bytes:
        """All that has come, up to and with the mark."""
        while mark not in self.got:
            piece = self.socket.recv(65536)
            assert piece, f"closed before {mark!r}: {self.got!r}"
            self.got += piece
        return self.got

    def rest(self) -> bytes:
        """All that comes until the server closes."""
        while piece := self.socket.recv(65536):
            self.got += piece
        return self.got

    def close(self) -> None:
        self.socket.close()
