"""A storm: 2,000 clients lose the server in one moment, and it stays away for some seconds. They come back spread out, and all of them."""

import asyncio
import json
import resource
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random

import httpx2
import pytest

from clients import connect
from local.places import ROOT
from tests.clients.herd import TOPIC
from tests.clients.virtual import Streams, in_no_time
from tests.deployment import Deployment, deployed

CLIENTS, PROCESSES = 2_000, 2
AWAY_SECONDS = 6.0
BACK_SECONDS = 60.0
"""The longest wait of all; who fails once more in those 6 s than most do waits 16 or 32 s."""

BIN = 0.1
FACTS = {
    "http": "http://shop.example",
    "sse": {"service": {"url": "http://shop.example"}},
    "features": {"alerts": {"pattern": "sse", "host": "service", "public": True, "keep": "all"}},
}


def even(at: float) -> float:
    """Tries in 100 ms, if they were spread evenly over the window that begins 0, 1, 3, 7 s ... after the cut."""
    window = 1.0
    while at >= 2 * window - 1:
        window *= 2
    return CLIENTS * BIN / window


def test_the_server_never_sees_twice_the_even_spread() -> None:
    """Per 100 ms, over windows of 1 s for the first try, 2 s for the second ...; and all are back in time. The clock is virtual."""

    async def test() -> None:
        loop, streams = asyncio.get_running_loop(), Streams()
        async with httpx2.AsyncClient(transport=streams) as http:
            clients = [connect(FACTS, http=http, random=Random(number)) for number in range(CLIENTS)]
            held = [(await client.__aenter__()).subscribe(TOPIC) for client in clients]
            await asyncio.sleep(6)
            assert streams.open == CLIENTS
            streams.away, streams.tries, began = True, [], loop.time()
            streams.break_off()
            await asyncio.sleep(AWAY_SECONDS)
            streams.away = False
            await asyncio.sleep(BACK_SECONDS)
            assert streams.open == len(held) == CLIENTS
            bins = Counter(int((at - began) / BIN) for at in streams.tries)
            last = round(max(streams.tries) - began, 1)
            print(json.dumps({"clients": CLIENTS, "last_s": last, "tries_per_100_ms": [bins[number] for number in range(100)]}))
            assert [number for number, count in bins.items() if count > 2 * even(number * BIN)] == []
            for client in clients:
                await client.__aexit__(None, None, None)

    in_no_time(test())


@pytest.mark.soak
@pytest.mark.timeout(400)
def test_two_thousand_real_ones_come_back(tmp_path: Path) -> None:
    """Over real sockets, where streams say `retry` between 2 and 6 s: nobody before that, none starved, none with a hole.

    Two cores that servers and clients share bring a tenth of a second into disorder, so what is judged here is each second.
    """
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with deployed(tmp_path) as deployment:
        herds = [begin(deployment, number) for number in range(PROCESSES)]
        assert [herd.stdout.readline().strip() for herd in herds if herd.stdout] == ["ready"] * PROCESSES
        deployment.publish(TOPIC, "before")
        began, before = time.monotonic(), len(deployment.accepted("sse"))
        deployment.cut("sse")
        while deployment.open("sse") < CLIENTS or len(deployment.accepted("sse")) < before + CLIENTS:
            assert time.monotonic() < began + 90, f"only {deployment.open('sse')} are back"
            time.sleep(0.05)
        back = time.monotonic() - began
        deployment.publish(TOPIC, "after")
        told = sum((Counter(json.loads(herd.communicate(timeout=120)[0])) for herd in herds), Counter[str]())
        tries = [at - began for at in deployment.accepted("sse")[before:]]
    seconds = Counter(int(at) for at in tries)
    print(
        json.dumps(
            {"clients": CLIENTS, "back_s": round(back, 1), "first_s": round(min(tries), 2), "tries_per_s": dict(sorted(seconds.items()))}
        )
    )
    assert told == Counter({"(1, 2)": CLIENTS})
    assert min(tries) >= 2
    assert max(seconds.values()) <= 2 * CLIENTS / 4


def begin(deployment: Deployment, number: int) -> "subprocess.Popen[str]":
    """A process with its share of the clients."""
    command = [sys.executable, "-m", "tests.clients.herd", deployment.url, "--clients", str(CLIENTS // PROCESSES)]
    return subprocess.Popen([*command, "--first", str(number * 1_000)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
