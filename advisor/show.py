"""Advice on the terminal: a few lines a feature, readable at 80 columns, without colour and piped."""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from advisor import words
from advisor.advice import Advice, usd
from advisor.rules import Finding
from advisor.ways import NAMES, SIMPLEST, STACKS, Way, way_of
from realtime.features import Feature

STYLES = {"error": "bold red", "warning": "yellow"}


def console(*, errors: bool = False) -> Console:
    """Where things are shown: stdout, or stderr for what is not the answer."""
    return Console(highlight=False, stderr=errors)


@contextmanager
def page() -> Iterator[Console]:
    """A console for an answer as a whole, whose lines end where their text does."""
    out = console()
    with out.capture() as shown:
        yield out
    sys.stdout.write(re.sub(r" +((?:\x1b\[0m)?)$", r"\1", shown.get(), flags=re.MULTILINE))


def show(advices: Iterable[Advice], features: Mapping[str, Feature]) -> None:
    """All features, and at the end what deploys them and what was found."""
    every = list(advices)
    with page() as out:
        for advice in every:
            out.print(end="" if advice is every[0] else "\n")
            show_one(out, advice, features[advice.feature])
        if lines := list(_summary(every)):
            out.print("", *lines, sep="\n", soft_wrap=True)


def show_one(out: Console, advice: Advice, feature: Feature) -> None:
    """What is recommended, what not, what was found, what to write and to run."""
    out.print(f"[bold]{advice.feature}[/]  [dim]{words.needs(advice.load)}[/]")
    cost = f"{usd(advice.costs[advice.way])} a month"
    out.print(inside(f"[bold green]{NAMES[advice.way]}[/], {cost}{_file_says(advice, feature)}"))
    out.print(inside(escape(f"{advice.reason}.")))
    out.print(inside(_rejected(advice)))
    out.print(inside(f"[dim]to compare: {_compared(advice)}[/]"))
    for finding in advice.findings:
        out.print(inside(_finding(finding)))
    out.print(inside(f"[dim]write[/]   {escape(', '.join(keys(advice)))}"))
    out.print(inside(f"[dim]deploy[/]  {advice.command}"))


def keys(advice: Advice) -> list[str]:
    """What to write into features.toml."""
    return [f'{key} = "{value}"' for key, value in advice.write.items()]


def _file_says(advice: Advice, feature: Feature) -> str:
    if advice.chosen == advice.way:
        return ", as in the file"
    if advice.chosen:
        return f"; the file says {NAMES[advice.chosen]}, {usd(advice.costs[advice.chosen])}"
    deployed = way_of(feature)
    return (
        ""
        if deployed == advice.way
        else f"; the file names no pattern, so that {NAMES[deployed]} would be deployed, {usd(advice.costs[deployed])}"
    )


def _rejected(advice: Advice) -> Table:
    """The other ways, each with its cost and what speaks against it."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    table.add_column()
    for way in SIMPLEST:
        if way in advice.rejected:
            table.add_row(f"not {NAMES[way]}", words.cell(advice.costs[way]), f"[dim]{escape(advice.rejected[way])}[/]")
    return table


def _compared(advice: Advice) -> str:
    others = ", ".join(f"{NAMES[way]} {words.cell(advice.costs[way])}" for way in _others(advice))
    return f"{others}, managed service {words.managed_eur(advice.load.readers)} EUR (the guide)"


def _others(advice: Advice) -> Iterator[Way]:
    return (way for way in advice.costs if way not in SIMPLEST)


def _finding(finding: Finding) -> str:
    head = f"[{STYLES[finding.level]}]{finding.level}[/] {finding.rule}: {escape(finding.message)}"
    return f"{head}: {escape(finding.cure)} [dim]({escape(finding.source)})[/]"


def _summary(advices: list[Advice]) -> Iterator[str]:
    stacks = dict.fromkeys(stack for advice in advices for stack in STACKS[advice.way].split())
    if len(advices) > 1:
        yield f"all of it: npx cdk deploy {' '.join(stacks)}"
    found = [finding.level for advice in advices for finding in advice.findings]
    errors, warnings = found.count("error"), found.count("warning")
    if found:
        yield f"{_count(errors, 'error')}, {_count(warnings, 'warning')}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def inside(what: str | Table) -> Padding:
    return Padding.indent(what, 2)
