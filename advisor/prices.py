"""Prices as data: prices.json has a region's price of each billed item, its date and its source, or null where it is not sourced."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

REGIONS = ("us-east-1", "eu-west-1")
FALLBACK = "us-east-1"
"""Whose price stands in where a region's own is not sourced; the line is marked then."""

Usage = Mapping[str, float]
"""What is used in a month, by billed item: `http-api-requests`, `dynamodb-writes`, ..., as prices.json names them."""


class UnknownRegionError(ValueError):
    """There are no prices of this region."""


@dataclass(frozen=True, slots=True)
class Line:
    """One item of a bill. `usd` is exact to the float; `sourced` is false where another region's price stands in."""

    item: str
    quantity: float
    billed: float
    unit: str
    usd: float
    sourced: bool


@cache
def items() -> dict[str, dict[str, Any]]:
    """Each item's unit, price by region, free allowance, date and source."""
    found: dict[str, dict[str, Any]] = json.loads(files("advisor").joinpath("prices.json").read_text())["items"]
    return found


def bill(usage: Usage, region: str = FALLBACK) -> list[Line]:
    """What a month's usage costs, item by item, at the first tier of each price. `free` quantities are taken off once."""
    if region not in REGIONS:
        raise UnknownRegionError(f"prices of {region} are not known: choose {' or '.join(REGIONS)}, or add them to advisor/prices.json")
    return [_line(item, quantity, items()[item], region) for item, quantity in usage.items() if quantity]


def total(usage: Usage, region: str = FALLBACK) -> float:
    """USD a month."""
    return sum(line.usd for line in bill(usage, region))


def added(*usages: Usage) -> dict[str, float]:
    """Several usages as one: free quantities are then taken off once, as an account's bill does."""
    found: dict[str, float] = {}
    for usage in usages:
        for item, quantity in usage.items():
            found[item] = found.get(item, 0.0) + quantity
    return found


def _line(item: str, quantity: float, known: dict[str, Any], region: str) -> Line:
    price = known[region]
    billed = max(0.0, quantity - known.get("free", 0))
    usd = billed / known["per"] * (known[FALLBACK] if price is None else price)
    return Line(item, quantity, billed, known["unit"], usd, price is not None)
