"""Rows of connections and subscriptions: the same over memory and DynamoDB."""

from collections import Counter
from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws

from local.tables import make_connections_table
from realtime.connections import BURST_MS, MESSAGE_MS, Connection, Connections, ConnectionStore, shard_key, shard_of, shards
from realtime.errors import RealtimeError
from realtime.memory import MemoryConnections
from realtime.policy import Principal
from tests.helpers import Clock, feature, topic

LOBBY = topic("chat/lobby", rooms=True)
KEY = "chat/lobby#0"


@pytest.fixture(params=["memory", "dynamo"])
def rows(request: pytest.FixtureRequest) -> Iterator[ConnectionStore]:
    if request.param == "memory":
        yield MemoryConnections()
        return
    from realtime.dynamo_connections import DynamoConnections

    with mock_aws():
        client = boto3.client("dynamodb", region_name="us-east-1")
        make_connections_table(client)
        yield DynamoConnections(client, "connections")


@pytest.fixture
def connections(rows: ConnectionStore, clock: Clock) -> Connections:
    return Connections(rows, clock)


def opened(connections: Connections, clock: Clock, id: str = "ann", scope: tuple[str, ...] | None = None) -> Connection:
    connection = Connection(id, Principal(id, clock() + 3600, {"teams": ["red"]}), scope, int(clock() * 1000))
    connections.open(connection)
    return connection


def members(connections: Connections, key: str = KEY) -> list[str]:
    return [subscriber.connection for page in connections.subscribers(key) for subscriber in page]


def admitted(connections: Connections, id: str = "ann") -> bool:
    try:
        return connections.admit(id) is not None
    except RealtimeError:
        return False


@pytest.mark.parametrize("scope", [None, (), ("chat/lobby", "price")])
def test_row_keeps_what_a_message_needs(connections: Connections, clock: Clock, scope: tuple[str, ...] | None) -> None:
    """Who, until when, with which claims and topics."""
    made = opened(connections, clock, scope=scope)
    assert connections.subscribe(made, LOBBY, batch=False)
    found = connections.admit("ann")
    assert found is not None
    assert (found.principal, found.scope, found.connected_ms) == (made.principal, scope, made.connected_ms)
    assert found.subscriptions == {KEY}


def test_allowance_is_a_burst_and_then_ten_a_second(connections: Connections, clock: Clock) -> None:
    """Never more, whatever the rhythm."""
    opened(connections, clock)
    assert [admitted(connections) for _ in range(80)].count(True) == BURST_MS // MESSAGE_MS + 1
    clock.sleep(1)
    assert [admitted(connections) for _ in range(80)].count(True) == 10


def test_rest_gives_no_more_than_a_burst(connections: Connections, clock: Clock) -> None:
    """An hour of silence is not saved up."""
    opened(connections, clock)
    clock.sleep(3600)
    assert [admitted(connections) for _ in range(80)].count(True) == BURST_MS // MESSAGE_MS + 1


def test_offences_add_up_and_are_forgiven(connections: Connections, clock: Clock) -> None:
    """Some twenty in a row close a connection; spread over time they do not."""
    opened(connections, clock)
    for _ in range(100):
        clock.sleep(2)
        assert admitted(connections)
        assert not connections.offend("ann")
    assert 20 <= [connections.offend("ann") for _ in range(40)].index(True) <= 30


def test_nobody_s_message_is_not_admitted(connections: Connections, clock: Clock) -> None:
    """Neither an unknown connection's, nor one's whose row should be gone."""
    assert connections.admit("nobody") is None
    assert not connections.offend("nobody")
    opened(connections, clock)
    clock.sleep(2 * 3600 + 600)
    assert connections.admit("ann") is None


def test_gone_connection_leaves_exactly_its_own_rows(connections: Connections, clock: Clock) -> None:
    """The chat sample that everybody copies deletes the sender's."""
    for name in ("ann", "bob"):
        connections.subscribe(opened(connections, clock, name), LOBBY, batch=False)
    connections.remove("ann")
    assert members(connections) == ["bob"]
    assert (connections.admit("ann"), connections.admit("bob") is None) == (None, False)


def test_subscription_without_a_connection_is_removed_by_its_key(connections: Connections, rows: ConnectionStore, clock: Clock) -> None:
    """A subscribe that overlapped the disconnect leaves one; the push that finds it dead knows where it found it."""
    ann = opened(connections, clock)
    connections.subscribe(ann, LOBBY, batch=False)
    (page,) = connections.subscribers(KEY)
    connections.remove("ann")
    rows.enrol(KEY, page[0])
    connections.remove("ann", KEY)
    assert members(connections) == []


def test_renewed_connection_keeps_its_subscriptions(connections: Connections, clock: Clock) -> None:
    """The row has the new principal; the subscription is written anew with its end, and still takes batches."""
    ann = opened(connections, clock, scope=("chat/lobby",))
    connections.subscribe(ann, LOBBY, batch=True)
    renewed = connections.renew(ann._replace(principal=Principal("ann", clock() + 9999, {}), scope=None))
    assert renewed is not None
    assert renewed.scope is None
    assert renewed.subscriptions == {KEY}
    connections.resubscribe(renewed, LOBBY, KEY)
    (page,) = connections.subscribers(KEY)
    assert [(row.until, row.batch) for row in page] == [(clock() + 9999, True)]


def test_subscription_lasts_as_long_as_the_newest_token(connections: Connections, clock: Clock) -> None:
    """A subscribe that was admitted before the renewal and written after it."""
    ann = opened(connections, clock)
    connections.renew(ann._replace(principal=Principal("ann", clock() + 9999, {})))
    connections.subscribe(ann, LOBBY, batch=False)
    (page,) = connections.subscribers(KEY)
    assert [row.until for row in page] == [clock() + 9999]


def test_subscription_moves_to_its_shard(connections: Connections, clock: Clock) -> None:
    """After `readers` has changed; also of a connection that has as many topics as it may."""
    ann = opened(connections, clock)
    for number in range(49):
        ann = connections.subscribe(ann, topic(f"chat/{number}", rooms=True), batch=False) or ann
    ann = connections.subscribe(ann, LOBBY, batch=False) or ann
    grown = topic("chat/lobby", rooms=True, readers=64_000)
    connections.settle(ann, grown, KEY)
    shard = shard_key(grown, shard_of(grown.feature, "ann"))
    assert (members(connections), members(connections, shard)) == ([], ["ann"])


def test_subscription_that_was_written_anew_is_not_dropped(connections: Connections, clock: Clock) -> None:
    """Who was refused by an old rule may have subscribed again by the time his old row is removed."""
    ann = opened(connections, clock)
    connections.subscribe(ann, LOBBY, batch=False)
    connections.drop("ann", KEY, "claim:old")
    assert members(connections) == ["ann"]
    connections.drop("ann", KEY, "user")
    assert members(connections) == []


def test_gone_connection_cannot_subscribe(connections: Connections, clock: Clock) -> None:
    """And no row is written for it."""
    ann = opened(connections, clock)
    connections.remove("ann")
    assert connections.subscribe(ann, LOBBY, batch=False) is None
    assert connections.renew(ann) is None
    assert members(connections) == []


def test_many_subscriptions_are_removed(connections: Connections, clock: Clock) -> None:
    """More than one batch of DynamoDB's."""
    ann = opened(connections, clock)
    topics = [topic(f"chat/{number}", rooms=True) for number in range(40)]
    for each in topics:
        ann = connections.subscribe(ann, each, batch=False) or ann
    connections.remove("ann")
    assert [members(connections, shard_key(each, 0)) for each in topics] == [[]] * 40


def test_expired_rows_are_filtered(connections: Connections, clock: Clock) -> None:
    """TTL deletes within two days; a connection lives two hours."""
    connections.subscribe(opened(connections, clock), LOBBY, batch=False)
    clock.sleep(2 * 3600 + 599)
    assert members(connections) == ["ann"]
    clock.sleep(1)
    assert members(connections) == []


def test_ttl_is_in_seconds(clock: Clock) -> None:
    """Ten minutes after the longest life of a connection; in milliseconds it would never come."""
    assert Connection("ann", Principal("ann", 0, {}), None, int(clock() * 1000)).expires == clock() + 7800


def test_pages_lead_through_all_subscribers(connections: Connections, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a page holds; and from any connection on."""
    monkeypatch.setattr("realtime.memory.MEMORY_PAGE", 4)
    names = sorted(f"c{number}" for number in range(10))
    for name in names:
        connections.subscribe(opened(connections, clock, name), LOBBY, batch=name == "c3")
    assert members(connections) == names
    later = [subscriber for page in connections.subscribers(KEY, "c2") for subscriber in page]
    assert [(s.connection, s.batch) for s in later][:2] == [("c3", True), ("c4", False)]


@pytest.mark.parametrize(("readers", "count"), [(1, 1), (1000, 1), (1001, 2), (10_000, 10), (1_000_000, 64)])
def test_shards_follow_the_readers(readers: int, count: int) -> None:
    """One for a thousand; 64 at most."""
    assert shards(feature(readers=readers)) == count


def test_connections_spread_evenly() -> None:
    """No shard holds much more than its part."""
    counts = Counter(shard_of(feature(readers=10_000), f"L0SM9c{number}=") for number in range(10_000))
    assert max(counts.values()) < 1200
