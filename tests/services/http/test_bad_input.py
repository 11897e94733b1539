"""Bad input of every kind: the error of the table, never a 500, and nothing changes."""

import json
import time

import jwt
import pytest
from starlette.testclient import TestClient

from realtime.cursor import START
from realtime.errors import Code, RealtimeError
from realtime.runtime import Runtime
from tests.helpers import SECRET
from tests.services.http.conftest import Token

NOTE = {"type": "note", "data": 1}


def code(answer: object) -> tuple[int, str]:
    """Status and code of a problem document, which must be one."""
    assert answer.headers["content-type"] == "application/problem+json"  # type: ignore[attr-defined]
    problem = answer.json()  # type: ignore[attr-defined]
    assert problem["status"] == answer.status_code  # type: ignore[attr-defined]
    return problem["status"], problem["code"]


@pytest.mark.parametrize(
    "topic",
    [
        "nothing",
        "metrics/room",
        "chat",
        "chat/",
        "chat/a/b",
        "chat/stream",
        "chat/events",
        "METRICS",
        "",
        "orders/a/b/c",
        "%00",
        "chat/%0a",
    ],
)
def test_unknown_topic_is_404(client: TestClient, service: dict[str, str], topic: str) -> None:
    """What no feature serves does not exist, to read or to publish."""
    assert code(client.get(f"/topics/{topic}"))[0] == 404
    assert code(client.post(f"/topics/{topic}/events", json=NOTE, headers=service))[0] == 404


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b'{"type": "note"}',
        b'{"type": 1, "data": 1}',
        b'{"type": "a b", "data": 1}',
        b'{"type": "reset", "data": 1}',
        b'{"type": "note", "data": NaN}',
        b'{"type": "note", "data": 1e999}',
        b'{"type": "note", "data": "\\ud800"}',
        b'{"type": "note", "data": 1, "extra": 1}',
        b'{"type": "note", "data": ' + b"[" * 100_000,
        b'{"type": "note", "data": ' + b"[" * 40 + b"]" * 40 + b"}",
        b'{"type": "note", "data": ' + b"9" * 5000 + b"}",
        b"\xff\xfe",
    ],
)
def test_wrong_body_is_400_and_stores_nothing(client: TestClient, runtime: Runtime, service: dict[str, str], body: bytes) -> None:
    """Not JSON, wrong types, unknown keys, numbers that are none, endless nesting."""
    assert code(client.post("/topics/ticker/events", content=body, headers=service)) == (400, "invalid")
    assert runtime.log.read(runtime.features.topic("ticker"), START).cursor == START


def test_body_of_a_megabyte_is_413(client: TestClient, runtime: Runtime, service: dict[str, str]) -> None:
    """Reading stops at the limit, whatever Content-Length says."""
    body = json.dumps({"type": "note", "data": "x" * 1_000_000}).encode()
    assert code(client.post("/topics/ticker/events", content=body, headers=service)) == (413, "too_large")
    assert code(client.post("/topics/ticker/events", content=iter([body]), headers=service)) == (413, "too_large")
    assert runtime.log.read(runtime.features.topic("ticker"), START).cursor == START


def token(**changes: object) -> str:
    claims = {"sub": "job", "aud": "realtime", "exp": time.time() + 60, "role": "service", **changes}
    return jwt.encode({k: v for k, v in claims.items() if v is not None}, SECRET, algorithm="HS256")


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic abc",
        "Bearer x.y.z",
        "Bearer " + "x" * 10_000,
        "Bearer \x80",
        f"Bearer {token(exp=time.time() - 60)}",
        f"Bearer {token(aud='realtime-session')}",
        f"Bearer {token(aud='other')}",
        f"Bearer {token(aud=None)}",
        f"Bearer {token(exp=None)}",
        f"Bearer {token(sub=None)}",
        f"Bearer {token(sub='')}",
        f"Bearer {token(sub=chr(0xD800))}",
        f"Bearer {token(sub='a' * 257)}",
        f"Bearer {token(exp=10**400)}",
        f"Bearer {token(nbf=time.time() + 600)}",
        f"Bearer {jwt.encode({'sub': 'a', 'aud': 'realtime', 'exp': time.time() + 60}, 'another-secret-0123456789abcdef01', 'HS256')}",
        f"Bearer {jwt.encode({'sub': 'a', 'aud': 'realtime', 'exp': time.time() + 60}, SECRET * 2, 'HS512')}",
        f"Bearer {jwt.encode({'sub': 'a', 'aud': 'realtime', 'exp': time.time() + 60}, '', 'none')}",
    ],
)
def test_wrong_token_is_401(client: TestClient, runtime: Runtime, authorization: str) -> None:
    """Missing, malformed, expired, unsigned, signed by another or meant for another purpose."""
    headers = {b"Authorization": authorization.encode("latin-1")} if authorization else {}
    for method, path in (("GET", "/topics/alerts"), ("POST", "/topics/ticker/events"), ("POST", "/tickets"), ("POST", "/sessions")):
        answer = client.request(method, path, json=NOTE if method == "POST" else None, headers=headers)
        assert code(answer) == (401, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"
    assert runtime.log.read(runtime.features.topic("ticker"), START).cursor == START


@pytest.mark.parametrize(
    ("caller", "method", "path", "status"),
    [
        ({}, "GET", "/topics/orders/ann", 200),
        ({}, "GET", "/topics/orders/ann/17", 200),
        ({}, "GET", "/topics/orders/bob", 403),
        ({"role": "service"}, "GET", "/topics/orders/bob", 403),
        ({}, "POST", "/topics/orders/ann/events", 403),
        ({"role": "service"}, "POST", "/topics/orders/ann/events", 201),
        ({}, "POST", "/topics/metrics/events", 403),
        ({"role": "admin"}, "POST", "/topics/metrics/events", 403),
        ({}, "GET", "/topics/staff/north", 403),
        ({"teams": True}, "GET", "/topics/staff/north", 200),
        ({"teams": "north"}, "GET", "/topics/staff/north", 200),
        ({"teams": ["north", "west"]}, "POST", "/topics/staff/north/events", 201),
        ({"teams": ["south"]}, "GET", "/topics/staff/north", 403),
        ({"teams": "northern"}, "GET", "/topics/staff/north", 403),
        ({"teams": 1}, "GET", "/topics/staff/north", 403),
    ],
)
def test_policy_per_feature(client: TestClient, bearer: Token, caller: dict[str, object], method: str, path: str, status: int) -> None:
    """Who may do what: owner, service and claim rules, for ann."""
    answer = client.request(method, path, json=NOTE if method == "POST" else None, headers=bearer("ann", **caller))
    assert answer.status_code == status
    if status == 403:
        assert code(answer) == (403, "forbidden")


@pytest.mark.parametrize(
    "body",
    [{}, {"use": "sse"}, {"use": "polling", "topics": ["alerts"]}, {"use": "sse", "topics": []}, {"use": "sse", "topics": ["alerts"] * 21}],
)
def test_wrong_ticket_request_is_400(client: TestClient, bearer: Token, body: object) -> None:
    """A ticket is for one of two uses and 1 to 20 topics."""
    assert code(client.post("/tickets", json=body, headers=bearer())) == (400, "invalid")


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/", (404, "not_found")),
        ("GET", "/tickets", (405, "method_not_allowed")),
        ("DELETE", "/topics/metrics", (405, "method_not_allowed")),
        ("PUT", "/topics/metrics/events", (405, "method_not_allowed")),
    ],
)
def test_unknown_path_or_method_is_a_problem_too(client: TestClient, method: str, path: str, expected: tuple[int, str]) -> None:
    """Also the framework's own refusals follow the table."""
    assert code(client.request(method, path)) == expected


def test_unforeseen_failure_is_500_without_its_text(client: TestClient, runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """What went wrong inside is in the log, not in the answer."""
    monkeypatch.setattr(type(runtime.log), "newest", lambda *_: 1 / 0)
    answer = client.get("/topics/metrics")
    assert code(answer) == (500, "internal")
    assert "division" not in answer.text


def test_unreachable_log_is_503_with_retry_after(client: TestClient, runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that does not answer: come back later, and not all at once."""

    def unreachable(*_: object) -> None:
        raise RealtimeError(Code.UNAVAILABLE, "the store does not answer", retry_after=10)

    monkeypatch.setattr(type(runtime.log), "newest", unreachable)
    seen = {int(client.get("/topics/metrics").headers["retry-after"]) for _ in range(30)}
    assert seen <= set(range(10, 16))
    assert len(seen) > 1
