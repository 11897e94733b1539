"""A whole deployment in this process over one log in memory: front door, reads, hub and the repository's files behind one origin, and
WebSocket on a port of its own. Whatever is appended, by whomever, reaches the hub and the sockets at once, as the table's stream would.

    with deployed(folder) as deployment:
        deployment.publish("orders", {"n": 1})
        deployment.cut("sse")
"""

import asyncio
import re
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast, get_args
from weakref import WeakSet

import uvloop
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles

from local.places import ROOT
from realtime.client_json import described
from realtime.connections import Connections
from realtime.cursor import Cursor
from realtime.direct import Direction, Directions
from realtime.event import Event, NewEvent
from realtime.fanout import Fanout
from realtime.features import Topic
from realtime.hub import Hub
from realtime.log import MAX_BATCH, Log
from realtime.memory import MemoryConnections, MemoryCounters, MemoryDirections, MemoryStore
from realtime.publish import Publisher
from realtime.rate import RateLimit
from realtime.runtime import Runtime
from realtime.tokens import issue
from realtime.websocket import Gate, WebSocket
from services.http import access, publish, reads
from services.sse import stream
from services.sse.app import assembled
from services.sse.server import Server
from services.sse.transport import StreamingProtocol
from tests.gateway import Faults, SocketServer
from tests.helpers import SECRET, free_ports
from tests.wire import ListQueue

Transport = Literal["websocket", "sse", "polling", "door"]
"""`door`: tickets and publish; what is none of these (pages, client.json) never fails."""

FEATURES = """
[features.metrics]
pattern  = "polling"
latency  = "1s"
keep     = "latest"
access   = { read = "public", publish = "service" }

[features.ticker]
pattern  = "polling"
latency  = "1s"
access   = { read = "user", publish = "service" }

[features.alerts]
pattern  = "sse"
latency  = "1s"
rooms    = true
access   = { read = "user", publish = "service" }

[features.price]
pattern  = "sse"
latency  = "1s"
keep     = "latest"
access   = { read = "public", publish = "service" }

[features.chat]
pattern  = "websocket"
direction = "both"
rooms    = true
access   = { read = "user", publish = "user" }

[features.orders]
pattern  = "fallback"
direction = "both"
latency  = "1s"
rooms    = true
access   = { read = "user", publish = "user" }
"""

FILES = {"/clients": ROOT / "clients", "/pages": ROOT / "tests" / "browser" / "pages"}

STREAM = re.compile(rb"(/topics/.+)?/stream(\?.*)?")


class Line:
    """A client's connection to the origin: uvicorn's transport, which can be held back. `kind`: what its newest request is for."""

    def __init__(self, transport: asyncio.Transport, faults: Mapping[str, Faults]) -> None:
        self._transport = transport
        self._faults = faults
        self._held: list[bytes] = []
        self.kind = ""

    def write(self, data: bytes) -> None:
        faults = self._faults.get(self.kind)
        if faults and faults.silent:
            self._held.append(data)
        elif faults and faults.lose and b',"prev":"' in data and self.kind == "sse":
            faults.lose -= 1
        else:
            self._transport.write(data)

    def release(self) -> None:
        held, self._held = self._held, []
        if not self._transport.is_closing():
            self._transport.writelines(held)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Gated(StreamingProtocol):
    """Our protocol, with faults between it and its clients."""

    faults: Mapping[str, Faults]
    lines: WeakSet[Line]

    def connection_made(self, transport: Any) -> None:
        line = Line(transport, self.faults)
        self.lines.add(line)
        super().connection_made(cast("asyncio.Transport", line))

    def on_headers_complete(self) -> None:
        line = cast("Line", self.transport)
        line.kind = _kind(self.parser.get_method(), self.url)
        if (faults := self.faults.get(line.kind)) is None or self._passes(faults):
            super().on_headers_complete()

    def _passes(self, faults: Faults) -> bool:
        if not faults.admit():
            self.transport.abort()
        elif faults.busy:
            problem = b'{"code":"unavailable","detail":"the service is busy"}'
            head = f"HTTP/1.1 503 Busy\r\nRetry-After: {faults.busy}\r\nContent-Length: {len(problem)}\r\nConnection: close\r\n\r\n"
            self.transport.write(head.encode() + problem)
            self.transport.close()
        else:
            return True
        return False


def _kind(method: bytes, url: bytes) -> str:
    if STREAM.fullmatch(url):
        return "sse"
    if url.startswith(b"/topics/") and method == b"GET":
        return "polling"
    return "door" if url.startswith((b"/topics/", b"/tickets")) else ""


class Streamed(Log):
    """A log whose appends are heard: `heard(topic, events, claimed)`."""

    heard: Callable[[Topic, tuple[Event, ...], bool], None]

    def append(
        self, topic: Topic, events: Sequence[NewEvent], *, key: str | None = None, claim: bool = False, after: Cursor | None = None
    ) -> tuple[Event, ...]:
        added = super().append(topic, events, key=key, claim=claim, after=after)
        self.heard(topic, added, claim)
        return added

    def wipe(self) -> None:
        """As if the table were made anew."""
        self._store = MemoryStore()
        self._written.clear()


class Loop:
    """An event loop in a thread."""

    def __init__(self, make: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop) -> None:
        self.loop = make()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def start(self, work: Coroutine[Any, Any, Any]) -> "Future[Any]":
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def do(self, work: Callable[[], object]) -> None:
        async def run() -> None:
            made = work()
            if asyncio.iscoroutine(made):
                await made

        self.start(run()).result(20)

    def end(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        assert not self._thread.is_alive(), "a loop did not end"
        self.loop.close()


class Deployment:
    """The servers, the log, and what can go wrong with them. Its methods may be called in any thread but the servers' own."""

    def __init__(self, folder: Path, features: str = FEATURES, files: Mapping[str, Path] = FILES) -> None:
        """`files`: folders to serve, by prefix."""
        (folder / "features.toml").write_text(features)
        base = Runtime.from_env({"REALTIME_LOG": "memory", "REALTIME_SECRET": SECRET, "FEATURES": str(folder / "features.toml")})
        self.log = Streamed(MemoryStore())
        self.log.heard = self._heard
        self.directions = MemoryDirections()
        publisher = Publisher(base.features, self.log, RateLimit(MemoryCounters()))
        self.runtime = replace(base, log=self.log, publisher=publisher, directions=Directions(self.directions))
        (self.port, sockets), self.files = free_ports(2), files
        self.faults = {kind: Faults() for kind in get_args(Transport)}
        self._lines = WeakSet[Line]()
        self._origin = Loop(uvloop.new_event_loop)
        self._sockets = Loop(uvloop.new_event_loop)
        self._pushing = ThreadPoolExecutor(1, "broadcaster")
        self._hub: Hub | None = None
        self._server: Server | None = None
        self._serving: Future[Any] | None = None
        self._gateway = self._wired(sockets)
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    # Publishing, and who may read

    def publish(self, topic: str, data: object, n: int = 1) -> list[str]:
        """Append `n` such events as the service; their cursors."""
        found, cursors = self.runtime.features.topic(topic), []
        for left in range(n, 0, -MAX_BATCH):
            cursors += [str(event.cursor) for event in self.log.append(found, [NewEvent.of("note", data)] * min(left, MAX_BATCH))]
        return cursors

    def token(self, sub: str = "ann", seconds: int = 3600, **claims: Any) -> str:
        return issue(SECRET, sub, seconds, **claims)

    def direct(self, feature: str, transport: Literal["sse", "polling"] | None, poll_after: int = 10, seconds: float = 60) -> None:
        """The operator's word: down to that transport; None: up again. Noticed at once."""
        if transport:
            self.directions.put(feature, Direction(transport, poll_after, time.time() + seconds))
        else:
            self.directions.remove(feature)
        self.runtime.directions._known.clear()

    # Faults

    def cut(self, *transports: Transport) -> None:
        """Drop the connections of these transports (none named: of all), without a word."""
        kinds = transports or get_args(Transport)
        if "websocket" in kinds:
            self._sockets.do(self._gateway.cut)
        self._origin.do(lambda: [line.abort() for line in list(self._lines) if line.kind in kinds])

    def refuse(self, transport: Transport, refuse: bool = True) -> None:  # noqa: FBT002 - a switch
        """Turn away whoever comes, without an answer; open connections stay."""
        self.faults[transport].refuse = refuse

    def busy(self, transport: Transport, seconds: int) -> None:
        """Answer 503 with that Retry-After; 0: no more. Not for `websocket`, whose ticket `door` refuses."""
        self.faults[transport].busy = seconds

    def silent(self, transport: Transport, silent: bool = True) -> None:  # noqa: FBT002 - a switch
        """Nothing closes and nothing is heard; afterwards, what was held back arrives on connections that are still open."""
        if transport == "websocket":
            self._sockets.do(lambda: self._gateway.silence(silent=silent))
        self.faults[transport].silent = silent
        if not silent:
            self._origin.do(lambda: self._release(transport))

    def lose(self, transport: Literal["websocket", "sse"], pushes: int = 1) -> None:
        """Lose so many of the next pushes to clients."""
        self.faults[transport].lose = pushes

    def restart(self, seconds: float = 1.0) -> None:
        """Kill both servers, and start new ones on the same ports after that time. The log is not theirs."""
        self.stop()
        time.sleep(seconds)
        self.start()

    def wipe(self) -> None:
        """The log begins anew; servers notice with the next append or read."""
        self.log.wipe()

    def accepted(self, transport: Transport) -> list[float]:
        """When its connections (requests, of polling and door) came, on the clock of `time.monotonic`."""
        return list(self.faults[transport].accepted)

    def open(self, transport: Literal["websocket", "sse"]) -> int:
        """How many connections it has."""
        return self._gateway.connections if transport == "websocket" else self._hub.readers if self._hub else 0

    # Life

    def start(self) -> None:
        self._hub = Hub(self.log)
        self._server = server = Server(self._app(self._hub), self._hub, "127.0.0.1", self.port)
        server.config.http = type("Gated", (Gated,), {"faults": self.faults, "lines": self._lines})
        self._serving = self._origin.start(server.serve())
        self._sockets.do(self._gateway.start)
        deadline = time.monotonic() + 10
        while not server.started:
            assert time.monotonic() < deadline, "the origin did not start"
            assert not self._serving.done(), self._serving.exception()
            time.sleep(0.005)

    def stop(self) -> None:
        """All connections break, and nobody is there to make new ones."""
        self._sockets.do(self._gateway.stop)
        if self._server and self._serving:
            self._origin.do(self._close_origin)
            self._server.should_exit = True
            self._serving.result(20)
            self._server = self._hub = None

    def close(self) -> None:
        self.stop()
        self._pushing.shutdown(cancel_futures=True)
        for loop in (self._sockets, self._origin):
            loop.end()
        self._gateway.close()

    # Within

    def _release(self, kind: str) -> None:
        for line in list(self._lines):
            if line.kind == kind:
                line.release()

    def _close_origin(self) -> None:
        for listener in self._server.servers if self._server else ():
            listener.close()
        for line in list(self._lines):
            line.abort()

    def _app(self, hub: Hub) -> FastAPI:
        routers = [access.router(self.runtime), publish.router(self.runtime), reads.router(self.runtime)]
        app = assembled(self.runtime, hub, None, routers, stream.Manners(), stream.Draining())

        @app.get("/client.json")
        def client_json() -> JSONResponse:
            websocket = f"ws://127.0.0.1:{self._gateway.port}/live"
            return JSONResponse(described(self.runtime.features, http="", websocket=websocket, service=""))

        for prefix, folder in self.files.items():
            app.mount(prefix, StaticFiles(directory=folder, html=True, check_dir=False))
        return app

    def _wired(self, port: int) -> SocketServer:
        """The gateway with its core; and the broadcaster, which shares its rows."""
        runtime, connections = self.runtime, Connections(MemoryConnections())
        gateway = SocketServer(self._sockets.loop, self.faults["websocket"], port)
        self._fanout = Fanout(connections, gateway, ListQueue())
        core = (runtime.features, runtime.log, runtime.publisher, runtime.verifier, connections, gateway, self._fanout)
        gateway.core = WebSocket(*core, directions=runtime.directions)
        gateway.gate = Gate(runtime.features, runtime.tickets, runtime.verifier, ())
        return gateway

    def _heard(self, topic: Topic, events: tuple[Event, ...], claimed: bool) -> None:
        if hub := self._hub:
            self._origin.loop.call_soon_threadsafe(hub.hear, topic.name, events)
        if not claimed and topic.feature.pattern in ("websocket", "fallback"):
            self._pushing.submit(self._fanout.deliver, topic, events)


@contextmanager
def deployed(
    folder: Path, features: str = FEATURES, files: Mapping[str, Path] = FILES, retry_ms: tuple[int, int] = stream.RETRY_MS
) -> Iterator[Deployment]:
    """`retry_ms`: between which times streams tell their clients to come back after they broke."""
    before, stream.RETRY_MS = stream.RETRY_MS, retry_ms
    deployment = Deployment(folder, features, files)
    try:
        yield deployment
    finally:
        deployment.close()
        stream.RETRY_MS = before
