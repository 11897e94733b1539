"""What the shop's job publishes at each step: a day of CDNOW, an online shop, and where some of its orders are.

cdnow.csv is made of the 69,659 purchases of 23,570 customers, January 1997 to June 1998, that Peter Fader and Bruce Hardie published
for research: each day's orders, CDs and dollars, and some of its orders one by one, as "CDs x dollars". What a day's data
do not have is made up here: the stock, which orders are urgent, and the way of an order to its customer.
"""

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

FIGURES, ALERTS, ORDERS = "metrics", "alerts", "orders"
"""The topics; a deployment need not have all of them."""

TRACKED = 2  # orders of a day whose way is told
STATUSES = ("placed", "packed", "shipped", "delivered")  # a day each
FIRST_NUMBER = 1000
URGENT_DAYS = 4  # one order in so many days must leave at once

STOCK, CRITICAL = 3_000, 1_200
"""CDs after a delivery; below how many the next one is needed: more than any day sold, so that there are always some."""


class Sale(NamedTuple):
    """An order; `revenue` in USD."""

    cds: int
    revenue: float


@dataclass(frozen=True, slots=True)
class Day:
    """`large`: a dozen CDs and more, one a day on average. `left`: CDs in stock in the evening."""

    at: str
    orders: int
    cds: int
    revenue: float
    tracked: tuple[Sale, ...]
    large: tuple[Sale, ...]
    left: int


class Publication(NamedTuple):
    """An event that is to be published."""

    topic: str
    type: str
    data: dict[str, object]


@cache
def days() -> tuple[Day, ...]:
    """All 546 of them, in order."""
    found, left = list[Day](), STOCK
    with Path(__file__).with_name("cdnow.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            sales = [Sale(int(cds), float(revenue)) for cds, _, revenue in (each.partition("x") for each in row["shown"].split())]
            left = (STOCK if left < CRITICAL else left) - int(row["cds"])  # what is ordered in the evening is there in the morning
            tracked, large = tuple(sales[:TRACKED]), tuple(sales[TRACKED:])
            found.append(Day(row["day"], int(row["orders"]), int(row["cds"]), float(row["revenue"]), tracked, large, left))
    return tuple(found)


def publications(step: int) -> list[Publication]:
    """What happens at a step, counted from 0: the same for the same step, and after the last day the first one again."""
    day = _day(step)
    figures = {"at": day.at, "orders": day.orders, "cds": day.cds, "revenue": day.revenue}
    return [Publication(FIGURES, "figures", figures), *_alerts(step, day), *_ways(step)]


def _alerts(step: int, day: Day) -> list[Publication]:
    found = [Publication(ALERTS, "large_order", {"at": day.at, **sale._asdict()}) for sale in day.large]
    if day.left < CRITICAL:
        found.append(Publication(ALERTS, "critical_stock", {"at": day.at, "left": day.left, "level": CRITICAL}))
    if step % URGENT_DAYS == 0:
        found.append(Publication(ALERTS, "urgent_order", {"at": day.at, "order": _number(step, 0), **day.tracked[0]._asdict()}))
    return found


def _ways(step: int) -> list[Publication]:
    """The orders of today are placed, those of yesterday packed, and so on; there was no day before the first."""
    at = _day(step).at
    return [
        Publication(ORDERS, "order", {"order": _number(then, place), "status": status, "at": at, **sale._asdict()})
        for then, status in zip(range(step, -1, -1), STATUSES, strict=False)
        for place, sale in enumerate(_day(then).tracked)
    ]


def _day(step: int) -> Day:
    return days()[step % len(days())]


def _number(step: int, place: int) -> str:
    return f"A-{FIRST_NUMBER + step % len(days()) * TRACKED + place}"
