"""API Gateway WebSocket: clients -> routes -> handlers, and back by @connections; with AWS's limits, in one process.

A message's handler runs inside `Connection.send`, `on_frame` inside the post (with a latency: inside the clock's run).
Locks are held for the books only, never while a handler or a callback runs.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from functools import partial
from random import Random
from typing import Any

from .books import Books
from .bucket import TokenBucket
from .clock import Clock
from .connection import Connection
from .events import Caller, Deployment, Events, Request, error_frame
from .faults import Faults
from .function import Event, Function, FunctionError, Handler, TimedOut, proxy_answer
from .handshake import Handshake, Refused
from .limits import ACCOUNT_RATE, CONNECTION_RATE, FRAME_BYTES, IDLE_SECONDS, LIFETIME_SECONDS, MESSAGE_BYTES, Rate
from .line import Line, OnClose, OnFrame
from .routing import property_path, select

NO_ROUTE = "Forbidden"
"""What a client reads where no route takes its message: aws-samples/simple-websockets-chat-app#24; not in AWS's guide."""

FAILED = "Internal server error"
"""What it reads where the function failed: aws-samples/simple-websockets-chat-app#46; not in AWS's guide."""

THROTTLED = "Too Many Requests"
"""AWS's guide has the words, "429 Too Many Requests", and not the frame: it is taken to look like the other two."""

LATE = "Endpoint request timed out"
"""The words of REST APIs; not sourced for WebSocket."""


class WebSocketApi:
    """One deployed API in an account of its own.

    `integrations`: handlers by route key. `route_responses`: the routes whose answer's body is sent to the client.
    `identity_sources`: what a request must bring before the authorizer is asked. `function_seconds`: the functions' own
    time-out.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        integrations: Mapping[str, Handler],
        random: Random,
        authorizer: Handler | None = None,
        identity_sources: Collection[str] = (),
        route_selection: str = "$request.body.action",
        route_responses: Collection[str] = (),
        stage_rate: Rate | None = None,
        account_rate: Rate = ACCOUNT_RATE,
        connection_rate: Rate = CONNECTION_RATE,
        function_seconds: float = 30.0,
        faults: Faults | None = None,
        deployment: Deployment | None = None,
    ) -> None:
        deployment = deployment or Deployment()
        self.faults = faults or Faults()
        self.failures: list[FunctionError] = []
        """What functions have raised or done wrong, which on AWS is found in the logs alone."""
        self._clock = clock
        self._random = random
        self._events = Events(deployment, clock, random)
        functions = {key: Function(handler, key, clock, function_seconds) for key, handler in integrations.items()}
        self._functions = functions
        self._handshake = Handshake(
            deployment,
            self._events,
            authorizer=None if authorizer is None else Function(authorizer, "authorizer", clock, function_seconds),
            identity_sources=identity_sources,
            connect=functions.get("$connect"),
            report=self.failures.append,
        )
        self._path = property_path(route_selection)
        self._route_responses = frozenset(route_responses)
        self._books = Books()
        self._new = TokenBucket(connection_rate, clock)
        self._account = TokenBucket(account_rate, clock)
        self._stage = TokenBucket(stage_rate, clock) if stage_rate else None

    def connect(
        self,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        subprotocols: Collection[str] = (),
        source_ip: str = "203.0.113.7",
        on_frame: OnFrame = lambda _: None,
        on_close: OnClose = lambda _code, _reason: None,
    ) -> Connection:
        """A client's upgrade request: an open connection, or Refused. `on_close`: the gateway has closed it, once."""
        if not self._books.take(self._new, self._account, self._stage):
            raise Refused(429)
        request = Request(query or {}, headers or {}, tuple(subprotocols), source_ip)
        caller = self._events.caller(request)
        protocol = self._handshake.admit(caller, request)
        line = Line(self._clock, self.faults, self._random, on_frame, on_close)
        connection = Connection(self, caller, line, protocol, self._clock())
        self._books.add(connection)
        self._watch(connection)
        if protocol not in (request.subprotocols or (None,)):
            line.cut = True
            self.end(connection, 1006, "")
            raise Refused(101)
        return connection

    def post_to_connection(self, connection_id: str, data: bytes) -> int:
        """POST @connections: 200, 410 not open (any more, or yet), 413 more than 128 KB, 429 throttled or the client's buffer full."""
        if not self._books.take(self._account):
            return 429
        if len(data) > MESSAGE_BYTES:
            return 413
        connection = self._books.find(connection_id)
        if connection is None:
            return 410
        if connection.vanished and self.faults.vanished_status != 200:
            return self.faults.vanished_status
        if not connection.line.fits(len(data)):
            return 429
        self._deliver(connection, data.decode(), len(data))
        return 200

    def delete_connection(self, connection_id: str) -> int:
        """DELETE @connections: 204, 410 not open, 429 throttled.

        That client and $disconnect get 1000 "Connection Closed Normally" was seen (boto/boto3#3789); the guide gives none.
        """
        if not self._books.take(self._account):
            return 429
        connection = self._books.find(connection_id)
        return 204 if connection is not None and self.end(connection, 1000, "Connection Closed Normally") else 410

    def get_connection(self, connection_id: str) -> tuple[int, dict[str, Any]]:
        """GET @connections: 200 with connectedAt, identity and lastActiveAt, as in the JSON; 410 not open, 429 throttled."""
        if not self._books.take(self._account):
            return 429, {}
        connection = self._books.find(connection_id)
        if connection is None:
            return 410, {}
        times = {"connectedAt": connection.caller.connected_ms / 1000, "lastActiveAt": connection.last_active}
        identity = {"userAgent": None} | connection.caller.identity
        return 200, {"identity": identity, **{name: _iso(when) for name, when in times.items()}}

    def expire(self) -> None:
        """Close what has been idle or open for too long. The timers of a virtual clock do it by themselves."""
        for connection in self._books.everybody():
            if self._clock() >= _due(connection):
                self._expire(connection)

    @property
    def open_connections(self) -> int:
        """How many the gateway holds, those of vanished clients among them."""
        return len(self._books)

    def receive(self, connection: Connection, data: str | bytes, *, fragment: bool) -> None:
        """A message has come in: `Connection.send`."""
        if self._books.find(connection.id) is not connection:
            return
        if isinstance(data, bytes):
            # "Binary media types for WebSocket APIs": a binary frame disconnects the client with code 1003.
            self.end(connection, 1003, "")
        elif len(data.encode()) > (MESSAGE_BYTES if fragment else FRAME_BYTES):
            self.end(connection, 1009, "")
        else:
            connection.last_active = self._clock()
            self._route(connection, data)

    def end(self, connection: Connection, code: int, reason: str) -> bool:
        """Close it, then invoke $disconnect; False where it is closed already."""
        if not self._books.strike(connection):
            return False
        if connection.timer is not None:
            connection.timer.cancel()
        connection.line.close(code, reason)
        self._announce(partial(self._disconnected, connection.caller, code, reason))
        return True

    def _route(self, connection: Connection, body: str) -> None:
        if not self._books.take(self._account, self._stage):
            self._complain(connection, THROTTLED, self._events.new_id())
        elif (route := select(body, self._path, self._functions)) is None:
            self._complain(connection, NO_ROUTE, self._events.new_id())
        else:
            self._invoke(connection, route, self._events.message(connection.caller, route, body))

    def _invoke(self, connection: Connection, route: str, event: Event) -> None:
        try:
            answer = proxy_answer(self._functions[route].invoke(event))
        except FunctionError as error:
            self.failures.append(error)
            self._complain(connection, LATE if isinstance(error, TimedOut) else FAILED, event["requestContext"]["requestId"])
            return
        body = answer.get("body")
        if body and route in self._route_responses:
            self._deliver(connection, body, len(body.encode()))

    def _complain(self, connection: Connection, message: str, request_id: str) -> None:
        frame = error_frame(message, connection.id, request_id)
        self._deliver(connection, frame, len(frame))

    def _deliver(self, connection: Connection, text: str, size: int) -> None:
        connection.last_active = self._clock()
        connection.line.send(text, size)

    def _announce(self, disconnected: Callable[[], object]) -> None:
        """$disconnect is best effort: the guide on $connect and $disconnect says that it may not come."""
        if self._random.random() < self.faults.lose_disconnect:
            return
        if self.faults.disconnect_delay is None:
            disconnected()
        else:
            self._clock.at(self._clock() + self.faults.disconnect_delay(), disconnected)

    def _disconnected(self, caller: Caller, code: int, reason: str) -> None:
        function = self._functions.get("$disconnect")
        if function is None:
            return
        try:
            function.invoke(self._events.disconnect(caller, code, reason))
        except FunctionError as error:
            self.failures.append(error)

    def _watch(self, connection: Connection) -> None:
        """One timer a connection, however many frames: it looks again when the connection could next be due."""
        connection.timer = self._clock.at(_due(connection), partial(self._expire, connection))

    def _expire(self, connection: Connection) -> None:
        """1001 "Going away" was seen ten minutes after a connection's last frame; for the two hours it is assumed."""
        if self._clock() >= _due(connection):
            self.end(connection, 1001, "Going away")
        else:
            self._watch(connection)


def _due(connection: Connection) -> float:
    """When it is to be closed if nothing more is sent, in Unix seconds."""
    return min(connection.last_active + IDLE_SECONDS, connection.caller.connected_ms / 1000 + LIFETIME_SECONDS)


def _iso(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
