"""Two months by hand, to the cent, as docs/costs.md has them, and the table of where it turns."""

from pathlib import Path
from typing import Any

import pytest

from advisor.advice import crossover
from advisor.load import Load
from advisor.prices import UnknownRegionError, bill, items, total
from advisor.usage import together, usage
from advisor.ways import WAYS

DOCUMENT = (Path(__file__).parents[2] / "docs/costs.md").read_text()
FIGURES: dict[str, Any] = {"events": 1 / 60, "keeps_all": False}
OFFICE = Load(readers=200, hours=8, **FIGURES)
ALWAYS = Load(readers=10_000, hours=24, public=True, **FIGURES)


def test_office_by_hand() -> None:
    """200 readers of a private dashboard, 8 hours a day, every 30 s: 8.35 USD."""
    polls, figures = 200 * (8 * 3600 / 30) * 30, 60 * 24 * 30
    requests = polls + figures
    by_hand = requests * (1.00 + 0.20 + 0.005 * 13.3334) / 1e6 + requests * 200 / 1e9 * 0.50
    by_hand += (polls * 0.5 + figures) * 0.125 / 1e6 + figures * 2 * 0.625 / 1e6
    assert total(usage(OFFICE, "polling")) == pytest.approx(by_hand, abs=1e-9)
    assert (round(by_hand, 2), "**8.35**" in DOCUMENT) == (8.35, True)


def test_ten_thousand_by_hand() -> None:
    """Always there, from the hubs: 245.66 USD; by polling 854.24."""
    seconds, figures = 30 * 86_400, 60 * 24 * 30
    streams = 10_000 * seconds / 180 + 10_000 * 30 / 2
    by_hand = (streams - 10e6) * 1.00 / 1e6 + 720 * (20_000 / 3_000) * 0.008 + 720 * 0.0225
    by_hand += 5 * 720 * (0.25 * 0.03238 + 0.5 * 0.00356 + 0.005)
    by_hand += (5 * seconds * 4 * 0.5 + figures) * 0.125 / 1e6 + figures * 2 * 0.625 / 1e6
    by_hand += figures * (1.00 + 0.20 + 0.005 * 13.3334) / 1e6 + figures * 200 / 1e9 * 0.50
    assert total(usage(ALWAYS, "sse-service")) == pytest.approx(by_hand, abs=1e-9)
    assert (round(by_hand, 2), "**245.66**" in DOCUMENT) == (245.66, True)
    assert round(total(usage(ALWAYS, "polling")), 2) == 854.24


@pytest.mark.parametrize("line", [line for line in DOCUMENT.splitlines() if line.startswith(("| public, every", "| private, every"))])
def test_table_of_where_it_turns_is_current(line: str) -> None:
    """Each cell of the document, computed anew."""
    (what, every, hours), *cells = (line.split("|")[1].split(","), *line.split("|")[2:5])
    seconds = float(every.split()[1])
    day = 24.0 if "always" in hours else float(hours.split()[0])
    load = Load(readers=1, hours=day, interval=seconds, latency=seconds, public="public" in what, **FIGURES)
    turns = [crossover(load, way, "sse-service") for way in ("polling", "websocket", "sse-lambda")]
    assert [int(cell.replace(",", "")) for cell in cells] == turns


def test_every_price_has_a_date_a_source_and_a_region() -> None:
    """A cell that is not sourced is empty, and another region's price stands in for it, marked."""
    assert all(item["date"] and item["source"] and item["us-east-1"] for item in items().values())
    lines = {line.item: line for line in bill(usage(OFFICE, "websocket"), "eu-west-1")}
    assert (lines["websocket-messages"].sourced, lines["dynamodb-writes"].sourced) == (False, True)
    with pytest.raises(UnknownRegionError, match="us-east-1 or eu-west-1"):
        bill(usage(OFFICE, "polling"), "mars-north-1")


def test_everything_used_has_a_price() -> None:
    """Of every way."""
    assert {item for way in WAYS for item in usage(ALWAYS, way)} <= set(items())


def test_readers_of_all_features_share_the_tasks() -> None:
    """Ten features of 4,000 readers need as many tasks as one of 40,000."""
    few, many = (Load(readers=readers, hours=8, events=0) for readers in (4_000, 40_000))
    apart, one = together([(few, "sse-service")] * 10), usage(many, "sse-service")
    assert apart["fargate-vcpu-hours"] == pytest.approx(one["fargate-vcpu-hours"])
    assert apart["load-balancer-hours"] == 720


def test_hubs_of_two_features_stand_once() -> None:
    """Two tasks and a load balancer; what grows with each load is added."""
    once, twice = usage(OFFICE, "sse-service"), together([(OFFICE, "sse-service"), (OFFICE, "fallback")])
    assert twice["load-balancer-hours"] == once["load-balancer-hours"] == 720
    assert twice["fargate-vcpu-hours"] == once["fargate-vcpu-hours"]
    assert twice["http-api-requests"] > once["http-api-requests"]
