"""What the model promises whatever the load, and that its figures are those of the code that it describes."""

import math
import random
from dataclasses import replace
from pathlib import Path
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor import rules
from advisor import usage as model
from advisor.load import EVENT_BYTES, Load
from advisor.prices import items, total
from advisor.usage import publishing, usage
from advisor.ways import WAYS, Way
from clients import websocket as client
from local.places import Places
from local.tables import make_connections_table
from realtime import bus_log, bus_valkey, hub, sse, websocket
from realtime.connections import Connections, Subscriber
from realtime.cursor import Cursor
from realtime.dynamo import to_item
from realtime.dynamo_connections import DynamoConnections
from realtime.event import Event, NewEvent
from realtime.log import Append
from services.sse import bounded
from stacks import core, sse_lambda, sse_service
from stacks.parts import function
from tests.advisor.counting import counting, item_bytes
from tests.endpoint import Endpoint

LOADS = st.builds(
    Load,
    readers=st.integers(1, 1_000_000),
    hours=st.floats(0.01, 24),
    events=st.floats(1 / 86_400, 100),
    topics=st.integers(1, 10_000),
    latency=st.floats(0.05, 3600),
    interval=st.floats(1, 3600),
    stream=st.floats(30, 120),
    bytes=st.integers(1, 131_072),
    public=st.booleans(),
    keeps_all=st.booleans(),
    two_way=st.booleans(),
    limited=st.booleans(),
)
EACH_WAY = pytest.mark.parametrize("way", WAYS)
ROOM = "chat/lobby"


@EACH_WAY
@given(load=LOADS)
def test_quantities_are_finite_and_have_a_price(load: Load, way: Way) -> None:
    """None is below nothing."""
    found = usage(load, way)
    assert set(found) <= set(items())
    assert all(math.isfinite(quantity) and quantity >= 0 for quantity in found.values())


@EACH_WAY
@given(load=LOADS, more=st.floats(1, 100))
def test_more_readers_never_cost_less(load: Load, way: Way, more: float) -> None:
    """Of the same topics."""
    assert total(usage(replace(load, readers=math.ceil(load.readers * more)), way)) >= total(usage(load, way)) * (1 - 1e-9)


@EACH_WAY
@given(load=LOADS, hours=st.floats(0.01, 24))
def test_more_hours_never_cost_less(load: Load, way: Way, hours: float) -> None:
    """Of each day."""
    longer = replace(load, hours=max(load.hours, hours))
    assert total(usage(longer, way)) >= total(usage(load, way)) * (1 - 1e-9)


@given(load=LOADS, readers=st.integers(1, 1_000_000), hours=st.floats(0.01, 24))
def test_publishing_costs_the_same_for_whoever_reads(load: Load, readers: int, hours: float) -> None:
    """And in however many topics."""
    assert publishing(replace(load, readers=readers, hours=hours, topics=1)) == publishing(load)


FIGURES: list[tuple[float, float]] = [
    (model.HEARTBEAT_SECONDS, hub.HEARTBEAT_SECONDS),
    (model.ROTATION_SECONDS, mean(hub.ROTATE_SECONDS)),
    (model.STREAM_SHARE, mean([bounded.SHORTEST, 1.0])),
    (model.CONNECTION_SECONDS, websocket.ROTATE_SECONDS + websocket.ROTATE_WITHIN_MS / 2000),
    (model.PING_SECONDS, client.PING_EVERY_SECONDS),
    (model.PING_LATENESS, 1 + client.JITTER / 2),
    (model.LOOKS_A_SECOND, 1 / bus_log.INTERVAL_SECONDS),
    (model.VALKEY_CHECK_SECONDS, bus_valkey.CHECK_SECONDS),
    (model.TASK_READERS, sse_service.CONNECTIONS_PER_TASK),
    (model.TASK_VCPU, sse_service.CPU / 1024),
    (model.TASK_GB, sse_service.MEMORY_MB / 1024),
    (rules.FRONT_DOOR_PER_SECOND, core.REQUESTS_PER_SECOND),
    (model.LEAST_TASKS, sse_service.MIN_TASKS),
    (model.MOST_TASKS, sse_service.MAX_TASKS),
    (model.FUNCTION_GB, function.MEMORY_MB / 1024),
    (model.STREAM_GB, sse_lambda.MEMORY_MB / 1024),
]


@pytest.mark.parametrize(("ours", "theirs"), FIGURES)
def test_figure_is_that_of_the_code(ours: float, theirs: float) -> None:
    """What clients, hubs and stacks do, as their modules say it."""
    assert ours == pytest.approx(theirs)


@pytest.mark.parametrize("gap", [1, 10, 20, 60, 120, 300, 1_000, 1_000_000])
def test_pings_are_those_of_a_client(gap: int) -> None:
    """Within a tenth, over whole connections, with the schedule of clients/websocket.py and an event each `gap` seconds."""
    load = Load(readers=1, hours=24, events=1 / gap)
    connects = load.reader_seconds / model.CONNECTION_SECONDS
    dice = random.Random(1)
    assert model._pings(load, connects) / connects == pytest.approx(mean(pings(gap, dice) for _ in range(200)), rel=0.1)


def pings(gap: float, dice: random.Random) -> int:
    """Of one connection to its end; its first event comes at any moment of the first gap."""
    count, step, event_at, pinged_at, event = 0, 0, 0.0, 0.0, dice.uniform(0, gap)
    while True:
        late = dice.uniform(1, 1 + client.JITTER)
        soon = event_at + client.PINGS_SECONDS[step] * late if step < len(client.PINGS_SECONDS) else math.inf
        at = min(soon, pinged_at + client.PING_EVERY_SECONDS * late)
        if min(at, event) > model.CONNECTION_SECONDS:
            return count
        if event <= at:
            event_at, event, step = event, event + gap, 0
        else:
            pinged_at, step, count = at, step + 1, count + 1


EVENT = NewEvent.of("note", "x" * 98)
APPEND = Append("news/lobby", "0123456789ab", 1234, (EVENT,), 1_800_000_000_000, "0" * 32, True, "0" * 32, 1_800_086_400)


def test_event_of_100_bytes_has_the_size_that_is_modelled() -> None:
    """On the line, in a chunk (7 bytes) and a TLS record (22); and as a row of the log."""
    event, cursor = Event("news/lobby", "0123456789ab", 1234, EVENT.type, EVENT.data_json, APPEND.at_ms), Cursor("0123456789ab", 1233)
    assert len(sse.identified(str(event.cursor), sse.body(event, cursor))) + 7 + 22 == pytest.approx(EVENT_BYTES, rel=0.1)
    assert item_bytes(to_item(APPEND, "0123456789ab#0000000000001234")) == pytest.approx(model.ROW_BYTES, rel=0.1)


@pytest.mark.parametrize("count", [10, 50, 100, 500])
def test_subscribers_are_read_for_as_many_units_as_are_modelled(endpoint: Endpoint, count: int) -> None:
    """Rows as subscribes write them, found by one consistent query."""
    name = f"subscribers-{count}"
    make_connections_table(endpoint.client("dynamodb"), name)
    with counting(endpoint.places.endpoint_port) as proxy:
        store = DynamoConnections(Endpoint(Places(Path(), proxy.server_port, 0)).client("dynamodb"), name)
        for number in range(count):
            store.enrol(f"{ROOM}#0", Subscriber(f"L0SM9cOFvHc{number:04}=", 1_800_003_600, "user", True, 1_800_007_800))
        assert sum(len(page) for page in Connections(store, lambda: 1_800_000_000).subscribers(f"{ROOM}#0")) == count
        assert proxy.counted["dynamodb-reads"] == pytest.approx(model._strong(count * model.SUBSCRIBER_BYTES), rel=0.1)
