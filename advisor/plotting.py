"""What `cost --plot` draws: which feature, by which ways, and into which file."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from advisor.command import progress
from advisor.curves import crossings, curves
from advisor.given import CommandError, given
from advisor.load import Load
from advisor.plot import check, crossing_text, draw
from advisor.prices import bill
from realtime.features import Feature
from realtime.features_file import FeatureTable

DEFAULT_NAME, DEFAULT_KEYS = "Data once a minute", {"name": "default", "latency": "1min"}


def chosen(file: Path | None, name: str | None, hours: str | None) -> tuple[str, Feature]:
    """The file's feature of that name, or data once a minute for users; open so many hours, if any are said."""
    source = given(file) if file or name else None  # whose mistakes are told, also where nothing of it is drawn
    feature = source.feature(name) if source and name else FeatureTable.model_validate(DEFAULT_KEYS).feature()
    return name or DEFAULT_NAME, replace(feature, open=_hours(hours)) if hours else feature


def _hours(hours: str) -> float:
    try:
        return FeatureTable.model_validate(DEFAULT_KEYS | {"open": hours}).open
    except ValidationError as error:
        raise CommandError(f"--open {hours}: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None


def plot(path: Path, name: str, feature: Feature, region: str, *, dark: bool) -> dict[str, Any]:
    """Draw it, and say what was drawn."""
    bill({}, region)  # refuses a region that is not known
    with progress(f"drawing {path}"):
        check(path)
        lines = curves(feature, region)
        found = crossings(feature, [line.way for line in lines if line.way != "fallback"], region)
        draw(path, name, Load.of(feature), lines, found, region, dark=dark)
    told = [asdict(each) | {"text": crossing_text(each)} for each in found]
    return {"plot": str(path), "feature": name, "region": region, "crossovers": told, "curves": [asdict(line) for line in lines]}
