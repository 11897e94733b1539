"""Cold import: how long a function's module takes to import in a fresh process, in ms; ours against a bare FastAPI function.

Each round starts one process per module, one after another, so that a busy machine disturbs all of them alike. Files are
in the page cache (an unmeasured first round reads them); Lambda's own start, the download of the zip and the interpreter's
start are not in the figure. See `bench.sandbox` for what is like Lambda.
"""

from bench.compare import compare
from bench.report import Report
from bench.sandbox import Sandbox, sandbox
from local.progress import step

ROUNDS = 11
GOAL = 1.3  # times the bare function's import
BARE = "bench.bare_import"
OURS = ("functions.http.reads", "functions.http.front_door")

_IMPORT = "import importlib, sys, time; s = time.perf_counter(); importlib.import_module(sys.argv[1]); print(time.perf_counter() - s)"


def run() -> Report:
    """Median of 11 rounds."""
    with sandbox() as place, step(f"cold: {ROUNDS} rounds of {1 + len(OURS)} imports, each in a process of its own"):
        rounds = [_round(place) for _ in range(1 + ROUNDS)][1:]
    bare = [r[BARE] for r in rounds]
    figures = [figure for module in OURS for figure in compare(module, [r[module] for r in rounds], bare, GOAL)]
    return Report(f"median of {ROUNDS}, alternating; asset not byte-compiled, boto3 byte-compiled, as on Lambda", tuple(figures))


def _round(place: Sandbox) -> dict[str, float]:
    return {module: _milliseconds(place, module) for module in (BARE, *OURS)}


def _milliseconds(place: Sandbox, module: str) -> float:
    folder = place.bare if module == BARE else place.task
    return float(place.run(folder, ["-c", _IMPORT, module])) * 1000
