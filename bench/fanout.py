"""Fan-out: posts to `@connections` over TLS, by our poster and by boto3, to an endpoint that answers after 10 ms.

The endpoint is another process on this machine (`bench.fanout_endpoint`), so posting has one of two cores for itself. What
came in when is what the endpoint saw. API Gateway's own answers vary; its limit is 10,000 requests/s an account, shared with
everything else.
"""

import json
import os
import ssl
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any
from urllib.request import urlopen

import boto3
from botocore.config import Config
from botocore.credentials import Credentials

from bench.certificate import self_signed
from bench.report import Figure, Report
from local.places import REGION, ROOT, LocalError
from local.process import Child, free_port, port_is_free, stop
from local.progress import step
from realtime.gateway import Job, Outcome
from realtime.management import ManagementApi

CONNECTIONS = 5000
BOTO_CONNECTIONS = 1000
ROUNDS = 5
PROCESSES = 4
SHARE = 5000.0  # posts/s: half of the account's
NO_LIMIT = 1e6

GOAL_MICROSECONDS = 250  # 4,000 posts/s
GOAL_RATIO = 0.25  # four times as fast as boto3
GOAL_PERCENT = 20

_FRAME = b'{"action":"event","topic":"chat/lobby","seq":17,"epoch":"b1f0","type":"message","data":{"text":"hello"},"at":0,"prev":"b1f0-16"}'
_KEYS = ("AKIDEXAMPLE", "x" * 40, "x" * 800)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the endpoint is, and the certificate to trust."""

    url: str
    certificate: Path

    def gateway(self, per_second: float) -> ManagementApi:
        return ManagementApi(self.url, per_second=per_second, credentials=Credentials(*_KEYS), context=self._context())

    def counts(self) -> dict[str, Any]:
        """What has come in since the last call."""
        with urlopen(self.url, timeout=10, context=self._context()) as answer:  # noqa: S310 - always https
            found: dict[str, Any] = json.load(answer)
        return found

    def _context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.certificate)


def run() -> Report:
    """Everything, in about 30 s."""
    os.environ.setdefault("AWS_REGION", REGION)
    with _endpoint() as place:
        figures = (*_speed(place), *_rate(place), *_disturbed(place), *_processes(place))
    conditions = f"TLS, answers after 10 ms from another process on this machine, {len(_FRAME)} bytes a frame, signed with a session token"
    return Report(conditions, figures)


def _speed(place: Place) -> Iterator[Figure]:
    """Time from the first post to the last answer, by posts: the first run, which opens the sockets, and those that follow."""
    with step(f"fanout: {CONNECTIONS} posts, {1 + ROUNDS} times"):
        gateway, jobs = place.gateway(NO_LIMIT), _jobs("ok", CONNECTIONS)
        cold, *warm = [_microseconds(gateway, jobs) for _ in range(1 + ROUNDS)]
    with step(f"fanout: {BOTO_CONNECTIONS} posts by boto3, with 20 and with 100 threads"):
        boto = min(_boto_microseconds(place, threads) for threads in (20, 100))
    ours = median(wall for wall, _ in warm)
    yield Figure("a post", ours, "us", f"{1e6 / ours:,.0f} posts/s", GOAL_MICROSECONDS)
    yield Figure("  of that, CPU", median(cpu for _, cpu in warm), "us", f"{CONNECTIONS} connections, one process")
    yield Figure("  sockets opened on the way", cold[0], "us", f"{1e6 / cold[0]:,.0f} posts/s", GOAL_MICROSECONDS)
    yield Figure("  ratio", ours / boto, "x", f"boto3, 20 or 100 threads: {boto:,.0f} us", GOAL_RATIO)


def _rate(place: Place) -> Iterator[Figure]:
    with step(f"fanout: {2 * CONNECTIONS} posts at {SHARE:g}/s"):
        place.counts()
        place.gateway(SHARE).run(_jobs("ok", 2 * CONNECTIONS), seconds=30)
    yield _most("most posts in a second", place.counts())


def _disturbed(place: Place) -> Iterator[Figure]:
    """How much longer it takes until all good connections have their frame when 3 % of all are bad ones."""
    bad = {25: "gone", 50: "throttled", 75: "hang"}
    mixed = [Job(f"{bad.get(n % 100, 'ok')}-{n}", (_FRAME,)) for n in range(CONNECTIONS)]
    good = [job for job in mixed if job.connection.startswith("ok-")]
    with step(f"fanout: {CONNECTIONS} posts with and without 1 % gone, 1 % throttled, 1 % hanging, {ROUNDS} times"):
        gateways = place.gateway(NO_LIMIT), place.gateway(NO_LIMIT)
        rounds = [[_seconds(place, *each) for each in zip(gateways, (good, mixed), strict=True)] for _ in range(1 + ROUNDS)][1:]
    against = "the same posts without 1 % gone, 1 % throttled, 1 % hanging"
    later = median(disturbed / without for without, disturbed in rounds) - 1
    yield Figure("good connections have theirs later by", 100 * later, "%", against, GOAL_PERCENT)


def _processes(place: Place) -> Iterator[Figure]:
    each, begin = 2 * CONNECTIONS // PROCESSES, time.time() + 3
    name, spawn = f"fanout: {2 * CONNECTIONS} posts by {PROCESSES} processes", get_context("spawn")
    with step(name), ProcessPoolExecutor(PROCESSES, spawn) as processes:
        shares = [processes.submit(_share, place, each, begin) for _ in range(PROCESSES)]
        time.sleep(max(0.0, begin - 0.1 - time.time()))
        place.counts()  # those of warming up
        for share in shares:
            share.result(timeout=60)
    yield _most(f"most posts in a second, {PROCESSES} processes", place.counts())


def _share(place: Place, count: int, begin: float) -> None:
    """What one of the processes does: imports and handshakes are over when all begin."""
    gateway = place.gateway(SHARE / PROCESSES)
    gateway.run(_jobs("warm", 20), seconds=10)
    time.sleep(max(0.0, begin - time.time()))
    gateway.run(_jobs("ok", count), seconds=30)


def _jobs(word: str, count: int) -> list[Job]:
    return [Job(f"{word}-L0SM9cOFvHc{n:05d}=", (_FRAME,)) for n in range(count)]


def _microseconds(gateway: ManagementApi, jobs: Sequence[Job]) -> tuple[float, float]:
    """Time and CPU time of a post; `LocalError` if one was not taken."""
    started, cpu = time.perf_counter(), time.process_time()
    outcomes = gateway.run(jobs, seconds=30)
    wall, used = time.perf_counter() - started, time.process_time() - cpu
    if set(outcomes) != {Outcome.SENT}:
        raise LocalError(f"not all posts were taken: {Counter(outcomes)}")
    return wall / len(jobs) * 1e6, used / len(jobs) * 1e6


def _boto_microseconds(place: Place, threads: int) -> float:
    """Time of a post by boto3 over a pool of threads that have their connections."""
    config = Config(max_pool_connections=threads, retries={"total_max_attempts": 1})
    session = boto3.Session(*_KEYS, region_name=REGION)
    client = session.client("apigatewaymanagementapi", endpoint_url=place.url, verify=str(place.certificate), config=config)

    def post(job: Job) -> None:
        client.post_to_connection(ConnectionId=job.connection, Data=job.frames[0])

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(post, _jobs("ok", 2 * threads)))
        started = time.perf_counter()
        list(pool.map(post, _jobs("ok", BOTO_CONNECTIONS)))
        return (time.perf_counter() - started) / BOTO_CONNECTIONS * 1e6


def _seconds(place: Place, gateway: ManagementApi, jobs: Sequence[Job]) -> float:
    """Until the last good connection's frame came in."""
    place.counts()
    gateway.run(jobs, seconds=2)
    seconds: float = place.counts()["seconds"]["ok"]
    return seconds


def _most(what: str, counts: dict[str, Any]) -> Figure:
    rate = counts["requests"]["ok"] / counts["seconds"]["ok"]
    return Figure(what, counts["peak"], "", f"{rate:,.0f}/s on average; {SHARE:g}/s are allowed", SHARE)


@contextmanager
def _endpoint() -> Iterator[Place]:
    """The endpoint, while it runs."""
    with TemporaryDirectory(prefix="bench-fanout-") as folder:
        port, certificate = free_port(), self_signed(Path(folder) / "certificate.pem")
        command = [sys.executable, "-m", "bench.fanout_endpoint", str(port), str(certificate)]
        child = Child.start("endpoint", command, os.environ, Path(folder) / "endpoint.log", ROOT)
        try:
            child.wait_until(lambda: not port_is_free(port))
            yield Place(f"https://localhost:{port}/live", certificate)
        finally:
            stop([child.process])
