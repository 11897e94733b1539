"""Warm request: how long `functions.http.reads.handler` takes for one poll, in ms; against a bare FastAPI function.

Both handlers live in one process of the sandbox and answer the same event in turn: the bare one makes the same GetItem
(eventually consistent, same key) and compares the same ETag. DynamoDB is a MiniStack on this machine, which answers in a
millisecond or two as DynamoDB does; the second comparison has a stub in its place, so that only the handlers are left.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from bench import events
from bench.compare import compare
from bench.ministack import LOG_TABLE, client, ministack
from bench.report import Figure, Report
from bench.sandbox import Sandbox, sandbox
from local.places import Places
from local.progress import step
from realtime.cursor import Cursor
from realtime.dynamo import DynamoStore
from realtime.event import NewEvent
from realtime.features import load
from realtime.log import Log

FEATURES = Path(__file__).parent / "features.toml"
BLOCKS = 11
CALLS = 300  # of each handler, per block
GOAL = 1.3  # times the bare function's 304

Case = dict[str, Any]
Blocks = dict[str, dict[str, list[float]]]


def run() -> Report:
    """Median of 11 blocks of 300 calls each, alternating."""
    with sandbox() as place, ministack() as places:
        cases, answer = _prepare(places)
        with step(f"warm: {BLOCKS} blocks of {CALLS} calls a handler and case, against MiniStack"):
            real = _measure(place, cases, places.endpoint, None)
        with step("warm: the same without DynamoDB"):
            stubbed = _measure(place, [case for case in cases if case["bare"]], places.endpoint, answer)
    figures = [*_figures(real, "MiniStack", GOAL), *_figures(stubbed, "stub, no DynamoDB", None)]
    return Report(f"median of {BLOCKS} blocks of {CALLS} calls, alternating; one process, DynamoDB on this machine", tuple(figures))


def _prepare(places: Places) -> tuple[list[Case], dict[str, Any]]:
    """Fill the log; return the cases, and the head of metrics as GetItem answers it."""
    features, dynamodb = load(FEATURES), client(places)
    log = Log(DynamoStore(dynamodb, LOG_TABLE))
    (newest,) = log.append(features.topic("metrics"), [NewEvent.of("figures", {"orders": 41, "cds": 97, "revenue": 1342.5})])
    ticks = [log.append(features.topic("ticker"), [NewEvent.of("tick", {"n": n})])[0] for n in range(12)]
    key = {"topic": {"S": "metrics"}, "entry": {"S": "head"}}
    item = dynamodb.get_item(TableName=LOG_TABLE, Key=key)["Item"]
    after = Cursor(ticks[0].epoch, ticks[1].seq)
    return [
        {"name": "304", "event": events.get("/topics/metrics", if_none_match=f'"{newest.cursor}"'), "status": 304, "bare": True},
        {"name": "200", "event": events.get("/topics/metrics"), "status": 200, "bare": True},
        {"name": "page of 10", "event": events.get("/topics/ticker", f"after={after}"), "status": 200, "bare": False},
    ], {"Item": item}


def _measure(place: Sandbox, cases: list[Case], url: str, answer: dict[str, Any] | None) -> Blocks:
    spec = {"cases": cases, "blocks": BLOCKS, "calls": CALLS, "answer": answer}
    variables = {"AWS_ENDPOINT_URL": url, "FEATURES": str(FEATURES)}
    found: Blocks = json.loads(place.run(place.task, ["-m", "bench.warm_worker", json.dumps(spec)], variables))
    return found


def _figures(found: Blocks, store: str, goal: float | None) -> Iterator[Figure]:
    for case, blocks in found.items():
        if "bare" in blocks:
            yield from compare(f"{case}, {store}", blocks["ours"], blocks["bare"], goal if case == "304" else None)
        else:
            yield Figure(f"{case}, {store}", median(blocks["ours"]), "ms", "nothing: GetItem and Query")
