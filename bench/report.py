"""Figures with their goals: a table on the screen, JSON in bench/results."""

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Table

from local.places import ROOT
from local.progress import console

RESULTS = ROOT / "bench" / "results"


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value. `against` says what it was compared with; `goal` is the highest value that is good enough."""

    what: str
    value: float
    unit: str
    against: str = ""
    goal: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None where there is none."""
        return None if self.goal is None else self.value <= self.goal


@dataclass(frozen=True, slots=True)
class Report:
    """The figures of one bench, and the conditions under which they hold."""

    conditions: str
    figures: tuple[Figure, ...]

    def as_json(self) -> dict[str, Any]:
        return {"conditions": self.conditions, "figures": [asdict(f) | {"what": f.what.strip(), "met": f.met} for f in self.figures]}


def show(name: str, report: Report) -> None:
    """Print one bench's table."""
    table = Table("what", "figure", "compared with", "goal", title=name, caption=report.conditions, title_justify="left")
    table.columns[1].justify = "right"
    for figure in report.figures:
        table.add_row(figure.what, f"{figure.value:,.4g} {figure.unit}".strip(), figure.against, _goal(figure))
    console.print(table)


def _goal(figure: Figure) -> str:
    if figure.goal is None:
        return ""
    return f"[green]<= {figure.goal:g} met[/]" if figure.met else f"[red]<= {figure.goal:g} missed[/]"


def save(path: Path, reports: Mapping[str, Report]) -> None:
    """Write the reports with date, commit and machine, in one step."""
    document = {**_machine(), "benches": {name: report.as_json() for name, report in reports.items()}}
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text(json.dumps(document, indent=2) + "\n")
    unfinished.replace(path)


def _machine() -> dict[str, Any]:
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "commit": _git("rev-parse", "--short", "HEAD"),
        "changed": bool(_git("status", "--porcelain", "--", ".", ":!bench/results")),  # files that the commit does not have
    }


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, check=False, capture_output=True, text=True, timeout=30)
    return done.stdout.strip()
