"""The local page's server: what the browser is told, and the login of the demonstration."""

import json
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from local.hubs import TARGETS
from local.page import Deployment, create_app
from realtime.features import load
from realtime.tokens import SecretVerifier, issue
from stacks.assets import FEATURES
from tests.helpers import SECRET

ROOT = Path(__file__).parents[2]
HERE = "http://localhost"
UPSTREAM = "http://localhost:9"  # where nothing listens
WEBSOCKET = "ws://localhost:4566/_aws/execute-api/abc/live"


@pytest.fixture
def page(tmp_path: Path) -> TestClient:
    (tmp_path / "state.json").write_text(json.dumps({"endpoints": {"websocket": WEBSOCKET}}))
    (tmp_path / FEATURES).write_text(load(ROOT / "features.toml").encode())
    return TestClient(create_app(UPSTREAM, Deployment(tmp_path), SECRET), HERE)


@pytest.fixture
def bare(tmp_path: Path) -> TestClient:
    """A deployment without a chat."""
    return TestClient(create_app(UPSTREAM, Deployment(tmp_path / "bare")), HERE)


def test_page_learns_what_is_deployed(page: TestClient, bare: TestClient) -> None:
    """The features, where the chat is, whether there are guests; what is not deployed has no key."""
    facts = page.get("/client.json").json()
    assert (facts["http"], facts["websocket"], facts["guests"]) == ("", WEBSOCKET, True)
    assert facts["features"]["orders"] == {"pattern": "fallback", "public": False, "keep": "all", "host": "service", "interval": 5.0}
    assert bare.get("/client.json").json() == {"http": "", "features": {}}


def test_page_learns_whether_there_are_streams(bare: TestClient, tmp_path: Path) -> None:
    """While a hub runs; without one, a stream is 503, after which clients come back."""
    assert bare.get("/topics/alerts/stream").status_code == 503
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / TARGETS).write_text("[9]")
    assert bare.get("/client.json").json()["sse"] == {"service": {"url": ""}}


def test_page_learns_of_streams_from_lambda(page: TestClient, tmp_path: Path) -> None:
    """They are on the page's own origin as well, and take its tokens."""
    (tmp_path / "state.json").write_text(json.dumps({"endpoints": {"streams": "http://localhost:9"}}))
    assert page.get("/client.json").json()["sse"] == {"lambda": {"url": "", "ticket": False}}


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


@pytest.mark.parametrize("host", ["shop.example", "localhost.evil.example", "169.254.169.254"])
def test_other_names_are_refused(page: TestClient, host: str) -> None:
    """A page of elsewhere whose name is made to lead to this machine (DNS rebinding) gets nothing, and no token."""
    for answer in (page.get("/", headers={"Host": host}), page.post("/guests", json={"name": "Ann"}, headers={"Host": host})):
        assert (answer.status_code, "token" in answer.text) == (400, False)


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1:8000", "localhost"])
def test_own_names_are_served(page: TestClient, host: str) -> None:
    """Whatever the port."""
    assert page.get("/client.json", headers={"Host": host}).status_code == 200


def test_site_has_the_client_and_the_chart_library(page: TestClient) -> None:
    """At the paths where ShopStack puts them; no other file of the project is there."""
    found = {path: page.get(path) for path in ("/vendor/uPlot.esm.js", "/vendor/uPlot.min.css", "/style.css")}
    assert {answer.status_code for answer in found.values()} == {200}
    assert found["/vendor/uPlot.esm.js"].headers["content-type"].startswith("text/javascript")
    for path in ("/clients/realtime.py", "/../pyproject.toml", "/%2e%2e/pyproject.toml", "/web/index.html"):
        assert page.get(path).status_code == 404


@pytest.mark.parametrize("path", ["/", "/style.css"])
def test_page_runs_only_its_own_scripts(page: TestClient, path: str) -> None:
    """Whatever text a message smuggles in."""
    policy = page.get(path).headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self';" in policy
    assert "unsafe" not in policy


def test_page_has_nothing_that_its_policy_forbids() -> None:
    """No script, style or handler inside the document."""
    document = (ROOT / "web/index.html").read_text()
    assert not [odd for odd in (" style=", " onclick=", "<style", "<script>") if odd in document]


def test_silent_front_door_is_told(page: TestClient) -> None:
    """503 with a problem, and the page itself is there all the same."""
    answer = page.post("/tickets", json={})
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert "<html" in page.get("/").text
