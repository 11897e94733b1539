"""The stream routes: what is sent first, who may read, and from where."""

import json
import math
import re
import socket
import time
from typing import Any

import httpx2
import pytest

from realtime.cursor import Cursor
from realtime.errors import Code, RealtimeError
from realtime.runtime import Runtime
from realtime.sessions import COOKIE
from services.sse.stream import RETRY_MS
from tests.services.sse.conftest import FIRST, ORIGIN, Client, Served, bearer, principal, until

ALERTS = "/topics/alerts/stream"
BOTH = "/stream?topic=alerts&topic=chat/lobby"
LONG = bearer(seconds=86_400)
"""Made while tests are collected: it must outlive all that run before."""


def granted(served: Served, target: str, headers: dict[str, str] | None = None) -> tuple[list[str], list[Cursor], float]:
    """What the hub is asked for."""
    client = Client(served.port, target, headers)
    client.until(FIRST)
    client.close()
    return served.hub.asked[-1]


def refused(served: Served, target: str, headers: dict[str, str] | None = None) -> tuple[int, Any]:
    """Status and code of the problem."""
    answer = httpx2.get(served.url + target, headers=headers, timeout=5)
    assert answer.headers["cache-control"] == "no-store"
    if answer.status_code == 204:
        return 204, None
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, json.loads(answer.text)["code"]


def session(runtime: Runtime, sub: str = "ann", **headers: str) -> dict[str, str]:
    return {"Cookie": runtime.sessions.set_cookie(principal(sub)).partition(";")[0], **headers}


def test_headers_defeat_buffering_and_caches(served: Served) -> None:
    """No proxy may keep, compress or collect what is sent."""
    with httpx2.stream("GET", served.url + ALERTS, headers=bearer(), timeout=5) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        assert answer.headers["cache-control"] == "no-store, no-transform"
        assert answer.headers["x-accel-buffering"] == "no"
        assert "content-length" not in answer.headers


def test_first_bytes_are_a_retry_of_their_own(served: Served) -> None:
    """They come at once, and differ, so that not everybody returns in the same instant."""
    texts = []
    for _ in range(5):
        client = Client(served.port, ALERTS, bearer())
        texts.append(client.until(b"\r\n\r\n" + client.until(b"\n\n\r\n").partition(b"\r\n\r\n")[2][:4]))
        client.close()
    found = [int(re.search(rb"\r\n\r\n[0-9a-f]+\r\nretry: (\d+)\n\n", text)[1]) for text in texts]  # type: ignore[index]
    assert len(set(found)) > 1
    assert all(RETRY_MS[0] <= ms <= RETRY_MS[1] for ms in found)


def test_token_admits_until_it_ends(served: Served) -> None:
    """The hub is told when the credential ends."""
    topics, after, until_when = granted(served, ALERTS, bearer())
    assert (topics, after) == (["alerts"], [Cursor("begin", 0)])
    assert until_when == pytest.approx(time.time() + 610, abs=5)


def test_stream_without_a_position_begins_with_one(served: Served) -> None:
    """Who is cut off before his first event comes back with it; who has brought one needs none."""
    assert b"\n\nid: begin-0\n\n" in Client(served.port, ALERTS, bearer()).until(FIRST)
    assert b"\n\nid: begin-0.begin-0\n\n" in Client(served.port, BOTH, bearer()).until(FIRST)
    assert b"begin" not in Client(served.port, f"{ALERTS}?after=a-1", bearer()).until(FIRST)


def test_log_that_does_not_answer_is_a_problem_before_the_stream(served: Served) -> None:
    """503 with Retry-After, not a stream that ends."""
    served.hub.refusal = RealtimeError(Code.UNAVAILABLE, "down", retry_after=1)
    assert refused(served, ALERTS, bearer()) == (503, "unavailable")


def test_old_client_gets_no_chunks(served: Served) -> None:
    """HTTP/1.0, which nginx speaks to its upstreams by default, knows none: the connection's end is the stream's."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=5) as client:
        client.sendall(f"GET {ALERTS} HTTP/1.0\r\nAuthorization: {bearer()['Authorization']}\r\n\r\n".encode())
        served.call(served.reader().end, b"event: reconnect\n\n")
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"chunked" not in head
    assert body.startswith(b"retry: ")
    assert body.endswith(FIRST + b"event: reconnect\n\n")


@pytest.mark.parametrize("target", ["/readyz", "/topics/nothing/stream", "/topics/events"])
def test_old_client_gets_whole_answers(served: Served, target: str) -> None:
    """Answers that have a length, over HTTP/1.0."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=5) as client:
        client.sendall(f"GET {target} HTTP/1.0\r\n\r\n".encode())
        head, _, body = b"".join(iter(lambda: client.recv(65536), b"")).partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head)
    assert length
    assert int(length[1]) == len(body) > 0


def test_several_topics_in_the_order_of_the_url(served: Served) -> None:
    """The id has one cursor of each, in that order."""
    topics, after, _ = granted(served, f"{BOTH}&after=a-1.b-2", bearer())
    assert topics == ["alerts", "chat/lobby"]
    assert after == [Cursor("a", 1), Cursor("b", 2)]


def test_last_event_id_goes_before_after(served: Served) -> None:
    """EventSource comes back to the same URL: the header is the newer of the two."""
    assert granted(served, f"{ALERTS}?after=a-1", bearer() | {"Last-Event-ID": "a-7"})[1] == [Cursor("a", 7)]
    assert granted(served, f"{ALERTS}?after=a-1", bearer() | {"Last-Event-ID": ""})[1] == [Cursor("a", 1)]


def test_topic_without_a_cursor_is_a_star(served: Served) -> None:
    """Where others of the stream have one: it begins as without a position, and the client is told where."""
    client = Client(served.port, f"{BOTH}&after=a-1.*", bearer())
    assert b"\n\nid: a-1.begin-0\n\n" in client.until(FIRST)
    assert granted(served, f"{BOTH}&after=a-1.*", bearer() | {"Last-Event-ID": "*.b-2"})[1] == [Cursor("begin", 0), Cursor("b", 2)]


def test_stream_can_begin_with_the_newest(served: Served) -> None:
    """`recent` is for a first look; the hub is told how many."""
    granted(served, f"{ALERTS}?recent=100", bearer())
    assert served.hub.recent == 100
    granted(served, BOTH, bearer())
    assert served.hub.recent == 0


def test_ticket_admits_once_to_its_topics(served: Served, runtime: Runtime) -> None:
    """Also to a part of them; a spent one is 401, after which our clients get a new one."""
    ticket = runtime.tickets.issue("sse", ("alerts", "chat/lobby"), principal())
    assert granted(served, f"{ALERTS}?ticket={ticket}")[0] == ["alerts"]
    assert refused(served, f"{ALERTS}?ticket={ticket}") == (401, "unauthorized")
    assert refused(served, f"{ALERTS}?ticket={ticket}", {"Last-Event-ID": "a-1"}) == (401, "unauthorized")


@pytest.mark.parametrize(("use", "topics", "status"), [("sse", ("alerts",), 403), ("websocket", ("alerts", "chat/lobby"), 401)])
def test_ticket_for_something_else_is_refused(served: Served, runtime: Runtime, use: Any, topics: tuple[str, ...], status: int) -> None:
    """Its topics must cover those asked for, and its use be this one."""
    ticket = runtime.tickets.issue("sse", ("alerts",), principal())
    assert refused(served, f"{BOTH}&ticket={ticket}", {"Last-Event-ID": "a-1.b-2"}) == (204, None)


@pytest.mark.parametrize("headers", [{}, {"Origin": ORIGIN}])
def test_session_admits_our_own_pages(served: Served, runtime: Runtime, headers: dict[str, str]) -> None:
    """Again and again, as native EventSource needs it."""
    for _ in range(2):
        assert granted(served, ALERTS, session(runtime, **headers))[0] == ["alerts"]


def test_session_is_made_here_too(served: Served) -> None:
    """A cookie is good for the host that set it, and streams have a host of their own."""
    answer = httpx2.post(f"{served.url}/sessions", headers=bearer())
    assert answer.status_code == 204
    assert granted(served, ALERTS, {"Cookie": answer.headers["set-cookie"].partition(";")[0]})[0] == ["alerts"]


def test_session_from_a_foreign_page_is_refused(served: Served, runtime: Runtime) -> None:
    """The Origin is checked."""
    assert refused(served, ALERTS, session(runtime, Origin="https://evil.example")) == (403, "forbidden")


@pytest.mark.parametrize(
    ("target", "headers", "status", "code"),
    [
        (ALERTS, {}, 401, "unauthorized"),
        (ALERTS, {"Authorization": "Bearer nonsense"}, 401, "unauthorized"),
        (ALERTS, {"Cookie": f"{COOKIE}=nonsense"}, 401, "unauthorized"),
        ("/topics/nothing/stream", LONG, 404, "unknown_topic"),
        ("/topics/metrics/stream", LONG, 404, "unknown_topic"),  # pattern = polling
        (f"{ALERTS}?after=nonsense", LONG, 400, "invalid_cursor"),
        (f"{ALERTS}?after=a-1.b-2", LONG, 400, "invalid_cursor"),
        (f"{BOTH}&after=a-1", LONG, 400, "invalid_cursor"),
        (f"{BOTH}&after=a-1.**", LONG, 400, "invalid_cursor"),
        (f"{ALERTS}?recent=101", LONG, 400, "invalid"),
        (f"{ALERTS}?recent=-1", LONG, 400, "invalid"),
        ("/stream?topic=alerts&topic=alerts", LONG, 400, "invalid"),
        ("/stream", LONG, 400, "invalid"),
        ("/stream?" + "&".join(f"topic=chat/{n}" for n in range(21)), LONG, 400, "invalid"),
    ],
)
def test_refusal_is_a_problem_before_the_stream(served: Served, target: str, headers: dict[str, str], status: int, code: str) -> None:
    """No stream begins that would end with an error."""
    assert refused(served, target, headers) == (status, code)
    assert not served.hub.asked


def test_client_that_may_not_come_back_is_stopped_for_good(served: Served, runtime: Runtime) -> None:
    """204: a session that has ended, or that does not admit any more, of a client that was here before."""
    back = {"Last-Event-ID": "a-1"}
    assert refused(served, ALERTS, {"Cookie": f"{COOKIE}=ended"} | back) == (204, None)
    assert refused(served, ALERTS, session(runtime, Origin="https://evil.example") | back) == (204, None)
    assert refused(served, f"{BOTH}&ticket={runtime.tickets.issue('sse', ('alerts',), principal())}", {"Last-Event-ID": "a-1.b-2"}) == (
        204,
        None,
    )
    assert refused(served, ALERTS, {"Authorization": "Bearer nonsense"} | back) == (401, "unauthorized")


def test_public_topic_asks_for_nothing(served: Served, runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cookie that has ended does not shut anybody out of what is public, and no time ends the stream."""
    feature = runtime.features["alerts"]
    object.__setattr__(feature.access, "read", "public")
    assert granted(served, ALERTS, {"Cookie": f"{COOKIE}=ended"})[2] == math.inf


def test_who_comes_while_it_drains_is_sent_elsewhere(served: Served) -> None:
    """Not an error, after which EventSource would stop for good."""
    served.app.state.draining.now = True
    answer = httpx2.get(served.url + ALERTS, headers=bearer(), timeout=5)
    assert answer.status_code == 200
    assert answer.text.startswith("event: reconnect\nretry: ")


def test_readyz_tells_the_truth(served: Served) -> None:
    """Red while draining; healthz stays green."""
    assert httpx2.get(f"{served.url}/readyz").status_code == 200
    served.app.state.draining.now = True
    assert httpx2.get(f"{served.url}/readyz").status_code == 503
    assert httpx2.get(f"{served.url}/healthz").status_code == 200


def test_publish_is_heard_at_once(served: Served) -> None:
    """In the log, and then with the readers of this process."""
    body = {"type": "note", "data": 1}
    answer = httpx2.post(f"{served.url}/topics/alerts/events", json=body, headers=bearer("job", role="service"))
    assert answer.status_code == 201
    until(lambda: served.hub.heard)
    assert served.hub.heard[0].cursor == Cursor(answer.json()["epoch"], 1)
