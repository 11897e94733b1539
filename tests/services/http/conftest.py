"""The HTTP application over an in-memory log, and tokens of every kind."""

from collections.abc import Callable

import pytest
from starlette.testclient import TestClient

from realtime.features import Features
from realtime.log import Log
from realtime.memory import MemoryCounters, MemoryStore, MemoryTickets
from realtime.publish import Publisher
from realtime.rate import RateLimit
from realtime.runtime import Runtime
from realtime.sessions import Sessions
from realtime.tickets import Tickets
from realtime.tokens import SecretVerifier, issue
from services.http.app import create_app
from tests.helpers import SECRET, Clock

Token = Callable[..., dict[str, str]]


@pytest.fixture
def runtime(features: Features, clock: Clock) -> Runtime:
    log = Log(MemoryStore(), clock=clock, sleep=clock.sleep)
    publisher = Publisher(features, log, RateLimit(MemoryCounters(), clock))
    sessions = Sessions(lambda: SECRET, ["https://shop.example"])
    return Runtime(features, log, publisher, Tickets(MemoryTickets(), clock), sessions, SecretVerifier(lambda: SECRET))


@pytest.fixture
def client(runtime: Runtime, clock: Clock) -> TestClient:
    return TestClient(create_app(runtime, clock=clock), raise_server_exceptions=False)


@pytest.fixture
def bearer() -> Token:
    """Headers of a caller: bearer("ann"), bearer("job", role="service")."""

    def make(sub: str = "ann", seconds: int = 600, **claims: object) -> dict[str, str]:
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
