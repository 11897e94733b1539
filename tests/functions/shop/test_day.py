"""The days of the shop: real purchases, and what is told of them, the same for the same step."""

from collections import Counter
from pathlib import Path

import pytest

from functions.shop.day import CRITICAL, STATUSES, days, publications
from functions.shop.job import JOB
from realtime.features import load
from realtime.log import Log
from realtime.memory import MemoryCounters, MemoryStore
from realtime.publish import Publisher
from realtime.rate import RateLimit

ROOT = Path(__file__).parents[3]
DAYS = 546


def test_days_are_the_published_data_set() -> None:
    """69,659 purchases of 167,881 CDs, from January 1997 to June 1998: no day twice, none left out."""
    found = days()
    assert [day.at for day in found] == sorted({day.at for day in found})
    assert (found[0].at, found[-1].at, len(found)) == ("1997-01-01", "1998-06-30", DAYS)
    assert (sum(day.orders for day in found), sum(day.cds for day in found)) == (69_659, 167_881)
    assert round(sum(day.revenue for day in found)) == 2_500_316


def test_data_file_is_small() -> None:
    """It is in the asset of a function."""
    assert (ROOT / "functions/shop/cdnow.csv").stat().st_size < 50_000


def test_step_is_the_same_each_time() -> None:
    """A repeat has the same bodies, so its idempotency keys are taken; and after the last day the first one comes again."""
    assert publications(29_000_017) == publications(29_000_017) == publications(29_000_017 + DAYS)


def test_every_publication_is_accepted() -> None:
    """By the features and schemas of the project, for each of the days."""
    features = load(ROOT / "features.toml")
    publisher = Publisher(features, Log(MemoryStore()), RateLimit(MemoryCounters()))
    for publication in (each for step in range(DAYS) for each in publications(step)):
        publisher.publish(publisher.authorize(publication.topic, JOB), JOB, publication.type, publication.data)


def test_alerts_are_rare() -> None:
    """Some of each kind, and fewer than two a day."""
    found = Counter(each.type for step in range(DAYS) for each in publications(step) if each.topic == "alerts")
    assert found.keys() == {"large_order", "critical_stock", "urgent_order"}
    assert found.total() < 2 * DAYS


def test_stock_is_critical_before_it_is_gone() -> None:
    """And it is told on exactly those days."""
    told = [each.data["left"] for step in range(DAYS) for each in publications(step) if each.type == "critical_stock"]
    assert told == [day.left for day in days() if day.left < CRITICAL]
    assert min(day.left for day in days()) > 0


@pytest.mark.parametrize("first", [1, 29_000_000])
def test_order_goes_its_way(first: int) -> None:
    """Placed, packed, shipped, delivered, a day each, and then no more."""
    told = [each.data for step in range(first, first + 10) for each in publications(step) if each.topic == "orders"]
    number = next(data["order"] for data in told if data["status"] == "placed")
    assert [data["status"] for data in told if data["order"] == number] == list(STATUSES)


def test_nothing_is_told_of_days_before_the_first() -> None:
    """A job that begins at step 0 begins with orders that are placed."""
    assert {each.data["status"] for each in publications(0) if each.topic == "orders"} == {"placed"}
