"""`python -m tests.clients.crowd URL EVENTS --clients 50 --seed 1`: clients, each with faults drawn at random.

It prints `ready` when all of them are served, in the end what became of each, a line of JSON, and the CPU seconds spent.
Each must get events 1 to EVENTS.
"""

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Literal

import httpx2
import uvloop

from clients import Client, Status, Subscription, connect
from realtime.tokens import issue
from tests.helpers import SECRET

Transport = Literal["websocket", "sse", "polling"]

TOPIC = "orders/1"
FAULTS: tuple[tuple[Transport, ...], ...] = (("websocket",), ("sse",), ("websocket", "sse"), ("websocket", "sse", "polling"))
CALM_SECONDS = (1.0, 8.0)
FAULT_SECONDS = (0.2, 3.0)
END_SECONDS = 90.0
"""For the last event, once it was published."""


@dataclass
class Told:
    """What became of a client."""

    events: int = 0
    wrong: list[int] = field(default_factory=list)  # seqs that came when another was due
    resets: int = 0
    faults: int = 0
    transports: dict[str, int] = field(default_factory=Counter)  # events by what served when they came
    waits: list[tuple[float, float]] = field(default_factory=list)  # notice of a cut and first event by another transport: time.monotonic()
    state: str = ""


class Member:
    """One client, its reader and its misfortunes."""

    def __init__(self, topic: str, events: int, random: Random) -> None:
        self.told = Told()
        self._topic, self._events, self._random = topic, events, random
        self._noticed: float | None = None
        self._served: str | None = None
        self._all_cut = False
        self.live = asyncio.Event()

    async def run(self, url: str, token: str, http: httpx2.AsyncClient, begin: asyncio.Event) -> None:
        async with connect(f"{url}/client.json", token=token, http=http, random=self._random) as client:
            subscription = client.subscribe(self._topic, after="0-0", on_status=self._status, on_reset=self._reset)
            misfortunes = asyncio.ensure_future(self._misfortunes(client, begin))
            try:
                await self._read(subscription)
            finally:
                misfortunes.cancel()
            self.told.state = subscription.status.state

    async def _read(self, subscription: Subscription) -> None:
        async for event in subscription:
            self.told.events += 1
            if event.seq != self.told.events:
                self.told.wrong.append(event.seq)
            self.told.transports[self._served or "none"] += 1
            if self._noticed is not None and self._served:
                self.told.waits.append((self._noticed, time.monotonic()))
                self._noticed = None
            if event.seq >= self._events:
                return

    def _status(self, status: Status) -> None:
        """A cut is noticed when nothing serves any more."""
        if status.transport is None and self._served and not self._all_cut:
            self._noticed = time.monotonic()
        self._served = status.transport
        if status.transport:
            self.live.set()

    def _reset(self, _: object) -> None:
        self.told.resets += 1

    async def _misfortunes(self, client: Client, begin: asyncio.Event) -> None:
        await begin.wait()
        while True:
            await asyncio.sleep(self._random.uniform(*CALM_SECONDS))
            fault = self._random.choice(FAULTS)
            self.told.faults += 1
            self._all_cut = len(fault) == len(FAULTS[-1])
            for transport in fault:
                client.cut(transport)
            await asyncio.sleep(self._random.uniform(*FAULT_SECONDS))
            for transport in fault:
                client.cut(transport, False)
            if self._all_cut and not self._served:  # before, nothing could have served
                self._noticed = time.monotonic()
            self._all_cut = False


async def crowd(url: str, events: int, clients: int, seed: int, seconds: float) -> list[Told]:
    """What became of all of them, at the latest after that time."""
    members = [Member(TOPIC, events, Random(seed * 1_000 + number)) for number in range(clients)]
    begin, token = asyncio.Event(), issue(SECRET, "ann", 3600)
    async with httpx2.AsyncClient(timeout=None, limits=httpx2.Limits()) as http:
        tasks = [asyncio.ensure_future(member.run(url, token, http, begin)) for member in members]
        async with asyncio.timeout(60):
            await asyncio.gather(*(member.live.wait() for member in members))
        print("ready", flush=True)
        begin.set()
        await asyncio.wait(tasks, timeout=seconds + END_SECONDS)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return [member.told for member in members]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("events", type=int)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=20)
    chosen = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        began = time.process_time()
        told = runner.run(crowd(chosen.url, chosen.events, chosen.clients, chosen.seed, chosen.seconds))
    for each in told:  # a line each: one long line is not written whole by an unbuffered Python
        print(json.dumps(vars(each)))
    print(round(time.process_time() - began, 1))
    sys.exit(0)


if __name__ == "__main__":
    main()
