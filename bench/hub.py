"""The hub: how soon an event reaches thousands of readers of one process, and what a reader costs, beside nchan and sse-starlette.

A run starts a server, opens the readers, publishes 20 events of 100 bytes to all of them, and ends the server. Ours and
nchan (nginx, C) take turns, so that a machine that drifts does so for both; sse-starlette, much slower, runs once. The
figures compare medians; a ratio is the median of the rounds' ratios.

One more event comes before the readers: what is imported at the first is a matter of starting, and no reader may get it.

Times are from just before the publisher's request to the `recv()` of each reader, over all readers and events. So the
request itself is in them: ours goes through FastAPI, the token's check and the log (in memory). Our events also carry an
envelope (topic, seq, cursors), some 250 bytes in all; nchan's and sse-starlette's are the 100 bytes and an id or nothing.

Memory is that of the server's processes (PSS) with all readers connected, before or after the events, whichever is more,
less the same processes idle after their start. The kernel's socket buffers are not in it; they are the same for every server.

How we know that the client is not the limit: it is one C thread that only receives (bench/hub_load.c). Its processor time
is shown as a share of the time in which events were on their way: below 100 % it waited for the server. And the floor, a
loop of `send()` in C (bench/hub_floor.c), shows what client and kernel take when the server does nothing else.

On two cores server and client have one each; the publisher takes some of either for a moment.
"""

import resource
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

from bench import hub_frozen, hub_joined, hub_servers
from bench.compare import compare
from bench.hub_client import BYTES, EVENTS, Load, Publisher, Tally, compiled, publish
from bench.hub_servers import BENCH, Server
from bench.report import Figure, Report
from local.places import LocalError
from local.progress import console, step

SIZES = (5000, 9000)
ROUNDS = 5

GOAL_RATIO = 1.0  # of nchan's p99
GOAL_KB = 20
SPARE_FILES = 100

Start = Callable[[Path], AbstractContextManager[Server]]


class Run(NamedTuple):
    """One server, all readers, all events."""

    tally: Tally
    kilobytes: float
    """Per connection."""


def run(sizes: Sequence[int] = SIZES, rounds: int = ROUNDS) -> Report:
    """Everything: with the defaults some 15 minutes."""
    _allow_files(max(sizes))
    with TemporaryDirectory(prefix="bench-hub-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # started by root, nginx works as another user
        load, floor = (compiled(BENCH / f"hub_{part}.c", folder) for part in ("load", "floor"))
        once: dict[str, Start] = {"floor": partial(hub_servers.floor, program=floor)}
        if trouble := hub_servers.sse_starlette_trouble():
            console.print(f"  [yellow]sse-starlette is left out: {trouble}[/]")
        else:
            once["sse-starlette"] = hub_servers.sse_starlette
        figures = [figure for size in sizes for figure in _size(folder, load, size, rounds, once)]
        figures += hub_frozen.run(folder, load, rounds)
        figures += hub_joined.run(folder, load, min(sizes))
    conditions = f"median of {rounds} alternating rounds, {EVENTS} events of {BYTES} bytes, one process a server, all on this machine"
    return Report(conditions, tuple(figures))


def _size(folder: Path, load: Path, size: int, rounds: int, once: dict[str, Start]) -> Iterator[Figure]:
    """One number of connections."""
    pair: list[tuple[str, Start]] = [("hub", hub_servers.hub), ("nchan", hub_servers.nchan)]
    others = {name: _run(folder, load, name, start, size) for name, start in once.items()}
    runs: dict[str, list[Run]] = {"hub": [], "nchan": []}
    for number in range(rounds):
        for name, start in pair[:: -1 if number % 2 else 1]:
            runs[name].append(_run(folder, load, name, start, size))
    yield from _against_nchan(size, runs["hub"], runs["nchan"])
    for name, other in others.items():
        yield from _other(size, name, other)


def _run(folder: Path, load: Path, name: str, start: Start, size: int) -> Run:
    with step(f"hub: {size} readers of {name}"), start(folder) as server:
        made = measure(load, server, size)
    console.print(
        f"    p50 {made.tally.p50_ms:.1f}, p99 {made.tally.p99_ms:.1f} ms, {made.kilobytes:.1f} KB a reader, {_client(made.tally)}"
    )
    return made


def measure(load: Path, server: Server, size: int) -> Run:
    """Readers and events for a server that has just been started."""
    server.settle()
    idle = server.memory()
    with closing(Publisher(server)) as publisher, Load(load, server, size) as readers:
        server.settle()
        before = server.memory()
        publish(publisher, [readers])
        used = max(before, server.memory()) - idle
        return Run(readers.end(), used / size)


def _against_nchan(size: int, ours: Sequence[Run], nchan: Sequence[Run]) -> Iterator[Figure]:
    where = f"{size} readers"
    for point in ("p50_ms", "p95_ms"):
        mine, theirs = (median(getattr(each.tally, point) for each in runs) for runs in (ours, nchan))
        yield Figure(f"{where}, {point[:3]}", mine, "ms", f"nchan: {theirs:.3g} ms")
    p99 = [[each.tally.p99_ms for each in runs] for runs in (ours, nchan)]
    yield from compare(f"{where}, p99", p99[0], p99[1], GOAL_RATIO, "nchan")
    wrong, theirs = (sum(each.tally.wrong for each in runs) for runs in (ours, nchan))
    yield Figure("  lost, repeated, out of order", wrong, "", f"nchan: {theirs}; {ours[0].tally.delivered} deliveries a round", 0)
    memory = [median(each.kilobytes for each in runs) for runs in (ours, nchan)]
    yield Figure("  memory per connection", memory[0], "KB", f"nchan: {memory[1]:.3g} KB", GOAL_KB)
    busy = [median(each.tally.busy_percent for each in runs) for runs in (ours, nchan)]
    yield Figure("  the client was working", busy[0], "%", f"of the time of a fan-out; nchan's: {busy[1]:.3g} %")


def _other(size: int, name: str, run: Run) -> Iterator[Figure]:
    tally = run.tally
    what = "a loop of send() in C" if name == "floor" else f"{tally.wrong} lost, repeated or out of order"
    yield Figure(f"{size} readers, {name}, p50", tally.p50_ms, "ms", what)
    yield Figure(f"  {name}, p95", tally.p95_ms, "ms")
    yield Figure(f"  {name}, p99", tally.p99_ms, "ms", _client(tally))
    if name != "floor":
        yield Figure(f"  {name}, memory per connection", run.kilobytes, "KB")


def _client(tally: Tally) -> str:
    return f"client working {tally.busy_percent:.0f} %, {1e6 * tally.cpu_seconds / max(1, tally.delivered):.1f} us a delivery"


def _allow_files(size: int) -> None:
    """Each process holds as many sockets as there are readers."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < size + SPARE_FILES:
        raise LocalError(f"{size} readers need that many open files, and {hard} are allowed: raise it with ulimit -Hn, or ask for fewer")
    wanted = size + SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
