"""Cold start of the streaming function: from `run.sh` to the adapter's first healthy answer, in ms, beside the least that streams.

Both are started as local/adapter.py starts an environment: the runtime's packages byte-compiled, the asset not, as on Lambda.
"""

import asyncio
import shutil
import time
from pathlib import Path

import httpx2

from bench.compare import compare
from bench.report import Figure, Report
from bench.sandbox import sandbox
from local.adapter import Environment, Function, Machine
from local.places import Places
from local.progress import step
from stacks.parts.web_adapter import ENVIRONMENT
from stacks.sse_lambda import ASSET, HANDLER

ROUNDS = 11
ASSET_MB = 60
GOAL = 1.4
_BARE = '#!/bin/sh\nexport PYTHONPATH="$LAMBDA_TASK_ROOT:$LAMBDA_RUNTIME_DIR"\nexec python -m bench.bare_server "$PORT"\n'
_TABLES = {"FEATURES": "features.json", "LOG_TABLE": "log", "ACCESS_TABLE": "access", "SECRET_ARN": "arn", "ORIGINS": ""}


def run() -> Report:
    """Median of 11 rounds, alternating."""
    with sandbox(ASSET) as place, step(f"ready: {ROUNDS} rounds of two cold starts"):
        shutil.copy(Path(__file__).parent / "bare_server.py", place.bare / "bench")
        (place.bare / "run.sh").write_text(_BARE)
        (place.bare / "run.sh").chmod(0o755)
        machine = Machine.prepare(Places(place.task.parent, 1, 0))
        variables = {**ENVIRONMENT, **_TABLES, "MODEL": "amazon.nova-micro-v1:0"}
        functions = [Function(place.task, HANDLER, variables, 60), Function(place.bare, "run.sh", variables, 60)]
        rounds = [[asyncio.run(_start(function, machine)) for function in functions] for _ in range(1 + ROUNDS)][1:]
        size = sum(file.stat().st_size for file in place.task.rglob("*") if file.is_file()) / 1e6
    ours, bare = zip(*rounds, strict=True)
    figures = compare("ready", ours, bare, GOAL, "bare FastAPI and uvicorn")
    asset = Figure("asset, unzipped (this machine's wheels)", size, "MB", goal=ASSET_MB)
    return Report(f"median of {ROUNDS}, alternating; asset not byte-compiled, boto3 byte-compiled, as on Lambda", (*figures, asset))


async def _start(function: Function, machine: Machine) -> float:
    """Milliseconds of one start."""
    async with httpx2.AsyncClient() as client:
        began = time.perf_counter()
        environment = Environment(function, machine)
        try:
            await environment.ready(client)
            return (time.perf_counter() - began) * 1000
        finally:
            await environment.end()
