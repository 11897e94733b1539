"""Set-up on a machine that lacks something: one clear sentence, not a traceback."""

import subprocess
import sys
from pathlib import Path

import pytest

SETUP = Path(__file__).parents[2] / "local/setup.py"


def run(tmp_path: Path, *arguments: str, node: str | None, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run set-up in a copy of the project that has nothing but the locks, with a PATH of its own."""
    for name in ("uv.lock", "package-lock.json"):
        (tmp_path / name).write_text((SETUP.parents[1] / name).read_text())
    (tmp_path / "local").mkdir(exist_ok=True)
    (tmp_path / "local/setup.py").write_text(SETUP.read_text())
    (tmp_path / "bin").mkdir(exist_ok=True)
    for name in ("node", "npm") if node else ():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\necho {node}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    command = [sys.executable, str(tmp_path / "local/setup.py"), *arguments]
    return subprocess.run(command, env={"PATH": str(tmp_path / "bin"), **environment}, check=False, capture_output=True, text=True)


@pytest.mark.parametrize(("node", "told"), [(None, "Node.js 20 or newer and npm are needed:"), ("v18.1.0", "this is 18")])
def test_missing_or_old_node_is_told(tmp_path: Path, node: str | None, told: str) -> None:
    """Which prerequisite, which version, where to get it."""
    done = run(tmp_path, node=node)
    assert done.returncode != 0
    assert told in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("option", ["--tests", "--bench"])
def test_missing_packages_are_told(tmp_path: Path, option: str) -> None:
    """With the command that installs them: a note on somebody's machine, the end in CI, which must not leave tests out."""
    note, end = run(tmp_path, option, node=None), run(tmp_path, option, node=None, CI="1")
    assert "apt-get install -y --no-install-recommends" in note.stdout
    assert "chromium" in note.stdout
    assert end.stderr == note.stdout.replace("note: ", "error: ")


def test_old_python_is_told(tmp_path: Path) -> None:
    """The script has no syntax that an old Python could not read, so it can say that it is too old."""
    source = SETUP.read_text().replace("sys.version_info < (3, 11)", "sys.version_info < (99,)")
    (tmp_path / "setup.py").write_text(source)
    done = subprocess.run([sys.executable, tmp_path / "setup.py"], check=False, capture_output=True, text=True)
    assert done.stderr.startswith("error: Python 3.11 or newer is needed, this is 3.")
