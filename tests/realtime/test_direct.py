"""Direct down: what a process knows of it, what it refuses, and the operator's command."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from local.tables import make_access_table, make_connections_table
from realtime.direct import KNOWN_SECONDS, MAX_RETRY_SECONDS, Direction, Directions, DirectionStore, main
from realtime.dynamo import DynamoDirections
from realtime.errors import Code, RealtimeError
from realtime.memory import MemoryDirections
from realtime.policy import Principal
from realtime.runtime import Runtime
from realtime.websocket import Admission
from realtime.websocket_runtime import websocket
from tests.helpers import Clock, feature

ORDERS = feature("orders", pattern="fallback")


class Counted(MemoryDirections):
    """How often it was asked, and what it fails with."""

    reads = 0
    failure: Exception | None = None

    def direction(self, feature: str) -> Direction | None:
        self.reads += 1
        if self.failure:
            raise self.failure
        return super().direction(feature)


@pytest.fixture
def rows() -> Counted:
    return Counted()


@pytest.fixture
def directions(rows: Counted, clock: Clock) -> Directions:
    return Directions(rows, clock)


@pytest.fixture(params=["memory", "dynamo"])
def stored(request: pytest.FixtureRequest) -> Iterator[DirectionStore]:
    """Each store in turn."""
    if request.param == "memory":
        yield MemoryDirections()
        return
    with mock_aws():
        client = boto3.client("dynamodb", region_name="us-east-1")
        make_access_table(client)
        yield DynamoDirections(client, "access")


def polling(clock: Clock, seconds: float = 600) -> Direction:
    return Direction("polling", 10, clock() + seconds)


def refusal(directions: Directions, transport: str) -> RealtimeError | None:
    try:
        directions.check([ORDERS], transport)  # type: ignore[arg-type]
    except RealtimeError as refused:
        return refused
    return None


def test_store_gives_back_what_was_put(stored: DirectionStore, clock: Clock) -> None:
    """The newest, until it is removed; removing twice is no error."""
    assert stored.direction("orders") is None
    for direction in (Direction("sse", 5, clock()), polling(clock)):
        stored.put("orders", direction)
        assert stored.direction("orders") == direction
    stored.remove("orders")
    stored.remove("orders")
    assert stored.direction("orders") is None


@pytest.mark.parametrize(("down_to", "refused"), [("polling", ["websocket", "sse"]), ("sse", ["websocket"])])
def test_better_transports_are_refused(directions: Directions, rows: Counted, clock: Clock, down_to: str, refused: list[str]) -> None:
    """The one that is named, and what is less, serve on."""
    rows.put("orders", polling(clock)._replace(transport=down_to))  # type: ignore[arg-type]
    assert [transport for transport in ("websocket", "sse", "polling") if refusal(directions, transport)] == refused


def test_refusal_says_how_to_go_on(directions: Directions, rows: Counted, clock: Clock) -> None:
    """The code, what is left (which the edge spreads by half, to 300 s), the seconds between polls, and which feature it is."""
    rows.put("orders", polling(clock, 50))
    refused = refusal(directions, "sse")
    assert refused
    assert (refused.code, refused.retry_after) == (Code.UNAVAILABLE, 50)
    assert {"code": "unavailable", "poll_after": 10, "features": ["orders"]}.items() <= refused.problem().items()
    rows.put("orders", polling(clock, 5_000))
    clock.now += KNOWN_SECONDS
    assert (again := refusal(directions, "sse"))
    assert again.retry_after == MAX_RETRY_SECONDS


def test_direction_ends_by_itself(directions: Directions, rows: Counted, clock: Clock) -> None:
    """At its time, though the row is still there: TTL deletes within days."""
    rows.put("orders", polling(clock, 5))
    assert directions.poll_after(ORDERS) == 10
    clock.now += 5
    assert directions.poll_after(ORDERS) == 0
    assert not refusal(directions, "websocket")


def test_one_read_in_ten_seconds(directions: Directions, rows: Counted, clock: Clock) -> None:
    """Half a unit, however many ask; and what changes is noticed then. A clock that is set back does not make it deaf."""
    for _ in range(3):
        assert directions.of(ORDERS) is None
    rows.put("orders", polling(clock))
    assert (rows.reads, directions.of(ORDERS)) == (1, None)
    clock.now += KNOWN_SECONDS
    assert directions.of(ORDERS)
    clock.now -= 3_600
    directions.of(ORDERS)
    assert rows.reads == 3


@pytest.mark.parametrize("pattern", ["polling", "sse", "websocket"])
def test_other_patterns_cost_nothing(directions: Directions, rows: Counted, clock: Clock, pattern: str) -> None:
    """They have nowhere to go: nobody looks, whatever stands in the table."""
    rows.put("orders", polling(clock))
    directions.check([feature("orders", pattern=pattern, latency="1s")], "websocket")
    assert rows.reads == 0


@pytest.mark.parametrize("failure", [RealtimeError(Code.UNAVAILABLE, "down"), KeyError("transport"), ValueError("what")])
def test_store_that_fails_fails_nobody(directions: Directions, rows: Counted, clock: Clock, failure: Exception) -> None:
    """What was known last goes on, until its own end."""
    rows.put("orders", polling(clock, 60))
    directions.of(ORDERS)
    rows.failure = failure
    clock.now += KNOWN_SECONDS
    assert directions.of(ORDERS) == polling(clock, 60 - KNOWN_SECONDS)
    clock.now += 60
    assert directions.of(ORDERS) is None


def test_item_that_is_none_of_ours_is_not_followed(clock: Clock) -> None:
    """Written by hand: a transport that nobody knows directs nobody."""
    with mock_aws():
        client = boto3.client("dynamodb", region_name="us-east-1")
        make_access_table(client)
        item = {"id": {"S": "direct#orders"}, "transport": {"S": "pigeon"}, "poll_after": {"N": "1"}, "expires": {"N": "9999999999"}}
        client.put_item(TableName="access", Item=item)
        assert Directions(DynamoDirections(client, "access"), clock).of(ORDERS) is None


# The command


@pytest.fixture
def file(tmp_path: Path) -> str:
    file = tmp_path / "features.toml"
    file.write_text('[features.orders]\npattern = "fallback"\n\n[features.alerts]\npattern = "sse"\nlatency = "1s"\n')
    return str(file)


@pytest.fixture
def table() -> Iterator[DynamoDirections]:
    with mock_aws():
        client = boto3.client("dynamodb", region_name="us-east-1")
        make_access_table(client)
        yield DynamoDirections(client, "access")


def test_command_directs_and_takes_back(table: DynamoDirections, file: str, clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    """It says until when, and how soon it is noticed."""
    env = {"FEATURES": file, "ACCESS_TABLE": "access"}
    main(["orders", "polling", "--poll-after", "20", "--minutes", "5"], env, clock)
    assert table.direction("orders") == Direction("polling", 20, clock() + 300)
    assert capsys.readouterr().out == "orders: polling until 08:05:00 UTC, polls every 20 s; processes notice within 10 s\n"
    main(["orders", "--off", "--features", file, "--table", "access"], {}, clock)
    assert table.direction("orders") is None


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nothing", "polling"], "has no feature nothing: it has orders, alerts"),
        (["alerts", "polling"], "alerts has the pattern sse, and so nowhere to go"),
        (["orders", "websocket"], "invalid choice: 'websocket'"),
        (["orders"], "name a transport, sse or polling, or write --off"),
        (["orders", "sse", "--off"], "name a transport, sse or polling, or write --off"),
        (["orders", "sse", "--minutes", "0"], "must be a whole number from 1 to 1440"),
        (["orders", "sse", "--poll-after", "1.5"], "must be a whole number from 1 to 3600"),
        (["orders", "sse", "--table", ""], "ACCESS_TABLE is not set"),
        (["orders", "sse", "--features", "nowhere.toml"], "nowhere.toml: cannot be read"),
        (["orders", "sse", "--table", "other"], "the service's store does not answer"),
    ],
)
def test_command_says_what_is_wrong(
    table: DynamoDirections, file: str, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    """In a sentence, and without a traceback."""
    with pytest.raises(SystemExit) as ended:
        main(arguments, {"FEATURES": file, "ACCESS_TABLE": "access"})
    assert told in f"{ended.value} {capsys.readouterr().err}"
    assert table.direction("orders") is None


def test_command_without_a_region_says_so(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a machine that nobody has set up has none."""
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(SystemExit, match="no region is set: set AWS_REGION"):
        main(["orders", "--off"], {"FEATURES": file, "ACCESS_TABLE": "access"})


# Whoever has to know of it does


def environment(file: str) -> dict[str, str]:
    names = {"LOG_TABLE": "log", "ACCESS_TABLE": "access", "CONNECTIONS_TABLE": "connections", "SECRET_ARN": "arn"}
    return names | {
        "FEATURES": file,
        "WEBSOCKET_ENDPOINT": "https://api/live",
        "POSTS_PER_SECOND": "100",
        "FANOUT_QUEUE_URL": "https://queue",
    }


def test_processes_read_the_access_table(table: DynamoDirections, file: str) -> None:
    """What reads, streams and publishes is put together from the environment, and asks there."""
    table.put("orders", Direction("polling", 10, time.time() + 600))
    runtime = Runtime.from_env(environment(file))
    assert runtime.directions.poll_after(runtime.features["orders"]) == 10


def test_message_handlers_do_so_too(table: DynamoDirections, file: str) -> None:
    """The WebSocket functions' side of the conversation: a subscribe is refused."""
    table.put("orders", Direction("polling", 10, time.time() + 600))
    make_connections_table(boto3.client("dynamodb"))
    socket = websocket(environment(file))
    socket.open("a", Admission(Principal("ann", time.time() + 60, {}), None), int(time.time() * 1000))
    refused = json.loads(socket.receive("a", '{"action":"subscribe","topic":"orders"}') or b"")
    assert (refused["action"], refused["code"], refused["topic"], refused["poll_after"]) == ("error", "unavailable", "orders", 10)
