"""The local page's server: what the browser is told, and the login of the demonstration."""

import json
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from local.hubs import TARGETS
from local.page import Deployment, create_app
from realtime.tokens import SecretVerifier, issue
from tests.helpers import SECRET

UPSTREAM = "http://localhost:9"  # where nothing listens
WEBSOCKET = "ws://localhost:4566/_aws/execute-api/abc/live"


@pytest.fixture
def page(tmp_path: Path) -> TestClient:
    (tmp_path / "state.json").write_text(json.dumps({"endpoints": {"websocket": WEBSOCKET}}))
    return TestClient(create_app(UPSTREAM, Deployment(tmp_path), SECRET))


@pytest.fixture
def bare(tmp_path: Path) -> TestClient:
    """A deployment without a chat."""
    return TestClient(create_app(UPSTREAM, Deployment(tmp_path / "bare")))


def test_page_learns_where_the_chat_is(page: TestClient, bare: TestClient) -> None:
    """Where there is none, there is no key: the card stays hidden."""
    assert page.get("/client.json").json() == {"websocket": WEBSOCKET}
    assert bare.get("/client.json").json() == {}


def test_page_learns_whether_there_are_streams(bare: TestClient, tmp_path: Path) -> None:
    """While a hub runs; without one, a stream is 503, after which clients come back."""
    assert bare.get("/topics/alerts/stream").status_code == 503
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / TARGETS).write_text("[9]")
    assert bare.get("/client.json").json() == {"stream": "/"}


def test_guest_gets_a_token_of_the_deployment(page: TestClient) -> None:
    """Fifteen minutes, for a `sub` that is nobody else's."""
    answer, other = (page.post("/guests", json={"name": "Zoë 4711"}) for _ in range(2))
    assert (answer.status_code, answer.headers["cache-control"], answer.json()["expires_in"]) == (201, "no-store", 900)
    principal = SecretVerifier(lambda: SECRET).verify(answer.json()["token"])
    assert (principal.sub, principal.claims["name"], principal.service) == (answer.json()["sub"], "Zoë 4711", False)
    assert other.json()["sub"] != principal.sub


def test_guest_who_renews_his_token_stays_the_same(page: TestClient) -> None:
    """A connection goes on with it, and a repeated publish counts as a repeat."""
    first = page.post("/guests", json={"name": "Ann"}).json()
    again = page.post("/guests", json={"name": "Ann"}, headers={"Authorization": f"Bearer {first['token']}"})
    assert again.json()["sub"] == first["sub"]


@pytest.mark.parametrize(
    ("token", "status"),
    [(issue(SECRET, "guest-1", -60), 401), (issue("x" * 40, "guest-1", 86_400), 401), (issue(SECRET, "job", 86_400, role="service"), 403)],
    ids=["expired", "of another secret", "of a service"],
)
def test_other_tokens_are_not_renewed(page: TestClient, token: str, status: int) -> None:
    """Only a valid one, and only a guest's."""
    assert page.post("/guests", json={"name": "Ann"}, headers={"Authorization": f"Bearer {token}"}).status_code == status


@pytest.mark.parametrize(
    "body",
    [{}, {"name": ""}, {"name": "x" * 41}, {"name": "a\nb"}, {"name": "\u202eab"}, {"name": 1}, {"name": "Ann", "sub": "bob"}, ["Ann"]],
    ids=json.dumps,
)
def test_odd_guests_are_refused(page: TestClient, body: object) -> None:
    """A name is 1 to 40 printable characters; a `sub` of one's own choice is never taken."""
    answer = page.post("/guests", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")


def test_longest_name_is_taken(page: TestClient) -> None:
    """Forty characters, whatever their bytes."""
    assert page.post("/guests", json={"name": "ü" * 40}).status_code == 201


def test_without_the_secret_nobody_is_signed_in(bare: TestClient) -> None:
    """The path does not exist."""
    answer = bare.post("/guests", json={"name": "Ann"})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("path", ["/", "/chat.js"])
def test_page_runs_only_its_own_scripts(page: TestClient, path: str) -> None:
    """Whatever text a message smuggles in."""
    policy = page.get(path).headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self';" in policy
    assert "unsafe" not in policy


def test_page_has_nothing_that_its_policy_forbids() -> None:
    """No script, style or handler inside the document."""
    document = (Path(__file__).parents[2] / "web/index.html").read_text()
    assert not [odd for odd in (" style=", " onclick=", "<style", "<script>") if odd in document]


def test_silent_front_door_is_told(page: TestClient) -> None:
    """503 with a problem, and the page itself is there all the same."""
    answer = page.post("/tickets", json={})
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert "<html" in page.get("/").text
