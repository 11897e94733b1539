"""Publishing: POST /topics/{topic}/events."""

from collections.abc import Callable

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from tests.helpers import Clock
from tests.services.http.conftest import Token

Publish = Callable[..., dict[str, object]]


def test_published_event_is_returned_and_readable(client: TestClient, publish: Publish) -> None:
    """201 with the event as it stands in the log."""
    event = publish("metrics", {"x": [1, "é"]})
    assert (event["topic"], event["seq"], event["type"], event["data"]) == ("metrics", 1, "note", {"x": [1, "é"]})
    assert client.get("/topics/metrics").json() == event


def test_repeat_with_the_same_key_is_the_same_event(client: TestClient, publish: Publish) -> None:
    """Idempotency-Key: a repeat adds nothing and gets the first answer."""
    first = publish("ticker", 1, **{"Idempotency-Key": "a"})
    assert publish("ticker", 1, **{"Idempotency-Key": "a"}) == first
    assert len(client.get("/topics/ticker?after=0-0").json()["events"]) == 1


def test_key_with_another_body_is_409(client: TestClient, publish: Publish, service: dict[str, str]) -> None:
    """A key belongs to one body."""
    publish("ticker", 1, **{"Idempotency-Key": "a"})
    answer = client.post("/topics/ticker/events", json={"type": "note", "data": 2}, headers={**service, "Idempotency-Key": "a"})
    assert (answer.status_code, answer.json()["code"]) == (409, "key_reused")


def test_key_of_another_caller_is_another_key(client: TestClient, bearer: Token) -> None:
    """Ann's key never answers with Bob's event."""
    for sub in ("ann", "bob"):
        body = {"type": "message", "data": {"text": sub}}
        answer = client.post("/topics/chat/lobby/events", json=body, headers={**bearer(sub), "Idempotency-Key": "1"})
        assert answer.json()["data"] == {"text": sub}


@pytest.mark.parametrize("key", ["", "x" * 129, "a\tb"])
def test_bad_key_is_400(client: TestClient, service: dict[str, str], key: str) -> None:
    """A key is 1 to 128 printable ASCII characters."""
    answer = client.post("/topics/ticker/events", json={"type": "note", "data": 2}, headers={**service, "Idempotency-Key": key})
    assert answer.status_code == 400


def test_schema_names_what_is_wrong(client: TestClient, bearer: Token) -> None:
    """data that the feature's JSON Schema refuses is 400, with the place and the reason."""
    answer = client.post("/topics/chat/lobby/events", json={"type": "message", "data": {}}, headers=bearer())
    assert answer.status_code == 400
    assert "text" in answer.json()["detail"]


def test_type_without_a_schema_is_refused(client: TestClient, bearer: Token) -> None:
    """A feature with schemas knows its types."""
    answer = client.post("/topics/chat/lobby/events", json={"type": "other", "data": {}}, headers=bearer())
    assert (answer.status_code, answer.json()["detail"]) == (400, "chat knows the types any, message")


def test_event_over_the_features_size_is_413(client: TestClient, bearer: Token) -> None:
    """limits.bytes counts the data as it goes over the wire, in UTF-8."""
    answer = client.post("/topics/chat/lobby/events", json={"type": "any", "data": "é" * 100}, headers=bearer())
    assert answer.status_code == 413


def test_caller_over_the_limit_waits(client: TestClient, bearer: Token, clock: Clock) -> None:
    """limits.publish: the fourth in a minute is 429 with Retry-After; another caller is not touched; later it works again."""

    def send(sub: str) -> Response:
        return client.post("/topics/chat/lobby/events", json={"type": "any", "data": 1}, headers=bearer(sub))

    assert [send("ann").status_code for _ in range(4)] == [201, 201, 201, 429]
    assert int(send("ann").headers["retry-after"]) >= 1
    assert send("bob").status_code == 201
    clock.now += 60
    assert send("ann").status_code == 201


def test_rate_below_one_a_minute_is_counted_over_an_hour() -> None:
    """10/h admits ten in an hour, not one a minute."""
    from realtime.errors import RealtimeError
    from realtime.memory import MemoryCounters
    from realtime.rate import RateLimit
    from tests.helpers import feature

    clock = Clock(1_800_000_000 // 3600 * 3600)
    rate, news = RateLimit(MemoryCounters(), clock), feature(limits={"publish": "10/h"})
    admitted = 0
    for _ in range(59):
        clock.now += 60
        try:
            rate.admit(news, "ann")
            admitted += 1
        except RealtimeError as error:
            assert error.retry_after == 3600 - clock.now % 3600
    assert admitted == 10
