"""The WebSocket pattern in one process: the core over a log, a connection table, a wire and a queue that tests can look into."""

import json
from pathlib import Path
from typing import Any

from realtime.connections import Connections, ConnectionStore
from realtime.direct import Directions
from realtime.fanout import Fanout, Push
from realtime.features import Features, load
from realtime.log import Log
from realtime.memory import MemoryConnections, MemoryCounters, MemoryDirections, MemoryStore, MemoryTickets
from realtime.policy import Principal
from realtime.publish import Publisher
from realtime.rate import RateLimit
from realtime.tickets import Tickets
from realtime.tokens import SecretVerifier
from realtime.websocket import Admission, Gate, WebSocket
from tests.helpers import SECRET, Clock
from tests.wire import ListQueue, Wire


def websocket_features(folder: Path) -> Features:
    """tests/websocket.toml, with its schema."""
    (folder / "features.toml").write_text((Path(__file__).parent / "websocket.toml").read_text())
    (folder / "chat.json").write_text('{"message": {"type": "object", "required": ["text"]}, "any": true}')
    return load(folder / "features.toml")


class World:
    """Connections talk to one server; every part is at hand."""

    def __init__(self, features: Features, clock: Clock, rows: ConnectionStore | None = None) -> None:
        self.features, self.clock = features, clock
        self.rows = rows or MemoryConnections()
        self.wire, self.queue = Wire(), ListQueue()
        self.log = Log(MemoryStore(), clock=clock, sleep=clock.sleep)
        self.tickets = Tickets(MemoryTickets(), clock)
        self.connections = Connections(self.rows, clock)
        self.fanout = Fanout(self.connections, self.wire, self.queue, clock)
        publisher = Publisher(features, self.log, RateLimit(MemoryCounters(), clock))
        verifier = SecretVerifier(lambda: SECRET)
        self.gate = Gate(features, self.tickets, verifier, ("https://shop.example",), clock)
        self.directed = MemoryDirections()
        core = (features, self.log, publisher, verifier)
        directions = Directions(self.directed, clock)
        self.socket = WebSocket(*core, self.connections, self.wire, self.fanout, directions=directions, clock=clock)

    def connect(self, id: str, *, sub: str = "", scope: tuple[str, ...] | None = None, seconds: float = 86_400, **claims: object) -> str:
        principal = Principal(sub or id, self.clock() + seconds, claims)
        self.socket.open(id, Admission(principal, scope), int(self.clock() * 1000))
        return id

    def say(self, id: str, /, **frame: object) -> dict[str, Any]:
        """Send a frame; the frame that answers it (empty: none)."""
        return self.raw(id, json.dumps(frame))

    def raw(self, id: str, body: str) -> dict[str, Any]:
        answer = self.socket.receive(id, body)
        return json.loads(answer) if answer else {}

    def subscribe(self, id: str, topic: str, **more: object) -> dict[str, Any]:
        return self.say(id, action="subscribe", topic=topic, **more)

    def publish(self, id: str, topic: str, *, key: str = "1", type: str = "any", data: object = None) -> dict[str, Any]:
        return self.say(id, action="publish", topic=topic, type=type, data=data, id=key)

    def work(self) -> None:
        """What the queue's function does, until the queue is empty."""
        while self.queue.messages:
            push = Push.decode(self.queue.messages.pop(0))
            self.fanout.push(self.features.topic(push.events[0].topic), push, seconds=10)
