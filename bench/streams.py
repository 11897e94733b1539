"""The streaming function through what stands in for API Gateway, Lambda and the adapter: first byte, and lateness of pieces.

The model `ngram` writes piece n at a moment that is fixed by its pace. So a piece's lateness is its arrival against that
grid, laid through the earliest piece: what it waited in our code, in the server, in the runner and in the client.
"""

import json
import math
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from bench.ministack import ACCESS_TABLE, LOG_TABLE, ministack
from bench.report import Figure, Report
from bench.sandbox import SCRATCH
from local import endpoint
from local.deploy import prepare, target
from local.places import ROOT, Places
from local.process import Child, free_port, port_is_free, stop
from local.progress import step
from realtime.features import load
from realtime.ngram import PIECES_PER_SECOND
from realtime.tokens import issue
from stacks.assets import stage
from stacks.parts.web_adapter import ENVIRONMENT
from stacks.sse_lambda import ASSET, HANDLER

FIRST_BYTE_MS, LATE_MS = 100.0, 50.0
STREAMS, PIECES = 100, 1_000
AT_ONCE = (1, 10)
SECRET = "only-of-benches-0123456789abcdef-0123"  # noqa: S105 - of a log that lives for a minute


def run() -> Report:
    """First byte of warm streams, and lateness of an answer's pieces, alone and among ten."""
    with ministack() as places, _function(places) as url:
        with step(f"streams: first byte of {STREAMS} streams"):
            ended = _ended_answer(url)
            first = sorted(_first_byte(url, ended) for _ in range(STREAMS))
        figures = [Figure("first byte, warm, p50", _part(first, 0.5), "ms")]
        figures += [Figure("first byte, warm, p99", _part(first, 0.99), "ms", goal=FIRST_BYTE_MS)]
        for count in AT_ONCE:
            with step(f"streams: {count} answers of {PIECES} pieces at once"):
                _lateness(url, count, 20)  # so that as many environments are warm
                late = sorted(_lateness(url, count, PIECES))
            what = f"lateness of a piece, {count} answers at once"
            figures += [Figure(f"{what}, p50", _part(late, 0.5), "ms"), Figure(f"{what}, p99", _part(late, 0.99), "ms", goal=LATE_MS)]
            figures.append(Figure(f"  {what}: pieces without a preview", late.count(math.inf), "", goal=0))
    return Report(f"one MiniStack, {PIECES_PER_SECOND:g} pieces a second and answer", tuple(figures))


@contextmanager
def _function(places: Places) -> Iterator[str]:
    """Where the function answers."""
    prepare()
    asset, _ = stage(target(), ASSET, load(ROOT / "features.toml"))
    arn = endpoint.client(places, "secretsmanager").create_secret(Name="bench", SecretString=SECRET)["ARN"]
    variables = {"FEATURES": "features.json", "LOG_TABLE": LOG_TABLE, "ACCESS_TABLE": ACCESS_TABLE, "SECRET_ARN": arn, "ORIGINS": ""}
    function = {"folder": str(asset), "handler": HANDLER, "timeout": 315, "environment": {**ENVIRONMENT, **variables, "MODEL": "ngram"}}
    with tempfile.TemporaryDirectory(dir=SCRATCH, prefix="streams-") as folder:
        file, port = Path(folder) / "function.json", free_port()
        file.write_text(json.dumps(function))
        where = ["--folder", folder, "--endpoint-port", str(places.endpoint_port), "--port", str(port), "--configuration", str(file)]
        command = [sys.executable, "-m", "local.environments", *where]
        child = Child.start("environments", command, places.environment(), Path(folder) / "log", ROOT)
        try:
            child.wait_until(lambda: not port_is_free(port))
            yield f"http://127.0.0.1:{port}"
        finally:
            stop([child.process])


def _headers(sub: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {issue(SECRET, sub, 3600)}"}


def _ended_answer(url: str) -> str:
    """The path of the stream of an answer. It has ended, so its streams end too, and leave an environment that is warm and free."""
    with httpx2.Client(base_url=url, headers=_headers("reader"), timeout=60) as client:
        return f"/{client.post('/answers', json=_question(4)).headers['content-location']}?after=0-0"


def _first_byte(url: str, path: str) -> float:
    """Milliseconds from the request to the first byte of its response's body, over a new connection."""
    with httpx2.Client(base_url=url, headers=_headers("reader"), timeout=60) as client:
        began = time.perf_counter()
        with client.stream("GET", path) as answer:
            chunks = answer.iter_raw()
            next(chunks)
            took = (time.perf_counter() - began) * 1000
            for _ in chunks:  # to its end: else its environment is still busy for the next
                pass
    return took


def _question(pieces: int) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": "How?"}], "max_tokens": pieces}


def _lateness(url: str, count: int, pieces: int) -> list[float]:
    """Of every piece of so many answers at once, in ms; endless where a piece had no preview."""
    found: list[float] = []
    threads = [threading.Thread(target=lambda n=n: found.extend(_of_answer(url, f"asker-{n}", pieces))) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def _of_answer(url: str, sub: str, pieces: int) -> list[float]:
    with (
        httpx2.Client(base_url=url, headers=_headers(sub), timeout=60) as client,
        client.stream("POST", "/answers", json=_question(pieces)) as answer,
    ):
        lines = [(time.perf_counter() * 1000, json.loads(line[6:])) for line in answer.iter_lines() if line.startswith("data: ")]
    due = [moment - seen["data"]["first"] * 1000 / PIECES_PER_SECOND for moment, seen in lines if seen["type"] == "preview"]
    written: int = next(seen["data"]["pieces"] for _, seen in lines if seen["type"] == "done")
    earliest = min(due)
    return [moment - earliest for moment in due] + [math.inf] * (written - len(due))


def _part(values: list[float], part: float) -> float:
    return values[min(len(values) - 1, int(len(values) * part))]
