"""Messages of a client: limits, routes, answers."""

import json
from typing import Any

import pytest

from .clock import VirtualClock
from .helpers import Client, Spy, gateway
from .limits import Rate

KB = 1024


def complaint(client: Client) -> str:
    """The message of the only frame, which has the ids and nothing else."""
    (frame,) = map(json.loads, client.frames)
    assert frame.keys() == {"message", "connectionId", "requestId"}
    assert frame["connectionId"] == client.id
    return str(frame["message"])


def test_a_binary_frame_closes_with_1003() -> None:
    """AWS takes text only."""
    client = Client(gateway())
    client.send(b"{}")
    assert client.closed == (1003, "")


@pytest.mark.parametrize(
    ("size", "fragment", "closed"), [(128, True, False), (128.001, True, True), (32, False, False), (32.001, False, True)]
)
def test_what_is_too_large_closes_with_1009(size: float, fragment: bool, closed: bool) -> None:
    """128 KB a message, 32 KB a frame, both inclusive; a client that does not fragment has 32 KB."""
    client = Client(gateway())
    client.send("x" * round(size * KB), fragment=fragment)
    assert client.closed == ((1009, "") if closed else None)


def test_size_is_counted_in_bytes() -> None:
    """Characters outside ASCII weigh what UTF-8 makes of them."""
    client = Client(gateway())
    client.send("é" * (64 * KB + 1))
    assert client.closed == (1009, "")


@pytest.mark.parametrize(
    ("body", "route"),
    [
        ('{"action":"publish"}', "publish"),
        ('{"action":"other"}', "$default"),
        ('{"action":5}', "$default"),
        ('{"action":"$connect"}', "$default"),
        ('{"action":"$disconnect"}', "$default"),
        ("{}", "$default"),
        ("[]", "$default"),
        ("publish", "$default"),
        ("", "$default"),
        ("[" * 100_000, "$default"),
    ],
)
def test_route_is_selected_from_the_body(body: str, route: str) -> None:
    """The property names the route; what is no JSON, or names none, is $default's."""
    spy = Spy()
    Client(gateway(routes=dict.fromkeys(("publish", "$default", "$connect", "$disconnect"), spy))).send(body)
    assert spy.events[-1]["requestContext"]["routeKey"] == route
    assert spy.events[-1]["body"] == body


@pytest.mark.parametrize("expression", ["$request.body.message.kind", "${request.body.message.kind}"])
def test_selection_may_look_deeper(expression: str) -> None:
    """A path of properties, with or without braces."""
    spy = Spy()
    Client(gateway(routes={"chat": spy}, route_selection=expression)).send('{"message": {"kind": "chat"}}')
    assert len(spy.events) == 1


def test_without_a_route_the_client_reads_forbidden() -> None:
    """Neither the route nor $default: AWS's frame, spaced as AWS spaces it; the connection stays."""
    client = Client(gateway(routes={"publish": Spy()}))
    client.send('{"action":"other"}')
    assert complaint(client) == "Forbidden"
    assert client.frames[0].startswith(f'{{"message": "Forbidden", "connectionId":"{client.id}", "requestId":"')


@pytest.mark.parametrize(
    "answer", [ValueError("boom"), {}, "ok", 5, {"statusCode": 200, "body": {}}, {"statusCode": 200, "body": object()}]
)
def test_a_function_that_fails_is_an_internal_server_error(answer: object) -> None:
    """The client reads AWS's frame, no word of what was raised, and stays connected; the test finds it in `failures`."""
    api = gateway(routes={"$default": Spy(answer)})
    client = Client(api)
    client.send("{}")
    assert complaint(client) == "Internal server error"
    assert (len(api.failures), client.closed) == (1, None)


def test_a_failure_names_the_request() -> None:
    """requestId in the frame is that of the event, so the log can be searched for it."""
    spy = Spy(ValueError())
    client = Client(gateway(routes={"$default": spy}))
    client.send("{}")
    assert json.loads(client.frames[0])["requestId"] == spy.events[0]["requestContext"]["requestId"]


def test_an_answer_reaches_the_client_only_by_a_route_response() -> None:
    """Without "two-way communication" a body goes nowhere."""
    spy = Spy({"statusCode": 200, "body": "pong"})
    client = Client(gateway(routes={"ping": spy, "$default": spy}, route_responses={"ping"}))
    client.send("hello")
    client.send('{"action":"ping"}')
    assert client.frames == ["pong"]


def test_a_function_that_is_late_is_not_awaited(clock: VirtualClock) -> None:
    """After 29 s the client reads of a time-out; what the function did is done, its answer is lost."""

    def slow(_event: object, _context: object) -> dict[str, Any]:
        clock.sleep(29.5)
        return {"statusCode": 200, "body": "late"}

    client = Client(gateway(clock, routes={"$default": slow}, route_responses={"$default"}))
    client.send("{}")
    assert complaint(client) == "Endpoint request timed out"


def test_a_function_that_outlives_its_own_time_out_has_failed(clock: VirtualClock) -> None:
    """Lambda ends it; for the gateway that is a failure like another."""
    client = Client(gateway(clock, routes={"$default": lambda *_: clock.sleep(3.5)}, function_seconds=3))
    client.send("{}")
    assert complaint(client) == "Internal server error"


def test_context_counts_down_on_the_clock(clock: VirtualClock) -> None:
    """A function sees how much of its own time is left, and never less than nothing."""
    spy = Spy()
    Client(gateway(clock, routes={"$default": spy}, function_seconds=10)).send("{}")
    (context,) = spy.contexts
    assert (context.get_remaining_time_in_millis(), context.function_name, len(context.aws_request_id)) == (10_000, "$default", 36)
    clock.sleep(4)
    assert context.get_remaining_time_in_millis() == 6_000
    clock.sleep(10)
    assert context.get_remaining_time_in_millis() == 0


def test_stage_throttles_messages(clock: VirtualClock) -> None:
    """Beyond the stage's burst no function runs and the client reads "Too Many Requests"; a second brings the rate back."""
    spy = Spy()
    client = Client(gateway(clock, routes={"$default": spy}, stage_rate=Rate(1, 3)))
    for _ in range(3):
        client.send("{}")
    assert complaint(client) == "Too Many Requests"
    clock.run_for(1)
    client.send("{}")
    assert len(spy.events) == 3


def test_account_rate_is_shared_by_messages_and_posts(clock: VirtualClock) -> None:
    """Who posts too much throttles the clients, in all APIs of the account."""
    api = gateway(clock, account_rate=Rate(1, 3))
    client = Client(api)
    assert [api.post_to_connection(client.id, b"hi") for _ in range(3)] == [200, 200, 429]
    client.frames.clear()
    client.send("{}")
    assert complaint(client) == "Too Many Requests"


def test_a_closed_connection_sends_nothing() -> None:
    """As in a browser, it is no error; no function runs."""
    spy = Spy()
    client = Client(gateway(routes={"$default": spy}))
    client.connection.close()
    client.send("{}")
    assert not spy.events
