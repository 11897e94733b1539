"""`python -m tests.clients.herd URL --clients 1000`: clients of one stream, all of which lose it in the same moment.

It prints `ready` when all of them are served, and in the end, as JSON, how many clients have got which seqs.
"""

import argparse
import asyncio
import json
import resource
import ssl
from collections import Counter
from random import Random

import httpx2
import uvloop

from clients import Status, connect
from realtime.tokens import issue
from tests.helpers import SECRET

TOPIC = "alerts/a"
EVENTS = 2
START_SECONDS = 0.006
"""Between two of them, to begin with."""

END_SECONDS = 120.0


async def one(url: str, token: str, number: int, context: ssl.SSLContext, live: asyncio.Event) -> tuple[int, ...]:
    """A client, until it has both events: their seqs."""

    def told(status: Status) -> None:
        if status.state == "live":
            live.set()

    await asyncio.sleep(number % 1_000 * START_SECONDS)
    http = httpx2.AsyncClient(verify=context, timeout=None, limits=httpx2.Limits())
    async with http, connect(f"{url}/client.json", token=token, http=http, random=Random(number)) as client:
        seqs: list[int] = []
        async for event in client.subscribe(TOPIC, on_status=told):
            seqs.append(event.seq)
            if len(seqs) == EVENTS:
                break
        return tuple(seqs)


async def herd(url: str, clients: int, first: int) -> "Counter[str]":
    context, token = ssl.create_default_context(), issue(SECRET, "ann", 3600)
    lives = [asyncio.Event() for _ in range(clients)]
    tasks = [asyncio.ensure_future(one(url, token, first + number, context, live)) for number, live in enumerate(lives)]
    async with asyncio.timeout(120):
        await asyncio.gather(*(live.wait() for live in lives))
    print("ready", flush=True)
    done, late = await asyncio.wait(tasks, timeout=END_SECONDS)
    for task in late:
        task.cancel()
    return Counter(str(task.result()) for task in done) + Counter({"late": len(late)})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--clients", type=int, default=1_000)
    parser.add_argument("--first", type=int, default=0)
    chosen = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(dict(runner.run(herd(chosen.url, chosen.clients, chosen.first)))))


if __name__ == "__main__":
    main()
