"""One client through a script of faults, and 200 at once through faults drawn at random, at 50 events a second: once, in order."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from clients import Client
from local.places import ROOT
from tests.clients.conftest import Reader, client_of, run, until
from tests.clients.crowd import TOPIC, Transport
from tests.deployment import Deployment

SOAK = os.environ.get("SOAK") == "full"
SECONDS = 120 if SOAK else 20
PER_SECOND = 50
PROCESSES, CLIENTS = 2, 200  # 10,000 deliveries a second: some 60 % of two cores, servers included

NETWORK: tuple[Transport, ...] = ("websocket", "sse", "polling")

SCRIPT: tuple[Callable[[Deployment, Client], None], ...] = (
    lambda _, client: switch(client, "websocket"),
    lambda _, client: switch(client, "sse"),
    lambda _, client: switch(client, *NETWORK, cut=False),
    lambda deployment, _: deployment.cut(),
    lambda _, client: switch(client, *NETWORK),
    lambda _, client: switch(client, *NETWORK, cut=False),
)
"""What befalls one client, one after the other, of its own network and of the servers'."""


def switch(client: Client, *transports: Transport, cut: bool = True) -> None:
    for transport in transports:
        client.cut(transport, cut)


def publishing(deployment: Deployment, seconds: float) -> int:
    """Publish numbers, at that pace; how many."""
    began, count = time.monotonic(), int(PER_SECOND * seconds)
    for number in range(count):
        time.sleep(max(0.0, began + number / PER_SECOND - time.monotonic()))
        deployment.publish(TOPIC, number)
    return count


def during(restarts: list[tuple[float, float]], noticed: float, first: float) -> float | None:
    """When the servers were back, if they were gone in that time: until then nothing can serve."""
    return next((up for down, up in restarts if noticed < up and first > down), None)


def figures(waits: list[float]) -> dict[str, float]:
    ordered = sorted(waits)
    p50, p95, most = (round(ordered[int(share * (len(ordered) - 1))], 3) for share in (0.5, 0.95, 1))
    return {"n": len(ordered), "p50": p50, "p95": p95, "max": most}


@pytest.mark.soak
def test_one_client_through_everything(deployment: Deployment) -> None:
    """WebSocket cut, SSE cut, both back, all connections broken, network off and on, servers restarted: at 50 events a second."""

    async def test() -> None:
        async with client_of(deployment) as client:
            reader = Reader(client, TOPIC, after="0-0")
            await reader.by("websocket")
            feeding = asyncio.ensure_future(asyncio.to_thread(publishing, deployment, SECONDS))
            waits: list[float] = []
            while not feeding.done():
                for fault in SCRIPT:
                    noticed, before = time.monotonic(), len(reader.events)
                    fault(deployment, client)
                    off = len(client.cuts) == len(NETWORK)
                    if not off and not feeding.done():
                        await until(lambda before=before: reader.status.transport and len(reader.events) > before)
                        waits.append(time.monotonic() - noticed)
                    await asyncio.sleep(SECONDS / 20)
                await asyncio.to_thread(deployment.restart, 0.5)
            count = await feeding
            await reader.until(count, 20)
            assert (reader.data, reader.resets) == (list(range(count)), [])
            print(json.dumps({"clients": 1, "events": count, **figures(waits)}))

    run(test(), SECONDS + 60)


@pytest.mark.soak
@pytest.mark.timeout(400)
def test_two_hundred_through_faults_of_their_own(deployment: Deployment) -> None:
    """Each loses WebSocket, SSE or everything when chance will have it, and all of them the servers, twice."""
    part_seconds = SECONDS / 3
    each = 3 * int(PER_SECOND * part_seconds)
    crowds = [begin(deployment, each, seed) for seed in range(PROCESSES)]
    assert [crowd.stdout.readline().strip() for crowd in crowds if crowd.stdout] == ["ready"] * PROCESSES
    restarts, spent = [], time.process_time()
    for part in range(3):
        if part:
            down = time.monotonic()
            deployment.restart(0.5)
            restarts.append((down, time.monotonic()))
        publishing(deployment, part_seconds)
    cpu = [round(time.process_time() - spent, 1)]
    told = [crowd.communicate(timeout=SECONDS + 150)[0].splitlines() for crowd in crowds]
    members: list[dict[str, Any]] = [json.loads(line) for lines in told for line in lines[:-1]]
    assert {(member["events"], tuple(member["wrong"]), member["resets"]) for member in members} == {(each, (), 0)}
    cpu += [float(lines[-1]) for lines in told]  # seconds: of the servers, and of each process of clients
    transports = sum((Counter(member["transports"]) for member in members), Counter[str]())
    waits = [(noticed, first) for member in members for noticed, first in member["waits"]]
    cuts = figures([first - noticed for noticed, first in waits if not during(restarts, noticed, first)])
    back = figures([first - up for noticed, first in waits if (up := during(restarts, noticed, first))])
    faults = sum(member["faults"] for member in members)
    print(
        json.dumps(
            {"clients": len(members), "events": each, "faults": faults, "cuts": cuts, "restarts": back, "by": transports, "cpu": cpu}
        )
    )
    assert len(members) == CLIENTS
    assert cuts["p95"] < 2 or not SOAK  # the short form runs beside other tests


def begin(deployment: Deployment, events: int, seed: int) -> "subprocess.Popen[str]":
    """A process with its share of the clients."""
    command = [sys.executable, "-m", "tests.clients.crowd", deployment.url, str(events), "--seed", str(seed)]
    more = ["--clients", str(CLIENTS // PROCESSES), "--seconds", str(SECONDS + 5)]
    return subprocess.Popen([*command, *more], cwd=ROOT, stdout=subprocess.PIPE, text=True)
