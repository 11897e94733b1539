"""What each operation costs, counted on the local endpoint, whose figures are those of AWS for writes, and for reads up to 4 KB."""

import pytest

from bench.meter import Meter
from realtime.dynamo import DynamoStore
from realtime.features import Topic
from realtime.log import Log
from tests.endpoint import Endpoint
from tests.helpers import event, topic

ALL, LATEST = topic("news"), topic("figures", keep="latest")


@pytest.fixture(scope="module")
def metered(endpoint: Endpoint) -> tuple[Log, Meter]:
    client = endpoint.tables("cost")
    log, meter = Log(DynamoStore(client, "cost-log")), Meter(client)
    for kept in (ALL, LATEST):
        log.append(kept, [event()])
    return log, meter


@pytest.mark.parametrize(("kept", "key", "writes"), [(ALL, False, 2), (ALL, True, 3), (LATEST, False, 1), (LATEST, True, 2)])
def test_append_costs(metered: tuple[Log, Meter], kept: Topic, key: bool, writes: int) -> None:
    """Two write units (head and history), one more for a key, one less without history; three such appends in a row."""
    log, meter = metered
    log.append(kept, [event()], key=f"{kept.name}-before" if key else None)
    meter.reset()
    for n in range(3):
        log.append(kept, [event()], key=f"{kept.name}-{n}" if key else None)
    assert (meter.writes, meter.reads) == (3 * writes, 3 if key else 0)


def test_batch_of_25_small_events_costs_as_much_as_its_bytes(metered: tuple[Log, Meter]) -> None:
    """One append: 25 events of 20 bytes are an item of 2 KB, written twice."""
    log, meter = metered
    log.append(ALL, [event()])
    meter.reset()
    for _ in range(2):
        log.append(ALL, [event("x" * 18)] * 25)
    assert meter.calls == 4
    assert meter.writes <= 9


@pytest.mark.parametrize("kept", [ALL, LATEST])
def test_idle_poll_costs_half_a_unit(metered: tuple[Log, Meter], kept: Topic) -> None:
    """`?after=` at the head, and a 304 of the newest event or events: one eventually consistent read of the head, no write."""
    log, meter = metered
    cursor = log.newest(kept).cursor
    for poll in (log.read, log.newest, lambda topic, seen: log.recent(topic, 100, seen)):
        meter.reset()
        poll(kept, cursor)
        assert (meter.reads, meter.writes, meter.calls) == (0.5, 0, 1)


def test_newest_events_cost_a_unit_and_a_half(metered: tuple[Log, Meter]) -> None:
    """Without a cursor: half a unit for the head, and a consistent query of up to 4 KB of history."""
    log, meter = metered
    log.append(ALL, [event()])
    meter.reset()
    log.recent(ALL, 3)
    assert (meter.reads, meter.calls) == (1.5, 2)
