"""The handlers of the WebSocket pattern behind the API Gateway double: what a client sees, whatever it sends."""

import json
import logging
from pathlib import Path
from random import Random
from typing import Any

import pytest

from functions.websocket.routes import SUBPROTOCOL, admission_of, context_of
from realtime.errors import Code, RealtimeError
from realtime.policy import Principal
from realtime.websocket import Admission
from tests.api_gateway.clock import VirtualClock
from tests.api_gateway.connection import Connection
from tests.api_gateway.faults import Faults
from tests.api_gateway.handshake import Refused
from tests.cloud import Cloud
from tests.helpers import event
from tests.world import websocket_features

LOBBY = "chat/lobby"
SHOP = {"Origin": "https://shop.example"}


class Browser:
    """A connection, what it was sent, and how it was closed."""

    def __init__(self, cloud: Cloud, sub: str = "ann", topic: str = LOBBY, **how: Any) -> None:
        self.frames: list[dict[str, Any]] = []
        self.closed: list[int] = []
        self.connection: Connection = cloud.dial(
            sub, topic, on_frame=lambda text: self.frames.append(json.loads(text)), on_close=lambda code, _: self.closed.append(code), **how
        )

    def say(self, **frame: object) -> dict[str, Any]:
        self.connection.send(json.dumps(frame))
        return self.frames[-1]


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    return Cloud(websocket_features(tmp_path), VirtualClock(), Random(1), Faults())


def test_two_browsers_talk(cloud: Cloud) -> None:
    """Connect with a ticket, subscribe, publish: both get the event, the publisher the ack after it."""
    ann, bob = Browser(cloud, "ann"), Browser(cloud, "bob")
    for browser in (ann, bob):
        browser.say(action="subscribe", topic=LOBBY)
    ann.say(action="publish", topic=LOBBY, type="any", data="hi", id="1")
    assert [frame["action"] for frame in ann.frames] == ["subscribed", "event", "ack"]
    assert bob.frames[-1]["data"] == "hi"


def test_backend_s_append_reaches_the_browser(cloud: Cloud) -> None:
    """By the log's stream and the broadcaster; what a browser published does not come a second time."""
    ann = Browser(cloud)
    ann.say(action="subscribe", topic=LOBBY)
    cloud.log.append(cloud.features.topic(LOBBY), [event("from a job")])
    ann.say(action="publish", topic=LOBBY, type="any", data="hi", id="1")
    assert len(cloud.store.records) == 1
    cloud.pump()
    assert [f["data"] for f in ann.frames if f["action"] == "event"] == ["hi", "from a job"]


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        ({}, SHOP, 403),
        ({"ticket": "made-up"}, SHOP, 403),
        ({}, {"Authorization": "Bearer nonsense"}, 403),
    ],
)
def test_stranger_is_refused_at_the_handshake(cloud: Cloud, query: dict[str, str], headers: dict[str, str], status: int) -> None:
    """And leaves no row."""
    with pytest.raises(Refused) as refused:
        cloud.api.connect(query=query, headers=headers)
    assert refused.value.status == status
    assert cloud.rows.connections == {}


@pytest.mark.parametrize(("use", "origin"), [("sse", "https://shop.example"), ("websocket", "https://evil.example"), ("websocket", "null")])
def test_ticket_of_another_use_or_page_is_refused(cloud: Cloud, use: Any, origin: str) -> None:
    """A ticket for a stream opens no socket; another origin's page opens none with a stolen one."""
    ticket = cloud.tickets.issue(use, (LOBBY,), Principal("ann", cloud.clock() + 60, {}))
    with pytest.raises(Refused):
        cloud.api.connect(query={"ticket": ticket}, headers={"Origin": origin})


def test_ticket_is_spent_by_its_connection(cloud: Cloud) -> None:
    """A second connection with the same URL is refused."""
    ticket = cloud.tickets.issue("websocket", (LOBBY,), Principal("ann", cloud.clock() + 60, {}))
    cloud.api.connect(query={"ticket": ticket}, headers=SHOP)
    with pytest.raises(Refused):
        cloud.api.connect(query={"ticket": ticket}, headers=SHOP)


def test_log_says_why_and_never_the_credential(cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    """The reason of a refusal, without ticket or token."""
    caplog.set_level(logging.INFO)
    with pytest.raises(Refused):
        cloud.api.connect(query={"ticket": "s3cret-ticket"}, headers={"Authorization": "Bearer s3cret-token", **SHOP})
    assert "unauthorized: the ticket is spent" in caplog.text
    assert "s3cret" not in caplog.text


def test_subprotocol_is_echoed(cloud: Cloud) -> None:
    """A browser that offered one and got none back would not connect."""
    ticket = cloud.tickets.issue("websocket", (LOBBY,), Principal("ann", cloud.clock() + 60, {}))
    headers = {"Sec-WebSocket-Protocol": f"other, {SUBPROTOCOL}", **SHOP}
    connection = cloud.api.connect(query={"ticket": ticket}, headers=headers, subprotocols=("other", SUBPROTOCOL))
    assert connection.protocol == SUBPROTOCOL


@pytest.mark.parametrize(("message", "code"), [(b"binary", 1003), ("x" * 200_000, 1009)])
def test_gateway_itself_closes_what_it_does_not_carry(cloud: Cloud, message: Any, code: int) -> None:
    """Binary frames with 1003, more than 128 KB with 1009; nobody else is disturbed, and the row goes."""
    ann, bob = Browser(cloud), Browser(cloud, "bob")
    ann.connection.send(message)
    assert (ann.closed, bob.closed, len(cloud.rows.connections)) == ([code], [], 1)


@pytest.mark.parametrize("body", ["hello", "[1]", '{"action":"fly"}', '{"action":"$connect"}', '{"action":"$disconnect"}', "[" * 90_000])
def test_odd_messages_get_an_error_frame(cloud: Cloud, body: str) -> None:
    """Text that is no JSON, unknown actions, the gateway's own routes, deep nesting: the connection stays."""
    ann = Browser(cloud)
    ann.connection.send(body)
    assert ann.frames[-1]["code"] in ("invalid", "too_large")
    assert ann.say(action="ping")["action"] == "pong"


@pytest.mark.parametrize("failure", [RealtimeError(Code.UNAVAILABLE, "the table is down"), ZeroDivisionError()])
def test_connection_without_a_row_never_opens(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, failure: Exception) -> None:
    """The handshake fails, so the client tries again; half a connection would be closed at its first message."""

    def put(_: object) -> None:
        raise failure

    monkeypatch.setattr(cloud.rows, "put", put)
    with pytest.raises(Refused) as refused:
        Browser(cloud)
    assert refused.value.status in (500, 503)


def test_largest_admission_fits_the_authorizer_s_answer(cloud: Cloud) -> None:
    """API Gateway takes 8 KB: what is longer is refused when the ticket is made, or by name at the handshake."""
    topics = tuple(f"chat/{number:0>95}" for number in range(20))
    with pytest.raises(RealtimeError, match="2000 characters"):
        cloud.tickets.issue("websocket", (*topics, LOBBY), Principal("a" * 256, cloud.clock() + 60, {}))
    claims: dict[str, object] = {"teams": ["x" * 95] * 20}
    ticket = cloud.tickets.issue("websocket", topics, Principal("a" * 256, cloud.clock() + 60, claims))
    assert cloud.api.connect(query={"ticket": ticket}, headers=SHOP).id


def test_failure_of_ours_is_an_error_frame(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never a traceback, and never silence."""
    ann = Browser(cloud)
    monkeypatch.setattr(cloud.rows, "count", lambda *_, **__: 1 / 0)
    assert ann.say(action="ping")["code"] == "internal"
    assert cloud.api.failures == []


def test_flood_ends_one_connection_and_disturbs_nobody(cloud: Cloud) -> None:
    """A thousand messages in a second: served, refused by name, closed."""
    ann, bob = Browser(cloud), Browser(cloud, "bob")
    bob.say(action="subscribe", topic=LOBBY)
    for number in range(1000):
        ann.connection.send(json.dumps({"action": "publish", "topic": LOBBY, "type": "any", "data": number, "id": str(number)}))
    assert ann.closed == [1000]
    assert "the connection is closed" in ann.frames[-1]["message"]
    assert len([f for f in bob.frames if f["action"] == "event"]) == 61
    assert bob.say(action="ping")["action"] == "pong"


def test_nothing_is_posted_inside_connect(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be 410: the client speaks first."""
    monkeypatch.setattr(cloud.api, "post_to_connection", lambda *_: pytest.fail("posted"))
    Browser(cloud)
    assert cloud.api.failures == []


@pytest.mark.parametrize("scope", [None, (), (LOBBY, "price")])
def test_admission_survives_the_authorizer_s_context(scope: tuple[str, ...] | None) -> None:
    """API Gateway passes text only."""
    admission = Admission(Principal("ann|ø", 1_900_000_000.0, {"teams": ["red"], "role": "service"}), scope)
    assert admission_of(json.loads(json.dumps(context_of(admission)))) == admission


def test_poison_record_is_named_and_the_rest_waits(cloud: Cloud) -> None:
    """The stream is in order: what comes after a failure is tried again after it."""
    ann = Browser(cloud)
    ann.say(action="subscribe", topic=LOBBY)
    for number in range(2):
        cloud.log.append(cloud.features.topic(LOBBY), [event(number)])
    first, second = cloud.store.records
    bad = {"dynamodb": {"SequenceNumber": "7", "NewImage": {}}}
    answer = cloud.broadcaster.stream({"Records": [first, bad, second]}, _Context())
    assert answer == {"batchItemFailures": [{"itemIdentifier": "7"}]}
    assert [frame["data"] for frame in ann.frames if frame["action"] == "event"] == [0]


def test_messages_of_the_queue_fail_each_by_itself(cloud: Cloud) -> None:
    """A feature that is gone, a body that is nonsense: the others are pushed."""
    records = [{"messageId": name, "body": body} for name, body in (("a", "{"), ("b", '{"topic":"gone"}'))]
    answer = cloud.broadcaster.queue({"Records": records}, _Context())
    assert [failure["itemIdentifier"] for failure in answer["batchItemFailures"]] == ["a", "b"]


class _Context:
    def get_remaining_time_in_millis(self) -> int:
        return 30_000
