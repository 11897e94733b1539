"""A hundred readers that are frozen, among a thousand."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from local.places import ROOT
from local.process import Child, free_port, stop
from tests.helpers import SECRET
from tests.hubs import FEATURES, Alone, Reader, all_connected, all_once_in_order, publish, readiness, settle

READERS, FROZEN = 900, 100
EVENTS, SIZE, PER_SECOND = 150, 3_000, 25
MEGABYTE = 1 << 20


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[tuple[int, psutil.Process]]:
    """One, with its log in memory: its port and its process."""
    (tmp_path / "features.toml").write_text(FEATURES)
    port = free_port()
    command = [sys.executable, "-m", "services.sse", "--port", str(port), "--features", str(tmp_path / "features.toml")]
    child = Child.start("hub", command, os.environ | {"REALTIME_LOG": "memory", "REALTIME_SECRET": SECRET}, tmp_path / "hub.log", ROOT)
    try:
        child.wait_until(lambda: readiness(port)[0] == 200)
        yield port, psutil.Process(child.popen.pid)
    finally:
        stop([child.process])


def test_frozen_readers_are_closed_and_lose_nothing(hub: tuple[int, psutil.Process]) -> None:
    """They hold up nobody and cost a bounded piece of memory; the hub closes them; thawed, they have everything, once and in order."""
    port, process = hub
    command = [sys.executable, "-m", "tests.faults.frozen_readers", str(port), str(FROZEN), str(EVENTS)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as frozen:
        assert frozen.stdout
        assert frozen.stdout.readline() == "connected\n"
        frozen.send_signal(signal.SIGSTOP)
        try:
            grown = asyncio.run(others_read_on(port, process))
        finally:
            frozen.send_signal(signal.SIGCONT)
        said, _ = frozen.communicate(timeout=90)
    print(json.dumps({"readers": READERS, "frozen": FROZEN, "memory_grown_mb": round(grown / MEGABYTE, 1), "thawed": said.strip()}))
    assert said == f"0 wrong, {FROZEN} came back\n"
    assert grown < 64 * MEGABYTE


async def others_read_on(port: int, process: psutil.Process) -> int:
    """By how many bytes the hub has grown at most, until all others have everything and the frozen ones are closed."""
    readers = [Reader(Alone([port]), head_seconds=30) for _ in range(READERS)]
    reading = [asyncio.ensure_future(reader.run()) for reader in readers]
    await all_connected(readers)
    before, most = process.memory_info().rss, 0
    publishing = asyncio.ensure_future(publish(Alone([port]), EVENTS, PER_SECOND, size=SIZE))
    while not publishing.done():
        most = max(most, process.memory_info().rss)
        await asyncio.sleep(0.1)
    await publishing
    await settle(readers, EVENTS)
    all_once_in_order(readers, EVENTS)
    assert {reader.connections for reader in readers} == {1}
    assert process.num_fds() < READERS + FROZEN
    for task in reading:
        task.cancel()
    return most - before
