"""The whole reasoning for one feature: its needs, what each fact rules out, every bill, and where it turns."""

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from advisor import words
from advisor.advice import Advice, crossover, meets, spell, usd
from advisor.bills import Costs, managed
from advisor.load import Load
from advisor.show import inside, page, show_one
from advisor.tables import lines_table, show_notes
from advisor.ways import NAMES, SIMPLEST, Way


@dataclass(frozen=True, slots=True)
class Turn:
    """From so many readers on, `cheaper` costs less than `dearer`; from 1 on: always."""

    cheaper: Way
    dearer: Way
    readers: int

    def __str__(self) -> str:
        what = f"{NAMES[self.cheaper]} costs less than {NAMES[self.dearer]}"
        return f"{what} from {self.readers:,} readers on" if self.readers > 1 else f"{what}, however many read"


def explain(advice: Advice, costs: Costs, *, servers: bool) -> None:
    """Begins with what `advise` says of it."""
    notes = dict[str, str]()
    ways = list(dict.fromkeys([advice.way, advice.chosen or advice.way, *SIMPLEST]))
    with page() as out:
        show_one(out, advice, costs.feature)
        _titled(out, "what was read", _needs(costs))
        _titled(out, "what it rules out", *ruled_out(advice, servers=servers))
        for way in ways:
            _titled(out, f"{NAMES[way]}, USD a month, {costs.region}", lines_table(costs.bills[way], costs.region, notes))
        show_notes(out, [line for way in ways for line in costs.bills[way]], notes, costs.region)
        _titled(out, "where it turns", *map(str, turns(advice, costs.region, servers=servers)))
        _titled(out, "beside the guide", beside_the_guide(advice))


def _titled(out: Console, title: str, *parts: str | Table) -> None:
    out.print(f"\n[bold]{title}[/]")
    for part in parts:
        out.print(inside(escape(part) if isinstance(part, str) else part))


def _needs(costs: Costs) -> Table:
    """The keys that decide, the defaults of those that are not written included."""
    load = costs.load
    table = Table.grid(padding=(0, 2, 0, 0))
    for key, value, meaning in (
        ("direction", costs.feature.direction, "clients publish as well" if load.two_way else "clients only read"),
        ("latency", spell(load.latency), "how late an event may arrive"),
        ("interval", spell(load.interval), "how often a client that polls would ask"),
        ("readers", f"{load.readers:,}", "at once"),
        ("open", f"{load.hours:g}h/day", f"{load.reader_seconds / 3600:,.0f} reader hours a month"),
        ("events", words.events(load.events), f"{load.appends:,.0f} a month, in {load.topics:,} topic{'s' * (load.topics != 1)}"),
        ("read", costs.feature.access.read, "shared at the edge" if load.public else "each answer is for one reader"),
        ("keep", costs.feature.keep, "every event can be replayed" if load.keeps_all else "only the newest event stays"),
    ):
        table.add_row(key, value, f"[dim]{meaning}[/]")
    return table


def ruled_out(advice: Advice, *, servers: bool) -> Iterator[str]:
    """Ways that cannot serve it, by which fact; the others are compared by cost."""
    unfit = [way for way in SIMPLEST if way in advice.rejected and not meets(advice.load, way, servers=servers)]
    yield from (f"{NAMES[way]}: {advice.rejected[way]}" for way in unfit)
    left = [NAMES[way] for way in SIMPLEST if way not in unfit]
    yield f"left is {left[0]}" if len(left) == 1 else f"work and costs decide between {', '.join(left[:-1])} and {left[-1]}"


def turns(advice: Advice, region: str, *, servers: bool) -> Iterator[Turn]:
    """Where the recommended way and another that meets the needs cost the same; the next-best first."""
    others = [way for way in SIMPLEST if way != advice.way and meets(advice.load, way, servers=servers)]
    return (_turn(advice.load, advice.way, other, region) for other in sorted(others, key=advice.costs.__getitem__))


def _turn(load: Load, way: Way, other: Way, region: str) -> Turn:
    if readers := crossover(load, way, other, region):
        return Turn(other, way, readers)
    return Turn(way, other, crossover(load, other, way, region) or 1)


def beside_the_guide(advice: Advice) -> str:
    """The recommended way's cost against the guide's 150 to 500 EUR, by the number of readers."""
    low, high = managed(advice.load.readers)
    much = f"{low:,.2f} to {high:,.2f} EUR a month for {advice.load.readers:,}"
    return f"its 150 to 500 EUR for 10,000 connections are {much}; {NAMES[advice.way]} is {usd(advice.costs[advice.way])}"
