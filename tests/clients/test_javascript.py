"""clients/realtime.js as a piece of software: how big it is, whether its types hold, and Node."""

import gzip
import json
import subprocess
from pathlib import Path

import pytest

from local.places import ROOT
from tests.deployment import deployed

HERE = Path(__file__).parent
LIMIT = 8 * 1024


def run(*command: str) -> bytes:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    return done.stdout


def test_bundle_is_small() -> None:
    """Below 8 KB, minified by esbuild as it is and compressed by gzip: all three transports, fallback, tabs."""
    bundle = run("node_modules/.bin/esbuild", "clients/realtime.js", "--bundle", "--minify", "--format=esm", "--target=es2022")
    assert len(gzip.compress(bundle, 9)) < LIMIT


def test_nothing_is_imported_from_elsewhere() -> None:
    """No dependency: each module imports its neighbours only."""
    lines = [line for file in (ROOT / "clients").glob("*.js") for line in file.read_text().splitlines() if line.startswith("import ")]
    assert lines
    assert not [line for line in lines if 'from "./' not in line]


def test_types_hold() -> None:
    """`tsc --strict` accepts what people write, and refuses what is wrong."""
    run("node_modules/.bin/tsc", "--strict", "--noEmit", "--target", "es2022", "--module", "nodenext", str(HERE / "types.ts"))


@pytest.mark.parametrize("topic", ["ticker", "alerts/1", "orders/1"])
def test_it_runs_in_node(topic: str, tmp_path: Path) -> None:
    """The same module, as a backend would use it; where Node has no WebSocket, fallback begins with SSE."""
    with deployed(tmp_path) as place:
        for n in range(3):
            place.publish(topic, {"n": n})
        told = json.loads(run("node", "--no-warnings", str(HERE / "node.mjs"), place.url, topic, place.token("ann", 3600), "3"))
        assert told["got"] == [0, 1, 2]
