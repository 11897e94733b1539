"""The orders job: replays the purchases of an online shop (CDNOW, 1997-1998) and publishes each day's figures.

The data are the 69,659 purchases of 23,570 customers that Fader and Hardie published for research; the PyPI package
`lifetimes` ships them. A backend job publishes like this one: with the library, straight to the log.
"""

import argparse
import importlib.metadata
import itertools
import random
import secrets
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path

from realtime.errors import RealtimeError
from realtime.policy import Principal
from realtime.publish import Publisher
from realtime.runtime import Runtime

FIGURES, ALERTS = "metrics", "alerts"
ATTEMPTS = 3
LARGE = 12  # CDs of an order that is worth an alert
JOB = Principal("orders-job", float("inf"), {"role": "service"})


@dataclass(frozen=True, slots=True)
class LargeOrder:
    """An order that the staff should look at."""

    at: str
    cds: int
    revenue: float


@dataclass(frozen=True, slots=True)
class Figures:
    """One day of the shop; `revenue` in USD."""

    at: str
    orders: int
    cds: int
    revenue: float


def purchases() -> Iterator[tuple[date, int, float]]:
    """Each purchase: its day, how many CDs, how many dollars."""
    file = Path(str(importlib.metadata.distribution("lifetimes").locate_file("lifetimes/datasets/CDNOW_master.txt")))
    for line in file.read_text().splitlines()[1:]:
        _, day, cds, dollars = line.split()
        yield datetime.strptime(day, "%Y%m%d").date(), int(cds), float(dollars)  # noqa: DTZ007 - a day has no zone


def days() -> list[Figures]:
    """The shop's figures, day by day."""
    by_day = itertools.groupby(sorted(purchases()), key=lambda purchase: purchase[0])
    return [_figures(day, list(sales)) for day, sales in by_day]


def large_orders() -> dict[str, list[LargeOrder]]:
    """By day: two a day on average."""
    by_day: dict[str, list[LargeOrder]] = {}
    for day, cds, revenue in purchases():
        if cds >= LARGE:
            by_day.setdefault(day.isoformat(), []).append(LargeOrder(day.isoformat(), cds, revenue))
    return by_day


def _figures(day: date, sales: list[tuple[date, int, float]]) -> Figures:
    return Figures(day.isoformat(), len(sales), sum(cds for _, cds, _ in sales), round(sum(dollars for *_, dollars in sales), 2))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.orders", description=__doc__)
    parser.add_argument("--every", type=float, default=10.0, help="seconds between two days")
    chosen = parser.parse_args()
    runtime, run = Runtime.from_env(), secrets.token_hex(4)
    large = large_orders() if ALERTS in runtime.features else {}
    for number, figures in enumerate(itertools.cycle(days())):
        _publish(runtime.publisher, FIGURES, "figures", figures, key=f"{run}-{number}")
        for place, order in enumerate(large.get(figures.at, [])):
            _publish(runtime.publisher, ALERTS, "large_order", order, key=f"{run}-{number}-{place}")
        time.sleep(chosen.every)


def _publish(publisher: Publisher, topic: str, type: str, event: Figures | LargeOrder, key: str) -> None:
    """Publish an event; where the log does not answer, again with the same key, three times in all."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            publisher.publish(publisher.authorize(topic, JOB), JOB, type, asdict(event), key=key)
        except RealtimeError as error:
            print(f"{event.at} was not published, attempt {attempt}: {error}", flush=True)  # noqa: T201 - into the job's log
            time.sleep(random.uniform(0, 2**attempt))  # noqa: S311 - jitter
        else:
            return


if __name__ == "__main__":
    main()
