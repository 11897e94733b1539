"""Shared polling: how many requests reach the origin when many clients poll one public topic through a shared cache.

The cache is nginx, set up like PollingStack's CloudFront cache policy (bench/nginx.conf). Where they differ: CloudFront
holds back the requests that meet an expired copy until the origin has answered one; nginx holds back those that meet no
copy at all, and with `proxy_cache_use_stale updating`, the nearest that it has, answers those at an expiry with the
expired copy. Such an answer is one poll late; the count at the origin is the same. nginx counts a copy's age in whole
seconds, so with s-maxage=5 a copy lives for 5 to 6 s, and a topic that is asked for all the time costs 10 to 12 origin
requests a minute. One nginx stands for Origin Shield, through which all edges ask; without a shield each region asks.

Conditions: clients keep their connection, send their own ETag, wait `Poll-After` and up to 20 % more; their starts are
spread over one interval. A publisher appends to the origin directly, every 10 s, the last time 13 s before the end, so that
every client can still see it. Everything runs on this machine; latency is that of loopback.
"""

import asyncio
import random
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

import httpx2

from bench.edge import Edge, edge
from bench.poller import Tally, poll
from bench.report import Figure, Report
from local.progress import step
from realtime.tokens import issue

FEATURES = Path(__file__).parent / "features.toml"
INTERVAL_SECONDS = 5.0  # latency of metrics in bench/features.toml, and so its Poll-After and s-maxage
STALE_SECONDS = 6.0 + 6.0 + 0.5  # a copy's life, a client's wait, the requests themselves: nobody may learn of an event later
LAST_EVENT_SECONDS = 13.0
SPARE_REQUESTS = 3  # above one per interval: the first miss, and the edges of the period


@dataclass(frozen=True, slots=True)
class Shared:
    """What one run counted. Latencies in ms; staleness, in s, is from the publisher's request to a client's first sight."""

    clients: int
    seconds: float
    requests: int
    origin_requests: int
    fresh: int
    """Answers with 200."""
    unchanged: int
    """Answers with 304."""
    others: int
    """Answers with any other status: there should be none."""
    errors: int
    """Broken connections and time-outs: there should be none."""
    bytes_in: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    events: int
    """Events that were published after the first clients had started."""
    sightings: int
    """How often a client saw one of them for the first time; clients x events where all saw all."""
    stale_p50_s: float
    stale_max_s: float
    cache: dict[str, int]
    """Answers by nginx's word for where they came from."""

    @property
    def most_origin_requests(self) -> int:
        """The goal: one per interval, and three."""
        return int(self.seconds / INTERVAL_SECONDS) + SPARE_REQUESTS


def run(clients: int, seconds: float) -> Report:
    """The bench: by default 1,000 clients for 60 s."""
    with step(f"shared: {clients} clients poll for {seconds:g} s"):
        result = shared_polling(clients, seconds)
    conditions = f"{clients} clients, {seconds:g} s, interval {INTERVAL_SECONDS:g} s; nginx on this machine as the cache"
    return Report(conditions, _figures(result))


def shared_polling(clients: int = 1000, seconds: float = 60.0, *, publish_every: float = 10.0) -> Shared:
    """Start origin and cache, let the clients poll for that long, stop everything, and count."""
    secret = secrets.token_hex(32)
    with edge(FEATURES, secret) as place:
        tally, published = asyncio.run(_period(place, secret, clients, seconds, publish_every))
        return _result(place, clients, seconds, tally, published)


async def _period(place: Edge, secret: str, clients: int, seconds: float, publish_every: float) -> tuple[Tally, dict[str, float]]:
    """Run clients and publisher side by side; return what clients saw, and when each ETag was published."""
    tally, token = Tally(), issue(secret, "bench", 3600, role="service")
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{place.origin_port}", timeout=5) as client:
        client.headers["authorization"] = f"Bearer {token}"
        await _publish(client, 0)  # so that there is something to poll
        begin, published = time.monotonic(), dict[str, float]()
        async with asyncio.timeout(seconds + 60), asyncio.TaskGroup() as tasks:
            for _ in range(clients):
                start = begin + random.uniform(0, min(INTERVAL_SECONDS, seconds))
                tasks.create_task(poll(place.port, "/topics/metrics", start, begin + seconds, tally))
            for n, at in enumerate(_schedule(seconds, publish_every), 1):
                await asyncio.sleep(max(0.0, begin + at - time.monotonic()))
                sent = time.monotonic()
                published[await _publish(client, n)] = sent
    return tally, published


def _schedule(seconds: float, every: float) -> list[float]:
    """When to publish, in seconds from the start: as often as fits before the last moment that all clients can see."""
    last = seconds - LAST_EVENT_SECONDS
    return [last - n * every for n in reversed(range(int(max(last, 0) // every) + 1))] if last > 0 else []


async def _publish(client: httpx2.AsyncClient, n: int) -> str:
    """Publish one event; return the ETag that it gives the topic."""
    answer = await client.post("/topics/metrics/events", json={"type": "figures", "data": {"n": n}})
    event = answer.raise_for_status().json()
    return f'"{event["epoch"]}-{event["seq"]}"'


def _result(place: Edge, clients: int, seconds: float, tally: Tally, published: dict[str, float]) -> Shared:
    stale = sorted(at - published[etag] for etag, at in tally.seen if etag in published)
    at_percent = _percentiles(tally.seconds)
    fresh, unchanged = tally.statuses.count(200), tally.statuses.count(304)
    return Shared(
        clients=clients,
        seconds=seconds,
        requests=len(tally.statuses),
        origin_requests=place.origin_requests(),
        fresh=fresh,
        unchanged=unchanged,
        others=len(tally.statuses) - fresh - unchanged,
        errors=tally.errors,
        bytes_in=tally.bytes_in,
        p50_ms=at_percent[49] * 1000,
        p95_ms=at_percent[94] * 1000,
        p99_ms=at_percent[98] * 1000,
        events=len(published),
        sightings=len(stale),
        stale_p50_s=median(stale) if stale else 0.0,
        stale_max_s=stale[-1] if stale else 0.0,
        cache=dict(place.answers()),
    )


def _percentiles(values: Sequence[float]) -> list[float]:
    """The 99 cut points between percents; zeros where there is nothing to cut."""
    return quantiles(values, n=100) if len(values) > 1 else [0.0] * 99


def _figures(result: Shared) -> tuple[Figure, ...]:
    from_cache = ", ".join(f"{count} {word}" for word, count in sorted(result.cache.items()))
    return (
        Figure("requests at the origin", result.origin_requests, "", f"{result.requests} of the clients", result.most_origin_requests),
        Figure("answers with 200", result.fresh, "", f"{result.unchanged} with 304"),
        Figure("other answers and broken connections", result.others + result.errors, "", from_cache, 0),
        Figure("bytes per answer, with headers", result.bytes_in / max(1, result.requests), "B"),
        Figure("latency p50", result.p50_ms, "ms"),
        Figure("latency p95", result.p95_ms, "ms"),
        Figure("latency p99", result.p99_ms, "ms"),
        Figure("publish to first seen, p50", result.stale_p50_s, "s", f"{result.sightings} sightings of {result.events} events"),
        Figure("publish to first seen, max", result.stale_max_s, "s", "a copy's life and a client's longest wait", STALE_SECONDS),
    )
