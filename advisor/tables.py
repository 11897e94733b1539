"""Costs on the terminal: each feature by each way, the total, and one bill item by item."""

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from advisor import words
from advisor.advice import meets
from advisor.bills import FIXED, LEFT_OUT, MANAGED_CONNECTIONS, MANAGED_EUR, Costs, dates, price, sources, total
from advisor.load import DAYS
from advisor.prices import FALLBACK, Line, items
from advisor.show import page
from advisor.ways import NAMES, WAYS, Way

WIDTH = 10
"""Of a column: seven of them, and the gaps, are 76 characters."""


def show_costs(costs: list[Costs], region: str) -> None:
    """A row a feature, a column a way; below it what is summed up and what is assumed."""
    fixed = ", ".join(f"{usd:.2f} for the {what}" for what, usd in FIXED.items())
    with page() as out:
        out.print(f"[bold]USD a month, {region}[/]\n")
        out.print(_row([*(NAMES[way] for way in WAYS), "managed, EUR"], "dim"))
        for each in costs:
            _title(out, each)
            out.print(_row([*(_cell(each, way) for way in WAYS), words.managed_eur(each.load.readers)]))
        out.print(f"\n[bold]total {total(costs, region):,.2f} USD a month[/] for all that the file deploys (*):")
        out.print(f"free allowances taken off once, hubs counted once; {fixed}")
        out.print(f"[dim]{_legend(costs)}\n{assumptions(region)}[/]")


def assumptions(region: str) -> str:
    """Two lines."""
    low, high = MANAGED_EUR
    guide = f"managed: the guide's {low:g}-{high:g} EUR per {MANAGED_CONNECTIONS:,}"
    return f"assumptions: a month of {DAYS} days; list prices of {region}, {dates()};\nleft out {', '.join(LEFT_OUT)}; {guide}"


def _title(out: Console, costs: Costs) -> None:
    out.print(f"[bold]{costs.feature.name}[/]  [dim]{words.needs(costs.load)}[/]", no_wrap=True, overflow="ellipsis")


def _row(cells: Iterable[str], style: str = "") -> Table:
    row = Table.grid(padding=(0, 1, 0, 0))
    texts = list(cells)
    for _ in texts:
        row.add_column(width=WIDTH, justify="right", vertical="bottom", style=style)
    row.add_row(*texts)
    return row


def _cell(costs: Costs, way: Way) -> str:
    text = words.cell(costs.usd[way]) + "~" * (not costs.sourced(way))
    if not meets(costs.load, way):
        text = f"[dim]({text})[/]"
    return f"[bold green]*{text}[/]" if way == costs.way else text


def _legend(costs: list[Costs]) -> str:
    """What the marks mean that are there."""
    marks = ["* the file's"]
    if any(not meets(each.load, way) for each in costs for way in WAYS):
        marks.append("( ) cannot meet the needs")
    if any(not each.sourced(way) for each in costs for way in WAYS):
        marks.append(f"~ {FALLBACK}'s price: none sourced")
    return "   ".join(marks)


def show_bill(costs: Costs) -> None:
    """Of the feature as the file has it served."""
    with page() as out:
        _title(out, costs)
        out.print(f"{NAMES[costs.way]}, USD a month, {costs.region}\n")
        lines = costs.bills[costs.way]
        notes = dict[str, str]()
        out.print(lines_table(lines, costs.region, notes))
        show_notes(out, lines, notes, costs.region)


def lines_table(lines: list[Line], region: str, notes: dict[str, str]) -> Table:
    """A bill item by item, the dearest first; items are called as in prices.json. `notes` gathers sources, each with its letter."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 1, 0, 0))
    table.add_column("item", no_wrap=True)
    table.add_column("quantity", justify="right", no_wrap=True)
    table.add_column("unit", no_wrap=True)
    table.add_column("price", justify="right", no_wrap=True)
    table.add_column("USD", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for line in sorted(lines, key=lambda line: -line.usd):
        note = notes.setdefault(_source(line), chr(ord("a") + len(notes)))
        paid = f"{price(line.item, region):g}{'~' * (not line.sourced)}"
        table.add_row(line.item, words.quantity(line), line.unit, paid, f"{line.usd:,.2f}", note)
    table.add_row("", "", "", "", f"[bold]{sum(line.usd for line in lines):,.2f}[/]")
    return table


def show_notes(out: Console, lines: list[Line], notes: dict[str, str], region: str) -> None:
    """Under bills of these lines."""
    for source, note in notes.items():
        out.print(f"[dim]{note}  {source}[/]")
    if any(not line.sourced for line in lines):
        out.print(f"[dim]~  {FALLBACK}'s price: none sourced for {region}[/]")
    if free := _free(lines):
        out.print(f"[dim]free each month, taken off: {', '.join(free)}[/]")
    out.print(f"[dim]{assumptions(region)}[/]")


def _source(line: Line) -> str:
    known = items()[line.item]
    return f"{sources()[known['source']]} [{known['date']}]".replace("[", r"\[")


def _free(lines: list[Line]) -> list[str]:
    """Of which items something is free."""
    known = {line.item: (line.unit, items()[line.item]) for line in lines if "free" in items()[line.item]}
    return [f"{name} {item['free'] / item['per']:,g} {unit}" for name, (unit, item) in known.items()]
