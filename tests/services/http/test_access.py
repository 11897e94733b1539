"""Tickets and sessions: credentials for browsers."""

import re

import pytest
from starlette.testclient import TestClient

from realtime.errors import RealtimeError
from realtime.runtime import Runtime
from tests.helpers import Clock
from tests.services.http.conftest import Token


def ticket(client: TestClient, headers: dict[str, str], use: str = "sse", topics: tuple[str, ...] = ("alerts",)) -> str:
    answer = client.post("/tickets", json={"use": use, "topics": list(topics)}, headers=headers)
    assert answer.status_code == 201, answer.text
    made: str = answer.json()["ticket"]
    return made


def test_ticket_stands_for_its_caller_once(client: TestClient, runtime: Runtime, bearer: Token) -> None:
    """The ticket carries who and what; a second use is refused."""
    made = ticket(client, bearer("ann"))
    grant = runtime.tickets.redeem(made, "sse")
    assert (grant.principal.sub, grant.topics) == ("ann", ("alerts",))
    with pytest.raises(RealtimeError):
        runtime.tickets.redeem(made, "sse")


def test_ticket_for_one_use_is_refused_for_another_and_stays(client: TestClient, runtime: Runtime, bearer: Token) -> None:
    """An SSE ticket opens no socket, and trying does not spend it."""
    made = ticket(client, bearer())
    with pytest.raises(RealtimeError):
        runtime.tickets.redeem(made, "websocket")
    assert runtime.tickets.redeem(made, "sse")


def test_ticket_expires(client: TestClient, runtime: Runtime, bearer: Token, clock: Clock) -> None:
    """Thirty seconds, whatever the table has deleted by then."""
    made = ticket(client, bearer())
    clock.now += 30
    with pytest.raises(RealtimeError):
        runtime.tickets.redeem(made, "sse")


def test_ticket_is_stored_hashed(client: TestClient, runtime: Runtime, bearer: Token) -> None:
    """A copy of the table opens nothing."""
    made = ticket(client, bearer())
    assert made not in str(vars(runtime.tickets._store))


@pytest.mark.parametrize(
    ("topic", "status"), [("orders/ann", 201), ("orders/bob", 403), ("nothing", 404), ("staff/north", 403), ("metrics", 201)]
)
def test_ticket_is_made_only_for_what_the_caller_may_read(client: TestClient, bearer: Token, topic: str, status: int) -> None:
    """The rights are checked before the ticket exists."""
    assert client.post("/tickets", json={"use": "sse", "topics": [topic]}, headers=bearer("ann")).status_code == status


def test_session_is_a_cookie_that_scripts_and_strangers_cannot_use(client: TestClient, runtime: Runtime, bearer: Token) -> None:
    """HttpOnly, Secure, SameSite; accepted from our own origins only."""
    answer = client.post("/sessions", headers=bearer("ann"))
    assert answer.status_code == 204
    name, _, rest = answer.headers["set-cookie"].partition("=")
    value = rest.partition(";")[0]
    assert name == "__Host-realtime"
    assert {"HttpOnly", "Secure", "SameSite=Strict", "Path=/"} <= {part.strip() for part in rest.split(";")}
    for origin in (None, "https://shop.example"):
        assert runtime.sessions.verify(value, origin).sub == "ann"
    for origin in ("https://evil.example", "http://shop.example", "null", ""):
        with pytest.raises(RealtimeError):
            runtime.sessions.verify(value, origin)


def test_session_ends_with_its_token(client: TestClient, bearer: Token) -> None:
    """A cookie made from a token of a minute lives a minute."""
    cookie = client.post("/sessions", headers=bearer("ann", 60)).headers["set-cookie"]
    found = re.search(r"Max-Age=(\d+);", cookie)
    assert found
    assert 50 <= int(found[1]) <= 60


def test_credentials_are_not_swapped(client: TestClient, runtime: Runtime, bearer: Token) -> None:
    """A session cookie is no access token, an access token is no cookie, a ticket is neither."""
    cookie = client.post("/sessions", headers=bearer()).headers["set-cookie"].partition("=")[2].partition(";")[0]
    for wrong in (cookie, ticket(client, bearer())):
        assert client.post("/sessions", headers={"Authorization": f"Bearer {wrong}"}).status_code == 401
    with pytest.raises(RealtimeError):
        runtime.sessions.verify(bearer()["Authorization"].removeprefix("Bearer "), None)
