"""What --json prints: everything that the tables show, and each line of each bill."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from advisor.advice import Advice, meets
from advisor.bills import FIXED, LEFT_OUT, Costs, deployment, managed, price, sources, total
from advisor.explain import turns
from advisor.load import DAYS
from advisor.prices import Line, items
from advisor.ways import NAMES, WAYS


def dumps(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2)


def advice_json(advice: Advice, costs: Costs, *, servers: bool) -> dict[str, Any]:
    """One feature's advice."""
    return {
        "recommended": {"way": advice.way, "name": NAMES[advice.way], "write": dict(advice.write), "deploy": advice.command},
        "reason": advice.reason,
        "chosen": advice.chosen,
        "rejected": dict(advice.rejected),
        "turns": [asdict(turn) for turn in turns(advice, costs.region, servers=servers)],
        "findings": [asdict(finding) for finding in advice.findings],
        **costs_json(costs, servers=servers),
    }


def costs_json(costs: Costs, *, servers: bool = True) -> dict[str, Any]:
    """One feature's costs, each way with its bill."""
    ways = {
        way: {
            "usd": costs.usd[way],
            "meets_needs": meets(costs.load, way, servers=servers),
            "sourced": costs.sourced(way),
            "lines": [line_json(line, costs.region) for line in costs.bills[way]],
        }
        for way in WAYS
    }
    return {"deployed": costs.way, "load": asdict(costs.load), "ways": ways, "managed_eur": managed(costs.load.readers)}


def line_json(line: Line, region: str) -> dict[str, Any]:
    """An item with its price and where that comes from; `quantity` and `billed` are single requests, units, hours, GB."""
    known = items()[line.item]
    told = {"price": price(line.item, region), "per": known["per"], "date": known["date"], "source": sources()[known["source"]]}
    return asdict(line) | told


def total_json(costs: Iterable[Costs], region: str) -> dict[str, Any]:
    """The file's bill."""
    every = list(costs)
    lines = [line_json(line, region) for line in deployment(every, region)]
    return {"usd": total(every, region), "fixed": dict(FIXED), "lines": lines}


def month_json(region: str) -> dict[str, Any]:
    """What all of it assumes."""
    return {"region": region, "days": DAYS, "left_out": list(LEFT_OUT), "currency": "USD"}
