"""Runs in the sandbox: `python -m bench.warm_worker SPEC` calls our handler and the bare one in turn and prints ms per block.

SPEC is JSON: `cases` (name, event, status, and whether the bare handler takes part), `blocks`, `calls`, and `answer`: what
a stub in place of the DynamoDB client answers at once, or null for the real client.
"""

import json
import sys
import time
from statistics import median
from types import SimpleNamespace
from typing import Any

import boto3
from mangum import Mangum

_CONTEXT: Any = None  # neither handler looks at Lambda's context
_FIRST_CALLS = 50  # connections, caches; not measured


def main() -> None:
    spec = json.loads(sys.argv[1])
    if spec["answer"] is not None:
        stub = SimpleNamespace(get_item=lambda **_: spec["answer"])
        boto3.client = lambda *_, **__: stub  # type: ignore[assignment]  # the handlers know no other way to a client
    from bench import bare_read  # noqa: PLC0415 - only now: it makes its client as it is imported
    from functions.http import reads  # noqa: PLC0415

    json.dump({case["name"]: _measure(reads.handler, bare_read.handler, case, spec) for case in spec["cases"]}, sys.stdout)


def _measure(ours: Mangum, bare: Mangum, case: dict[str, Any], spec: dict[str, Any]) -> dict[str, list[float]]:
    """Each block's median call of either handler, in ms; who goes first changes from block to block."""
    handlers = {"ours": ours, "bare": bare} if case["bare"] else {"ours": ours}
    for handler in handlers.values():
        _block(handler, case, _FIRST_CALLS)
    found: dict[str, list[float]] = {name: [] for name in handlers}
    for block in range(spec["blocks"]):
        for name in sorted(handlers, reverse=block % 2 == 0):
            found[name].append(_block(handlers[name], case, spec["calls"]))
    return found


def _block(handler: Mangum, case: dict[str, Any], calls: int) -> float:
    times = []
    for _ in range(calls):
        started = time.perf_counter()
        answer = handler(case["event"], _CONTEXT)
        times.append(time.perf_counter() - started)
        if answer["statusCode"] != case["status"]:
            sys.exit(f"{case['name']}: {answer}")
    return median(times) * 1000


if __name__ == "__main__":
    main()
