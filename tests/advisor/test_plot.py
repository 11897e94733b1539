"""The figure: every way named at its line, crossovers marked, and what it assumes written on it."""

import json
import re
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from advisor.advice import crossover
from advisor.commands import cost
from advisor.curves import DRAWN, crossings, curves
from advisor.load import Load
from advisor.plot import apart
from advisor.theme import DARK, LIGHT, Theme
from advisor.ways import NAMES
from tests.helpers import feature

ROOT = Path(__file__).parents[2]
FILE = str(ROOT / "features.toml")


def plot(path: Path, *words: str) -> Result:
    return CliRunner().invoke(cost, [FILE, "--plot", str(path), *words])


def texts(path: Path) -> str:
    """All text of a figure, a line each."""
    return "\n".join(re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text())).replace("&#x27;", "'")


def test_figure_names_every_way_and_every_crossover(tmp_path: Path) -> None:
    """As text that can be searched: ways, crossovers with their number of readers, the guide's band, the assumptions."""
    result = plot(tmp_path / "cost.svg")
    shown = texts(tmp_path / "cost.svg")
    crossed = result.stdout.splitlines()[1:]
    assert all(line in shown for line in crossed)
    assert any("SSE on Fargate costs less than polling" in line for line in crossed)
    assert all(NAMES[way] in shown for way in DRAWN)
    for word in (
        "managed service",
        "150-500 EUR a month for 10,000 connections",
        "seen within 1 min, open 8 h a day",
        "list prices of us-east-1",
    ):
        assert word in shown


def test_figure_of_a_feature(tmp_path: Path) -> None:
    """Of the file, with its own ways: what cannot meet its needs is not drawn; --open says otherwise how long."""
    plot(tmp_path / "chat.svg", "--feature", "chat", "--open", "24h/day", "--dark")
    shown = texts(tmp_path / "chat.svg")
    assert "chat: seen within 100 ms, open 24 h a day" in shown
    assert "WebSocket" in shown
    assert "polling" not in shown


def test_picture_for_people(tmp_path: Path) -> None:
    """A PNG where its name says so."""
    assert plot(tmp_path / "cost.png").exit_code == 0
    assert (tmp_path / "cost.png").read_bytes().startswith(b"\x89PNG")


def test_figure_for_programs(tmp_path: Path) -> None:
    """--json has the points of each curve and the crossovers."""
    found: dict[str, Any] = json.loads(plot(tmp_path / "cost.svg", "--json").stdout)
    assert [curve["way"] for curve in found["curves"]] == list(DRAWN)
    assert all(curve["readers"][-1] == 100_000 for curve in found["curves"])
    assert found["crossovers"]


def test_same_figure_twice_is_the_same_file(tmp_path: Path) -> None:
    """So that it can be kept in git."""
    plot(tmp_path / "a.svg")
    plot(tmp_path / "b.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_figure_of_the_docs_is_current(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """docs/images/cost.svg says what `cost --plot` says today; --snapshot-update draws it anew."""
    shown = ROOT / "docs/images/cost.svg"
    if request.config.getoption("--snapshot-update"):
        plot(shown)
    plot(tmp_path / "cost.svg")
    assert texts(shown) == texts(tmp_path / "cost.svg")


def test_crossing_is_where_costs_meet() -> None:
    """The number that `advise` tells, and at that number the second way costs less."""
    it = feature(latency="1min")
    found = {(each.now, each.then): each for each in crossings(it, list(DRAWN), "us-east-1")}
    turn = found["polling", "sse-service"]
    assert turn.readers == crossover(Load.of(it), "polling", "sse-service")


def test_curve_tells_where_the_deployment_ends() -> None:
    """There `advise` has an error, and the line is dotted: 1,000 running functions, 40,000 streams on the hubs."""
    ends = {
        curve.way: max(n for n, works in zip(curve.readers, curve.works, strict=True) if works)
        for curve in curves(feature(latency="1s"), "us-east-1")
    }
    assert ends["sse-lambda"] == 1_000
    assert 30_000 < ends["sse-service"] <= 40_000


@pytest.mark.parametrize("heights", [[0.1, 0.11, 0.12], [0.5], [0.0, 0.3, 0.31, 0.9], []])
def test_labels_keep_apart_and_near(heights: list[float]) -> None:
    """At least a line between them, in order, and no further moved than that needs."""
    moved = apart(heights, 0.05)
    assert all(after - before >= 0.05 - 1e-9 for before, after in pairwise(moved))
    assert all(abs(at - was) <= 0.05 for at, was in zip(moved, heights, strict=True))


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_colours_can_be_read(theme: Theme) -> None:
    """Every word on the figure has a contrast of 4.5 to 1 (WCAG AA) on its ground."""
    for colour in (theme.ink, theme.quiet, *theme.ways.values()):
        light, dark = sorted((_luminance(colour), _luminance(theme.ground)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, colour


def test_without_matplotlib_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence, exit 2; nothing else of the commands needs it."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = plot(tmp_path / "cost.svg")
    assert (result.exit_code, result.stderr) == (2, 'error: a figure needs matplotlib: pip install "realtime-blueprints[plot]"\n')


def _luminance(colour: str) -> float:
    """Relative luminance of WCAG 2."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
