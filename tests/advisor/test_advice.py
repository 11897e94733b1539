"""Which way is recommended: the guide's own cases, where costs decide, and where a choice is refused."""

from dataclasses import dataclass
from typing import Any

import pytest

from advisor.advice import advise, crossover
from advisor.load import Load
from advisor.prices import total
from advisor.usage import usage
from advisor.ways import SIMPLEST, WAYS, Way
from tests.helpers import feature

PUBLIC, OWNER = {"read": "public"}, {"read": "owner"}


@dataclass(frozen=True)
class Case:
    """A need, in the words of features.toml, and the way that fits it."""

    name: str
    way: Way
    keys: dict[str, Any]
    servers: bool = True


def case(name: str, way: Way, *, servers: bool = True, **keys: Any) -> Case:
    return Case(name, way, keys, servers)


GUIDE = [
    case("management dashboard", "polling", latency="30s", keep="latest", readers=200, events="1/min"),
    case("instant alerts", "sse-service", latency="1s", readers=200, events="10/h"),
    case("chat", "websocket", direction="both", latency="100ms", rooms=True, readers=500, events="1/s"),
    case("game", "websocket", direction="both", latency="50ms", rooms=True, readers=500, events="20/s"),
    case("collaborative editor", "websocket", direction="both", latency="100ms", rooms=True, readers=100, events="5/s"),
    case("trading", "websocket", direction="both", latency="50ms", readers=500, events="5/s"),
    case("order status", "polling", latency="15s", rooms=True, access=OWNER, readers=300, events="1/min", open="0.25h/day"),
    case("AI answers", "sse-lambda", latency="500ms", rooms=True, access=OWNER, readers=20, events="6/min", open="1h/day"),
    case("rare state sync", "polling", latency="5min", readers=1_000, events="1/d", open="1h/day"),
    case("price updates", "sse-service", latency="500ms", access=PUBLIC, readers=2_000, events="2/s"),
    case("activity feed", "sse-service", latency="1s", rooms=True, access=OWNER, readers=2_000, events="1/s"),
]

COSTS = [
    case("data once a minute, an office", "polling", latency="1min", keep="latest", readers=200),
    case("data once a minute, an office, for everybody", "polling", latency="1min", keep="latest", access=PUBLIC, readers=200),
    case("data once a minute, 10,000 always", "sse-service", latency="30s", keep="latest", access=PUBLIC, readers=10_000, open="24h/day"),
    case("the same, not for everybody", "sse-service", latency="30s", keep="latest", readers=10_000, open="24h/day"),
    case("10,000 short visits", "polling", latency="30s", keep="latest", access=PUBLIC, readers=10_000, open="0.1h/day"),
    case("10,000 for an hour, every 10 min", "polling", latency="10min", access=PUBLIC, readers=10_000, open="1h/day"),
    case("slow data, many readers", "polling", latency="1h", access=PUBLIC, readers=50_000, open="8h/day"),
    case("five seconds, few readers", "polling", latency="5s", access=PUBLIC, readers=20, open="8h/day"),
    case("five seconds, many readers", "sse-service", latency="5s", access=PUBLIC, readers=5_000, open="8h/day"),
    case("two seconds, a hundred readers, private", "sse-service", latency="2s", readers=100, open="8h/day"),
    case("one reader, always, at once", "sse-lambda", latency="1s", readers=1, events="1/h", open="24h/day"),
    case("three readers, always, at once", "sse-service", latency="1s", readers=3, events="1/h", open="24h/day"),
    case("a job's progress, minutes a day", "sse-lambda", latency="1s", readers=30, events="6/min", open="0.1h/day"),
    case("more readers at once than functions run", "sse-service", latency="1s", readers=2_000, open="0.01h/day"),
    case("forty thousand readers at once", "sse-service", latency="1s", access=PUBLIC, readers=40_000, open="8h/day"),
]

NEEDS = [
    case("alerts, serverless only", "sse-lambda", servers=False, latency="1s", readers=20, events="10/h", open="1h/day"),
    case("500 always at once, serverless only", "websocket", servers=False, latency="1s", readers=500, open="24h/day"),
    case("10,000 always, serverless only", "polling", servers=False, latency="30s", access=PUBLIC, readers=10_000, open="24h/day"),
    case("below 100 ms, one way", "websocket", latency="50ms", readers=100, events="1/s"),
    case("exactly 100 ms, one way", "sse-service", latency="100ms", readers=100, events="1/s"),
    case("just over a second", "polling", latency="2s", access=PUBLIC, readers=10, open="1h/day"),
    case("two-way without hurry", "websocket", direction="both", latency="1min", readers=50, open="1h/day"),
]

CASES = [*GUIDE, *COSTS, *NEEDS]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_worked_case(case: Case) -> None:
    """The least that meets the need; it is never dearer than a way of the same kind by more than ten dollars or a quarter."""
    advice = advise(feature(**case.keys), servers=case.servers)
    assert advice.way == case.way, advice


def test_thirty_cases_and_each_way_wins_some() -> None:
    """Polling, SSE on both hosts, WebSocket."""
    assert len(CASES) >= 30
    assert {case.way for case in CASES} == {"polling", "sse-service", "sse-lambda", "websocket"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_other_way_has_its_reason(case: Case) -> None:
    """Of the four that can be recommended; each has its cost, and so has AppSync."""
    advice = advise(feature(**case.keys), servers=case.servers)
    assert {*advice.rejected, advice.way} == set(SIMPLEST)
    assert all(reason for reason in advice.rejected.values())
    assert set(advice.costs) == set(WAYS)


def test_data_once_a_minute() -> None:
    """Polling for 200 in office hours, hubs for 10,000 always; somewhere between it turns, and both are below the guide's 150 EUR there."""
    office = feature(latency="60s", keep="latest", access=PUBLIC, readers=200)
    always = feature(latency="30s", keep="latest", access=PUBLIC, readers=10_000, open="24h/day")
    assert (advise(office).way, advise(always).way) == ("polling", "sse-service")
    turns = crossover(Load.of(always), "polling", "sse-service")
    assert turns is not None
    at = [total(usage(Load.of(always).with_readers(turns + step), "polling")) for step in (-1, 0)]
    hubs = [total(usage(Load.of(always).with_readers(turns + step), "sse-service")) for step in (-1, 0)]
    assert at[0] <= hubs[0]
    assert at[1] > hubs[1]
    assert hubs[1] < 150


def test_chosen_pattern_is_judged_and_a_missing_one_is_not() -> None:
    """A file that leaves the pattern out asks for advice only."""
    always = feature(pattern="polling", latency="30s", access=PUBLIC, readers=10_000, open="24h/day")
    assert [finding.rule for finding in advise(always).findings] == ["waste"]
    assert advise(always, chosen=False).findings == ()
