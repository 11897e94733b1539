"""Cold import: how long a function's module takes to import in a fresh process, in ms; ours against the least that serves.

Each round starts one process per module, one after another, so that a busy machine disturbs all of them alike. Files are
in the page cache (an unmeasured first round reads them); Lambda's own start, the download of the zip and the interpreter's
start are not in the figure. See `bench.sandbox` for what is like Lambda.
"""

from dataclasses import dataclass

from bench.compare import compare
from bench.report import Figure, Report
from bench.sandbox import Sandbox, sandbox
from local.progress import step

ROUNDS = 11

_IMPORT = "import importlib, sys, time; s = time.perf_counter(); importlib.import_module(sys.argv[1]); print(time.perf_counter() - s)"


@dataclass(frozen=True, slots=True)
class Race:
    """An asset's modules against a bare one; `goal`: times its import."""

    asset: str
    bare: str
    ours: tuple[str, ...]
    goal: float


RACES = (
    Race("http", "bench.bare_import", ("functions.http.reads", "functions.http.front_door"), 1.3),
    Race("websocket", "bench.bare_client", ("functions.websocket.handler",), 1.4),
)


def run() -> Report:
    """Median of 11 rounds."""
    figures = tuple(figure for race in RACES for figure in _run(race))
    return Report(f"median of {ROUNDS}, alternating; asset not byte-compiled, boto3 byte-compiled, as on Lambda", figures)


def _run(race: Race) -> list[Figure]:
    modules = (race.bare, *race.ours)
    with sandbox(race.asset) as place, step(f"cold: {ROUNDS} rounds of {len(modules)} imports, each in a process of its own"):
        rounds = [{module: _milliseconds(place, module) for module in modules} for _ in range(1 + ROUNDS)][1:]
    bare = [r[race.bare] for r in rounds]
    return [figure for module in race.ours for figure in compare(module, [r[module] for r in rounds], bare, race.goal, race.bare)]


def _milliseconds(place: Sandbox, module: str) -> float:
    folder = place.bare if module.startswith("bench.") else place.task
    return float(place.run(folder, ["-c", _IMPORT, module])) * 1000
