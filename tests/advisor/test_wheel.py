"""What `pip install` gives: both commands, from a wheel, in an environment that has nothing else of this repository."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UV = [sys.executable, "-m", "uv"]


def done(*command: object, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    words = [str(word) for word in command]
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the commands, after an installation without extras."""
    folder = tmp_path_factory.mktemp("wheel")
    built = done(*UV, "build", "--wheel", "--out-dir", folder, ROOT)
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("*.whl")
    done(*UV, "venv", "--python", sys.executable, folder / "venv")
    added = done(*UV, "pip", "install", "--python", folder / "venv/bin/python", wheel)
    assert added.returncode == 0, added.stderr
    return folder / "venv/bin"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """Another folder, with a features file and its schemas."""
    shutil.copy(ROOT / "features.toml", tmp_path)
    shutil.copytree(ROOT / "schemas", tmp_path / "schemas")
    return tmp_path


def test_commands_work(installed: Path, elsewhere: Path) -> None:
    """With prices, without the plot and cdk extras."""
    advised, costed = (done(installed / name, "features.toml", "--json", folder=elsewhere) for name in ("advise", "cost"))
    assert (advised.returncode, costed.returncode) == (0, 0), advised.stderr + costed.stderr
    assert json.loads(advised.stdout)["features"]["chat"]["recommended"]["way"] == "websocket"
    assert json.loads(costed.stdout)["total"]["usd"] > 0


def test_figure_says_which_extra_it_needs(installed: Path, elsewhere: Path) -> None:
    """One sentence, exit 2."""
    drawn = done(installed / "cost", "--plot", "x.svg", folder=elsewhere)
    assert (drawn.returncode, drawn.stderr) == (2, 'error: a figure needs matplotlib: pip install "realtime-blueprints[plot]"\n')
    assert not (elsewhere / "x.svg").exists()
