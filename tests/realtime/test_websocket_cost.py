"""What a WebSocket message costs in DynamoDB, counted on the local endpoint: docs/websocket.md has these figures."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench.meter import Meter
from local.tables import make_connections_table
from realtime.connections import Connection, Connections
from realtime.dynamo import DynamoStore
from realtime.dynamo_connections import DynamoConnections
from realtime.fanout import Fanout
from realtime.log import Log
from realtime.memory import MemoryCounters
from realtime.policy import Principal
from realtime.publish import Publisher
from realtime.rate import RateLimit
from realtime.tokens import SecretVerifier
from realtime.websocket import WebSocket
from tests.endpoint import Endpoint
from tests.helpers import SECRET, Clock
from tests.wire import ListQueue, Wire
from tests.world import websocket_features

LOBBY = "chat/lobby"


class Metered:
    """One connection that is subscribed, and what its next messages cost."""

    def __init__(self, endpoint: Endpoint, folder: Path, clock: Clock) -> None:
        client, features = endpoint.tables("websocket-cost"), websocket_features(folder)
        make_connections_table(client, "websocket-cost-connections")
        self.clock, self.meter = clock, Meter(client)
        self.log = Log(DynamoStore(client, "websocket-cost-log"), clock=clock)
        self.connections = Connections(DynamoConnections(client, "websocket-cost-connections"), clock)
        wire = Wire()
        fanout = Fanout(self.connections, wire, ListQueue(), clock)
        publisher = Publisher(features, self.log, RateLimit(MemoryCounters()))
        self.socket = WebSocket(features, self.log, publisher, SecretVerifier(lambda: SECRET), self.connections, wire, fanout, clock=clock)
        self.open("ann")
        self.say(action="subscribe", topic=LOBBY)
        self.say(action="publish", topic=LOBBY, type="any", data=1, id="first")

    def open(self, id: str) -> None:
        self.connections.open(Connection(id, Principal(id, self.clock() + 3600, {}), (LOBBY,), int(self.clock() * 1000)))

    def say(self, *, rested: bool = True, **frame: object) -> tuple[float, float]:
        """Read and write units of one message."""
        self.clock.sleep(1 if rested else 0)
        self.meter.reset()
        answer = json.loads(self.socket.receive("ann", json.dumps(frame)) or b"{}")
        assert answer.get("action") != "error", answer
        return self.meter.reads, self.meter.writes


@pytest.fixture(scope="module")
def metered(endpoint: Endpoint, tmp_path_factory: pytest.TempPathFactory) -> Metered:
    return Metered(endpoint, tmp_path_factory.mktemp("cost"), Clock())


FRAMES: list[tuple[dict[str, Any], float, float]] = [
    ({"action": "ping"}, 0, 1),
    ({"action": "ping", "cursors": {LOBBY: "0-0"}}, 0, 1),  # and half a read a topic: MiniStack reports none for BatchGetItem
    ({"action": "publish", "topic": LOBBY, "type": "any", "data": 2, "id": "k"}, 2, 4),
    ({"action": "subscribe", "topic": LOBBY}, 1, 3),
    ({"action": "unsubscribe", "topic": LOBBY}, 0, 3),
]


@pytest.mark.parametrize(("frame", "reads", "writes"), FRAMES, ids=["idle ping", "ping", "publish", "subscribe", "unsubscribe"])
def test_message_costs(metered: Metered, frame: dict[str, Any], reads: float, writes: float) -> None:
    """Every message 1 write for the connection's row; a publish 3 writes and a read for its append, and a read of its subscribers."""
    assert metered.say(**frame) == (reads, writes)


def test_connection_costs(metered: Metered) -> None:
    """One write to open it, and to close it one and one a subscription."""
    metered.meter.reset()
    metered.open("bob")
    opened = metered.meter.writes
    metered.connections.remove("bob", f"{LOBBY}#0")
    assert (opened, metered.meter.writes - opened) == (1, 2)


def test_calls_of_a_publish(metered: Metered) -> None:
    """Row, key, history and key row, head, subscribers: five calls of some 5 ms before the first push."""
    metered.say(action="publish", topic=LOBBY, type="any", data=3, id="calls")
    assert metered.meter.calls == 5
