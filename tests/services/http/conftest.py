"""The HTTP application over an in-memory log, and tokens of every kind."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from local.process import Child, free_port, port_is_free, stop
from realtime.direct import Directions
from realtime.features import Features
from realtime.log import Log
from realtime.memory import MemoryCounters, MemoryDirections, MemoryStore, MemoryTickets
from realtime.publish import Publisher
from realtime.rate import RateLimit
from realtime.runtime import Runtime
from realtime.sessions import Sessions
from realtime.tickets import Tickets
from realtime.tokens import SecretVerifier, issue
from services.http.app import create_app
from tests.helpers import SECRET, Clock

ROOT = Path(__file__).parents[3]
Token = Callable[..., dict[str, str]]


@pytest.fixture
def directed() -> MemoryDirections:
    """What an operator directs."""
    return MemoryDirections()


@pytest.fixture
def runtime(features: Features, clock: Clock, directed: MemoryDirections) -> Runtime:
    log = Log(MemoryStore(), clock=clock, sleep=clock.sleep)
    publisher = Publisher(features, log, RateLimit(MemoryCounters(), clock))
    sessions = Sessions(lambda: SECRET, ["https://shop.example"])
    tickets, directions = Tickets(MemoryTickets(), clock), Directions(directed, clock)
    return Runtime(features, log, publisher, tickets, sessions, SecretVerifier(lambda: SECRET), directions)


@pytest.fixture
def client(runtime: Runtime, clock: Clock) -> TestClient:
    return TestClient(create_app(runtime, clock=clock), raise_server_exceptions=False)


@pytest.fixture
def bearer() -> Token:
    """Headers of a caller: bearer("ann"), bearer("job", role="service")."""

    def make(sub: str = "ann", seconds: int = 600, **claims: Any) -> dict[str, str]:
        return {"Authorization": f"Bearer {issue(SECRET, sub, seconds, **claims)}"}

    return make


@pytest.fixture
def service(bearer: Token) -> dict[str, str]:
    return bearer("job", role="service")


@pytest.fixture
def publish(client: TestClient, service: dict[str, str]) -> Callable[..., dict[str, object]]:
    """Publish as a backend of ours and return the event."""

    def send(topic: str, data: object = 1, **headers: str) -> dict[str, object]:
        answer = client.post(f"/topics/{topic}/events", json={"type": "note", "data": data}, headers={**service, **headers})
        assert answer.status_code == 201, answer.text
        made: dict[str, object] = answer.json()
        return made

    return send


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`python -m services.http` with an in-memory log, over real HTTP; its address."""
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    environment = os.environ | {"REALTIME_LOG": "memory", "REALTIME_SECRET": SECRET}
    command = [sys.executable, "-m", "services.http", "--port", str(port), "--features", "features.toml"]
    child = Child.start("services.http", command, environment, folder / "server.log", ROOT)
    try:
        child.wait_until(lambda: not port_is_free(port))
        yield f"http://127.0.0.1:{port}"
    finally:
        stop([child.process])
