"""Figures and loads as people read them."""

import math

from advisor.advice import spell
from advisor.bills import managed
from advisor.load import Load
from advisor.prices import Line, items

_PER = (("s", 1), ("min", 60), ("h", 3600), ("d", 86_400))


def events(rate: float) -> str:
    """Events a second as features.toml writes them: "10/min"."""
    unit, seconds = next(((unit, seconds) for unit, seconds in _PER if rate * seconds >= 0.999), _PER[-1])
    return f"{rate * seconds:g}/{unit}"


def needs(load: Load) -> str:
    """The load in one line."""
    ways = "both ways" if load.two_way else "one way"
    who = ", public" if load.public else ""
    readers = f"{load.readers:,} reader{'s' * (load.readers != 1)}"
    return f"{readers}, {load.hours:g} h a day, {events(load.events)}, within {spell(load.latency)}, {ways}{who}"


def cell(usd: float) -> str:
    """USD in at most seven characters: to the cent below a thousand."""
    if 0 < usd < 0.005:
        return "<0.01"
    for above, size, unit in ((10_000_000, 1e6, "M"), (100_000, 1e3, "k"), (1_000, 1, "")):
        if usd >= above:
            return f"{usd / size:,.0f}{unit}"
    return f"{usd:.2f}"


def short(amount: float) -> str:
    """Three figures, no more: "1.5k"."""
    if amount >= 1_000:
        return f"{float(f'{amount / 1_000:.3g}'):g}k"
    return f"{float(f'{amount:.3g}'):g}"


def managed_eur(readers: int) -> str:
    """The guide's 150-500 EUR for 10,000 connections, for so many."""
    low, high = managed(readers)
    return f"{short(low)}-{short(high)}"


def quantity(line: Line) -> str:
    """In the unit of its price."""
    amount = line.quantity / items()[line.item]["per"]
    if amount >= 1_000:
        return f"{amount:,.0f}"
    return f"{amount:.{max(0, 3 - math.floor(math.log10(amount)))}f}" if amount < 1 else f"{amount:.4g}"
