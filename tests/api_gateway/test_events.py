"""The events have the keys and the types of AWS's: tests/events/websocket_*.json.

Those files have the shape of the guide's example of an authorizer's input ("Control access to WebSocket APIs with AWS
Lambda REQUEST authorizers") and of the events of AWS's Powertools (tests/events/apiGateway*WebSocket*.json), with values
of our own; `authorizer` in requestContext as in the log of boto/boto3#3789.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from .clock import VirtualClock
from .events import Deployment, Events, Request
from .function import Event
from .gateway import WebSocketApi
from .helpers import Client, Spy, gateway, policy

EVENTS = Path(__file__).parent.parent / "events"


def shape(value: Any) -> Any:
    """Keys and types; of a list its items'."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    return [shape(item) for item in value] if isinstance(value, list) else type(value)


def life(api: WebSocketApi, **request: Any) -> None:
    """A connection, a message, a close."""
    client = Client(api, **request)
    client.send('{"action":"ping"}')
    client.connection.close()


@pytest.fixture
def seen(clock: VirtualClock) -> dict[str, Event]:
    """One event of each kind, with an authorizer, a ticket and a browser."""
    spy, authorizer = Spy(), Spy(policy())
    api = gateway(clock, routes=dict.fromkeys(("$connect", "$default", "$disconnect"), spy), authorizer=authorizer)
    life(api, query={"ticket": "a-ticket"}, headers={"User-Agent": "curl/8.0"})
    return dict(zip(("authorizer", "connect", "message", "disconnect"), [*authorizer.events, *spy.events], strict=True))


@pytest.mark.parametrize("kind", ["authorizer", "connect", "message", "disconnect"])
def test_event_has_the_shape_of_aws(seen: dict[str, Event], kind: str) -> None:
    """No key more, no key less, each of AWS's type."""
    assert shape(seen[kind]) == shape(json.loads((EVENTS / f"websocket_{kind}.json").read_text()))


def test_without_an_authorizer_and_a_query_their_keys_are_left_out(clock: VirtualClock) -> None:
    """As in the events of an open API: not None, not {}, but absent."""
    spy = Spy()
    life(gateway(clock, routes=dict.fromkeys(("$connect", "$default", "$disconnect"), spy)))
    assert not any("authorizer" in event["requestContext"] or "queryStringParameters" in event for event in spy.events)
    assert spy.events[0]["requestContext"]["identity"] == {"sourceIp": "203.0.113.7"}


def test_an_authorizer_without_a_query_gets_empty_objects(clock: VirtualClock) -> None:
    """There the keys are always present."""
    authorizer = Spy(policy())
    Client(gateway(clock, authorizer=authorizer))
    assert (authorizer.events[0]["queryStringParameters"], authorizer.events[0]["multiValueQueryStringParameters"]) == ({}, {})


def test_times_are_milliseconds_and_the_common_log_format(seen: dict[str, Event]) -> None:
    """A TTL made of requestTimeEpoch without dividing by 1,000 never comes."""
    context = seen["message"]["requestContext"]
    assert context["connectedAt"] == context["requestTimeEpoch"] == 1_800_000_000_000
    assert context["requestTime"] == "15/Jan/2027:08:00:00 +0000"


def test_ids_are_of_one_connection_and_many_requests(seen: dict[str, Event]) -> None:
    """The connection id stays, each request has its own, which is also the extended one."""
    contexts = [event["requestContext"] for event in seen.values()]
    assert len({context["connectionId"] for context in contexts}) == 1
    assert len({context["requestId"] for context in contexts}) == 4
    assert all(context["requestId"] == context["extendedRequestId"] and len(context["requestId"]) == 16 for context in contexts)


def test_method_arn_is_that_of_connect(seen: dict[str, Event]) -> None:
    """It ends with the stage and $connect."""
    assert seen["authorizer"]["methodArn"] == "arn:aws:execute-api:us-east-1:123456789012:abcdef1234/live/$connect"


def test_a_request_shows_its_headers_and_subprotocols(clock: VirtualClock) -> None:
    """As the client sent them, and the list of subprotocols in one header."""
    connect = Spy({"statusCode": 200, "headers": {"Sec-WebSocket-Protocol": "v1"}})
    Client(gateway(clock, routes={"$connect": connect}), headers={"origin": "https://shop.example"}, subprotocols=("v1", "v2"))
    headers = connect.events[0]["headers"]
    assert (headers["origin"], headers["Sec-WebSocket-Protocol"]) == ("https://shop.example", "v1, v2")
    assert connect.events[0]["multiValueHeaders"] == {name: [value] for name, value in headers.items()}


def test_a_function_that_changes_its_event_changes_no_other(clock: VirtualClock) -> None:
    """Each invocation has an event of its own."""

    def greedy(event: Event, _context: object) -> dict[str, int]:
        event["requestContext"]["identity"].clear()
        event["requestContext"].clear()
        return {"statusCode": 200}

    api = gateway(clock, routes={"$connect": greedy, "$default": (spy := Spy())})
    Client(api).send("{}")
    assert spy.events[0]["requestContext"]["identity"] == {"sourceIp": "203.0.113.7"}


def test_url_is_what_a_client_opens() -> None:
    """The stage is the path, the query is encoded."""
    url = Request(query={"ticket": "a b"}).url(Deployment())
    assert url == "wss://abcdef1234.execute-api.us-east-1.amazonaws.com/live?ticket=a+b"


def test_events_have_no_memory_of_their_maker(clock: VirtualClock) -> None:
    """Two APIs with the same random numbers say the same."""
    from random import Random

    first, second = (Events(Deployment(), clock, Random(5)) for _ in range(2))
    assert first.caller(Request()) == second.caller(Request())
