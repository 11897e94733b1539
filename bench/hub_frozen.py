"""Readers that are frozen (SIGSTOP), among others: what the others notice of them.

Twice the same run, once with the hundred alive and once with them frozen from the start: 20 events are timed, and after each
come ten of 3 KB that nobody times. They fill what may wait for a frozen reader, who so is closed during the run.
"""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from statistics import median

from bench import hub_servers
from bench.compare import compare
from bench.hub_client import EVENTS, PACE_SECONDS, Load, Publisher, Tally
from bench.report import Figure
from local.progress import console, step

OTHERS, FROZEN = 900, 100
FILLERS, FILLER_BYTES = 10, 3_000
EVENT_SECONDS = 20.0

GOAL_RATIO = 1.2
GOAL_MB = 64


def run(folder: Path, load: Path, rounds: int) -> Iterator[Figure]:
    """Alternating, as the other runs."""
    runs: dict[bool, list[tuple[Tally, float]]] = {False: [], True: []}
    for number in range(rounds):
        for frozen in (False, True)[:: -1 if number % 2 else 1]:
            with step(f"hub: {OTHERS} readers, {FROZEN} more that are {'frozen' if frozen else 'alive'}"):
                runs[frozen].append(_run(folder, load, frozen=frozen))
            console.print(f"    p50 {runs[frozen][-1][0].p50_ms:.1f}, p99 {runs[frozen][-1][0].p99_ms:.1f} ms")
    p99 = {frozen: [tally.p99_ms for tally, _ in made] for frozen, made in runs.items()}
    yield from compare(f"{FROZEN} frozen readers, p99 of the {OTHERS} others", p99[True], p99[False], GOAL_RATIO, "all alive")
    yield Figure("  lost, repeated, out of order", sum(tally.wrong for tally, _ in runs[True]), "", "of the others", 0)
    grown = [median(kilobytes for _, kilobytes in made) / 1024 for made in (runs[True], runs[False])]
    yield Figure("  memory grew by", grown[0], "MB", f"all alive: {grown[1]:.3g} MB", GOAL_MB)


def _run(folder: Path, load: Path, *, frozen: bool) -> tuple[Tally, float]:
    """What the others got, and by how many KB the hub grew from the first event on."""
    with (
        hub_servers.hub(folder) as server,
        closing(Publisher(server)) as publisher,
        Load(load, server, OTHERS) as others,
        Load(load, server, FROZEN) as more,
    ):
        if frozen:
            more.freeze()
        server.settle()
        before, most = server.memory(), 0
        for number in range(1, EVENTS + 1):
            due = time.monotonic() + PACE_SECONDS
            publisher.publish(number)
            others.says(f"all {number}", EVENT_SECONDS)
            for _ in range(FILLERS):
                publisher.fill(FILLER_BYTES)
            most = max(most, server.memory())
            time.sleep(max(0.1, due - time.monotonic()))
        return others.end(), most - before
