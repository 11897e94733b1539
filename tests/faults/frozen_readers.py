"""`python -m tests.faults.frozen_readers PORT READERS EVENTS`: readers of a hub, to be frozen and thawed; prints what they have missed."""

import asyncio
import sys

from tests.hubs import Alone, Reader, all_connected, settle

BUFFER = 8 * 1024
SECONDS = 60.0


async def main(port: int, count: int, events: int) -> None:
    readers = [Reader(Alone([port]), buffer=BUFFER) for _ in range(count)]
    tasks = [asyncio.ensure_future(reader.run()) for reader in readers]
    await all_connected(readers)
    print("connected", flush=True)
    await settle(readers, events, SECONDS)
    wrong = sum(reader.numbers != list(range(1, events + 1)) or bool(reader.odd) for reader in readers)
    print(f"{wrong} wrong, {sum(reader.connections > 1 for reader in readers)} came back", flush=True)
    for task in tasks:
        task.cancel()


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
