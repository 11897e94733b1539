"""Capacity units: what each operation reads and writes in DynamoDB, as MiniStack reports it (see `bench.meter`).

Small events: items of at most 1 KB, and at most 4 KB a read, where MiniStack's figures are those of AWS. An item is some
200 bytes larger than its event's data.

Steady state: the mean of ten operations by a process that has appended to the topic before. Its first append reads the
head too (one unit, strongly consistent), and so does every append while another process appends to the same topic.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mangum import Mangum

from bench import events
from bench.meter import Meter
from bench.ministack import ACCESS_TABLE, LOG_TABLE, client, ministack
from bench.report import Figure, Report
from bench.warm import FEATURES
from local.progress import step
from realtime.dynamo import DynamoCounters, DynamoStore, DynamoTickets
from realtime.event import Event, NewEvent
from realtime.features import load
from realtime.log import Log
from realtime.policy import Principal
from realtime.publish import Publisher
from realtime.rate import RateLimit
from realtime.runtime import Runtime
from realtime.sessions import Sessions
from realtime.tickets import Tickets
from realtime.tokens import SecretVerifier
from services.http.app import create_app

REPEATS = 10

Operation = Callable[[int], object]


@dataclass(frozen=True, slots=True)
class Goal:
    """Units per operation; None: for information."""

    reads: float | None
    writes: float | None


def run() -> Report:
    """Mean of ten operations of each kind."""
    with step("units: counting on MiniStack"), ministack() as places:
        dynamodb = client(places)
        runtime, meter = _runtime(dynamodb), Meter(dynamodb)
        figures = [figure for what, operation, goal in _operations(runtime) for figure in _count(meter, what, operation, goal)]
    return Report(
        f"mean of {REPEATS} operations in steady state, items below 1 KB; a process's first append to a topic reads 1 unit more",
        tuple(figures),
    )


def _runtime(dynamodb: Any) -> Runtime:
    features, secret = load(FEATURES), "bench".strip
    log = Log(DynamoStore(dynamodb, LOG_TABLE))
    publisher = Publisher(features, log, RateLimit(DynamoCounters(dynamodb, ACCESS_TABLE)))
    tickets = Tickets(DynamoTickets(dynamodb, ACCESS_TABLE))
    return Runtime(features, log, publisher, tickets, Sessions(secret, []), SecretVerifier(secret))


def _operations(runtime: Runtime) -> list[tuple[str, Operation, Goal]]:
    """What is counted. Each runs once uncounted first; `n` differs from call to call."""
    reads, caller = Mangum(create_app(runtime, ["reads"]), lifespan="off"), Principal("bench", 4e9, {})

    context: Any = None

    def append(topic: str, n: int, key: str | None = None) -> Event:
        return runtime.log.append(runtime.features.topic(topic), [NewEvent.of("tick", {"n": n})], key=key)[0]

    def poll(path: str, query: str, status: int, **headers: str) -> None:
        answer = reads(events.get(path, query, **headers), context)
        if answer["statusCode"] != status:
            raise RuntimeError(str(answer))

    newest = append("metrics", 0).cursor
    first = [append("ticker", n).cursor for n in range(12)][1]
    return [
        ("idle poll, 304", lambda _: poll("/topics/metrics", "", 304, if_none_match=f'"{newest}"'), Goal(0.5, 0)),
        ("idle poll, after=<newest>", lambda _: poll("/topics/metrics", f"after={newest}", 200), Goal(0.5, 0)),
        ("poll with 10 new events", lambda _: poll("/topics/ticker", f"after={first}", 200), Goal(None, 0)),
        ("append", lambda n: append("ticker", n), Goal(0, 2)),
        ("append with key", lambda n: append("ticker", n, f"key-{n}"), Goal(None, 3)),
        ("append, latest", lambda n: append("metrics", n), Goal(0, 1)),
        ("append with key, latest", lambda n: append("metrics", n, f"key-{n}"), Goal(None, 2)),
        ("ticket: issue and redeem", lambda _: _spend(runtime, caller), Goal(0, 2)),
    ]


def _spend(runtime: Runtime, caller: Principal) -> None:
    runtime.tickets.redeem(runtime.tickets.issue("sse", ("ticker",), caller), "sse")


def _count(meter: Meter, what: str, operation: Operation, goal: Goal) -> tuple[Figure, Figure]:
    operation(0)
    meter.reset()
    for n in range(1, REPEATS + 1):
        operation(n)
    calls = f"{meter.calls / REPEATS:g} calls of DynamoDB"
    return (
        Figure(what, meter.reads / REPEATS, "read units", calls, goal.reads),
        Figure(f"  {what}", meter.writes / REPEATS, "write units", calls, goal.writes),
    )
