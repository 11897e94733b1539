"""Ours against bare, measured in turn: the medians, and the median of the rounds' ratios, which a drifting machine hardly moves."""

from collections.abc import Sequence
from statistics import median

from bench.report import Figure


def compare(
    what: str, ours: Sequence[float], bare: Sequence[float], goal: float | None, against: str = "bare FastAPI function"
) -> tuple[Figure, Figure]:
    """Times in ms, one of each per round; `goal` is the highest ratio that is good enough."""
    shown = f"{against}: {median(bare):.3g} ms"
    ratio = median(o / b for o, b in zip(ours, bare, strict=True))
    return Figure(what, median(ours), "ms", shown), Figure(f"  {what}: ratio", ratio, "x", shown, goal)
