"""What a file's features cost: by feature, way and item, and all of them in one deployment."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files

from advisor.advice import advise
from advisor.load import Load
from advisor.prices import FALLBACK, Line, bill, items
from advisor.usage import together, usage
from advisor.ways import NAMES, WAYS, Way, way_of
from realtime.features import Feature

FIXED: Mapping[str, float] = {"signing secret": 0.40}
"""USD a month of every deployment, whatever its features: Secrets Manager, us-east-1 and eu-west-1 alike."""

MANAGED_EUR = (150.0, 500.0)
MANAGED_CONNECTIONS = 10_000
"""The guide: a managed service, or servers of one's own, for so many connections a month."""

LEFT_OUT = ("storage", "alarms", "tax")


@dataclass(frozen=True)
class Costs:
    """A feature's bill by each way; `way` is how the file has it served."""

    feature: Feature
    region: str = FALLBACK

    @cached_property
    def load(self) -> Load:
        return Load.of(self.feature)

    @cached_property
    def way(self) -> Way:
        return way_of(self.feature)

    @cached_property
    def bills(self) -> dict[Way, list[Line]]:
        """The lines of each way."""
        return {way: bill(usage(self.load, way), self.region) for way in WAYS}

    @cached_property
    def usd(self) -> dict[Way, float]:
        return {way: sum(line.usd for line in lines) for way, lines in self.bills.items()}

    def sourced(self, way: Way) -> bool:
        """Whether each price in it is the region's own."""
        return all(line.sourced for line in self.bills[way])

    def cheaper(self) -> Way | None:
        """What is recommended, if that costs less than the file's."""
        recommended = advise(self.feature, region=self.region).way
        return recommended if self.usd[recommended] < self.usd[self.way] else None


def costs_of(features: Iterable[Feature], region: str) -> list[Costs]:
    """Of each feature, in the file's order."""
    bill({}, region)  # refuses a region that is not known, before anything is said
    return [Costs(feature, region) for feature in features]


def deployment(costs: Iterable[Costs], region: str) -> list[Line]:
    """One bill for all features as the file has them served: free allowances and the standing part of the hubs are there once."""
    return bill(together((each.load, each.way) for each in costs), region)


def total(costs: Iterable[Costs], region: str) -> float:
    """USD a month of the deployment, with what is fixed."""
    return sum(line.usd for line in deployment(costs, region)) + sum(FIXED.values())


def over(costs: list[Costs], region: str, budget: float) -> str | None:
    """One sentence where the total exceeds the budget, with the dearest feature and what would cost less; else None."""
    found = total(costs, region)
    if found <= budget:
        return None
    dearest = max(costs, key=lambda each: each.usd[each.way])
    name, cheaper = dearest.feature.name, dearest.cheaper()
    cure = f"by {NAMES[cheaper]} it would cost {dearest.usd[cheaper]:,.2f}" if cheaper else "nothing that advise recommends costs less"
    much = f"{found:,.2f} USD a month is more than the budget of {budget:,.2f}"
    return f"{much}: {name} costs most, {dearest.usd[dearest.way]:,.2f} by {NAMES[dearest.way]}, and {cure}"


def managed(readers: int) -> tuple[float, float]:
    """EUR a month of the guide's managed service, by connection."""
    low, high = (amount * readers / MANAGED_CONNECTIONS for amount in MANAGED_EUR)
    return low, high


def price(item: str, region: str) -> float:
    """USD of one unit of it, the fallback region's where the region has none."""
    known = items()[item]
    found: float = known[FALLBACK] if known[region] is None else known[region]
    return found


def dates() -> str:
    """Of which dates the prices are, as in "2024 to 2026-10"."""
    found = sorted({item["date"] for item in items().values()})
    return f"{found[0]} to {found[-1]}"


@cache
def sources() -> dict[str, str]:
    """Where prices come from, by what an item's `source` says."""
    found: dict[str, str] = json.loads(files("advisor").joinpath("prices.json").read_text())["sources"]
    return found
