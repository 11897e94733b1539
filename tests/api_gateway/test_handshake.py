"""Connecting: who gets in, and with which status the others are refused."""

from typing import Any

import pytest

from .clock import VirtualClock
from .gateway import WebSocketApi
from .handshake import Refused
from .helpers import Client, Spy, gateway, policy


def status(api: WebSocketApi, **request: Any) -> int:
    """What the handshake ends with; 0 for a connection."""
    try:
        api.connect(**request)
    except Refused as refused:
        return refused.status
    return 0


def test_without_an_authorizer_and_connect_anybody_gets_in() -> None:
    """Both are optional."""
    assert status(gateway()) == 0


def test_allow_lets_in_and_every_event_says_whom() -> None:
    """The principal and the context are in requestContext.authorizer of $connect, messages and $disconnect."""
    spy = Spy()
    api = gateway(routes=dict.fromkeys(("$connect", "$default", "$disconnect"), spy), authorizer=Spy(policy(context={"n": 1})))
    client = Client(api)
    client.send("hello")
    client.connection.close()
    assert [event["requestContext"]["authorizer"] for event in spy.events] == [{"principalId": "ann", "n": "1"}] * 3


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Exception("Unauthorized"), 401),
        (policy("Deny"), 403),
        (policy("Allow", "arn:aws:execute-api:us-east-1:1:other/live/$connect"), 403),
        (Exception("unauthorized"), 500),
        (KeyError("ticket"), 500),
        ({"isAuthorized": True}, 500),
        (policy(context={"topics": ["a"]}), 500),
        (policy(context={"n": object()}), 500),
    ],
)
def test_authorizer_refuses(answer: object, expected: int) -> None:
    """401 for the exception "Unauthorized", 403 for a denial, 500 for whatever else goes wrong; $connect is not asked."""
    connect = Spy()
    assert status(gateway(routes={"$connect": connect}, authorizer=Spy(answer))) == expected
    assert not connect.events


def test_a_policy_of_an_authorizer_that_is_late_is_not_awaited(clock: VirtualClock) -> None:
    """An authorizer gets 29 s; what is allowed later is a 500."""

    def slow(_event: object, _context: object) -> dict[str, Any]:
        clock.sleep(29.5)
        return policy()

    assert status(gateway(clock, authorizer=slow)) == 500


@pytest.mark.parametrize("query", [{}, {"ticket": ""}, {"Ticket": "a"}])
def test_a_missing_identity_source_is_401_without_a_call(query: dict[str, str]) -> None:
    """The authorizer is not invoked, so nothing is paid, where the ticket is missing or empty."""
    authorizer = Spy(policy())
    api = gateway(authorizer=authorizer, identity_sources=("route.request.querystring.ticket",))
    assert status(api, query=query) == 401
    assert not authorizer.events


def test_every_identity_source_is_needed() -> None:
    """A header counts whatever its case; one of two sources is not enough."""
    sources = ("route.request.querystring.ticket", "route.request.header.Origin")
    api = gateway(authorizer=Spy(policy()), identity_sources=sources)
    assert status(api, query={"ticket": "a"}) == 401
    assert status(api, query={"ticket": "a"}, headers={"origin": "https://shop.example"}) == 0


def test_an_unknown_identity_source_is_a_mistake_of_the_test() -> None:
    """Nothing is silently taken as present."""
    with pytest.raises(ValueError, match=r"stageVariables\.x"):
        gateway(authorizer=Spy(), identity_sources=("stageVariables.x",))


@pytest.mark.parametrize("code", [301, 400, 401, 403, 429, 501])
def test_connect_refuses_with_its_own_status(code: int) -> None:
    """Whatever $connect answers but 2xx is what the client sees, and it is not connected."""
    api = gateway(routes={"$connect": Spy({"statusCode": code})})
    assert (status(api), api.open_connections) == (code, 0)


@pytest.mark.parametrize("answer", [ValueError("boom"), "yes", {"statusCode": "200"}, {"statusCode": 200, "body": {}}])
def test_a_connect_that_fails_is_502(answer: object) -> None:
    """A function that raises, or answers nonsense, lets nobody in, and the failure is kept."""
    api = gateway(routes={"$connect": Spy(answer)})
    assert (status(api), len(api.failures)) == (502, 1)


def test_a_connect_that_is_late_is_504(clock: VirtualClock) -> None:
    """The integration time-out holds for $connect too."""
    api = gateway(clock, routes={"$connect": lambda *_: clock.sleep(29.5)})
    assert status(api) == 504


def test_posting_while_connect_runs_is_410(clock: VirtualClock) -> None:
    """There is no connection before $connect has answered."""
    seen: list[object] = []

    def connect(event: dict[str, Any], _context: object) -> dict[str, int]:
        connection = event["requestContext"]["connectionId"]
        seen.extend([api.post_to_connection(connection, b"hi"), api.get_connection(connection)[0], api.delete_connection(connection)])
        return {"statusCode": 200}

    api = gateway(clock, routes={"$connect": connect})
    client = Client(api)
    assert seen == [410, 410, 410]
    assert api.post_to_connection(client.id, b"hi") == 200


@pytest.mark.parametrize("header", ["Sec-WebSocket-Protocol", "sec-websocket-protocol"])
def test_subprotocol_is_what_connect_answers(header: str) -> None:
    """The client learns which of its offers was taken."""
    api = gateway(routes={"$connect": Spy({"statusCode": 200, "headers": {header: "v2"}})})
    assert api.connect(subprotocols=("v1", "v2")).protocol == "v2"


@pytest.mark.parametrize(
    ("offered", "answered"), [(("v1",), {}), (("v1",), {"Sec-WebSocket-Protocol": "v3"}), ((), {"Sec-WebSocket-Protocol": "v1"})]
)
def test_a_subprotocol_that_is_not_echoed_fails_the_client(offered: tuple[str, ...], answered: dict[str, str]) -> None:
    """The gateway says 101, the client gives up, $disconnect follows."""
    gone = Spy()
    api = gateway(routes={"$connect": Spy({"statusCode": 200, "headers": answered}), "$disconnect": gone})
    assert (status(api, subprotocols=offered), api.open_connections) == (101, 0)
    assert gone.events[0]["requestContext"]["disconnectStatusCode"] == 1006


def test_500_new_connections_a_second_then_429(clock: VirtualClock) -> None:
    """The account takes a burst of 500 and 500 a second; the next gets 429."""
    api = gateway(clock)
    assert [status(api) for _ in range(501)] == [0] * 500 + [429]
    clock.run_for(0.125)
    assert [status(api) for _ in range(63)] == [0] * 62 + [429]


def test_url_of_more_than_4096_characters_is_refused() -> None:
    """A ticket must fit into the URL."""
    api = gateway()
    assert status(api, query={"ticket": "x" * 4_000}) == 0
    assert status(api, query={"ticket": "x" * 4_096}) == 414
