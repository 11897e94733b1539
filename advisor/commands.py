"""The commands: `advise`, which way serves each feature and why, and `cost`, what each way costs."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from advisor import machine
from advisor.advice import Advice
from advisor.advice import advise as advice_for
from advisor.ask import Asked, append, ask, check
from advisor.bills import Costs, costs_of, over
from advisor.command import FAILED, Command
from advisor.explain import explain as explain_one
from advisor.given import DEFAULT, CommandError, Given, given
from advisor.plotting import chosen
from advisor.plotting import plot as plot_into
from advisor.prices import FALLBACK
from advisor.show import console, show
from advisor.tables import show_bill, show_costs

advise = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
cost = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

File = Annotated[Path | None, typer.Argument(metavar="FILE", show_default=False, help="features.toml of this folder if none is named")]
Json = Annotated[bool, typer.Option("--json", help="everything, for programs")]
Region = Annotated[str, typer.Option(help="whose list prices: us-east-1 or eu-west-1")]


@advise.command(cls=Command)
def _advise(
    file: File = None,
    *,
    explain: Annotated[str | None, typer.Option(metavar="FEATURE", help="the whole reasoning for one feature")] = None,
    serverless: Annotated[bool, typer.Option("--serverless", help="no Fargate")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="exit 1 for warnings, too")] = False,
    questions: Annotated[bool, typer.Option("--ask", help="questions instead of a file")] = False,
    write: Annotated[Path | None, typer.Option(metavar="FILE", help="append the table that the answers make to this file")] = None,
    region: Region = FALLBACK,
    as_json: Json = False,
) -> int:
    """Which pattern and host serve each feature, why, and what the others would cost.

    Without a file it asks. Exit 1 where something cannot work as the file has it, 2 where the command or the file is wrong.
    """
    asked = _asked(file, questions=questions, write=write)
    source = Given(None, asked.features(), frozenset()) if asked else given(file)
    servers = not serverless and (asked is None or asked.servers)
    costs = {each.feature.name: each for each in costs_of(source.features.values(), region)}
    wanted = [source.feature(explain)] if explain else list(source.features.values())
    advices = [advice_for(each, chosen=each.name in source.patterned, servers=servers, region=region) for each in wanted]
    if as_json:
        features = {each.feature: machine.advice_json(each, costs[each.feature], servers=servers) for each in advices}
        typer.echo(machine.dumps({"month": machine.month_json(region), "features": features}))
    elif explain:
        explain_one(advices[0], costs[explain], servers=servers)
    else:
        show(advices, source.features)
    if asked:
        _told(asked, advices[0], write, quiet=as_json)
    return _exit_code(advices, strict=strict)


def _asked(file: Path | None, *, questions: bool, write: Path | None) -> Asked | None:
    """The answers, where questions are wanted or nothing else is there to go by."""
    if file and questions:
        raise CommandError("--ask is instead of a file: leave one of them out")
    if not questions and (file or DEFAULT.exists() or not _at_a_terminal()):
        if write:
            raise CommandError("--write is for what --ask asks: add --ask")
        return None
    if write:
        check(write)
    return ask(console(errors=True))


def _at_a_terminal() -> bool:
    return sys.stdin.isatty()


def _told(asked: Asked, advice: Advice, write: Path | None, *, quiet: bool) -> None:
    """The table to paste, or to find in the file."""
    table = asked.table(dict(advice.write))
    if write:
        append(write, asked.name, table)
        console(errors=True).print(f"{write} has the feature {asked.name} now", soft_wrap=True)
    elif not quiet:
        console().print(f"\nfor {DEFAULT}, or with --write {DEFAULT}:\n\n{table}", markup=False, soft_wrap=True, end="")


def _exit_code(advices: list[Advice], *, strict: bool) -> int:
    levels = {finding.level for advice in advices for finding in advice.findings}
    return FAILED if "error" in levels or (strict and levels) else 0


@cost.command(cls=Command)
def _cost(
    file: File = None,
    *,
    lines: Annotated[str | None, typer.Option(metavar="FEATURE", help="the bill of one feature, item by item")] = None,
    budget: Annotated[float | None, typer.Option(metavar="USD", min=0, help="exit 1 where the total of a month is more")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.svg|png", help="draw monthly cost against readers")] = None,
    feature: Annotated[str | None, typer.Option(metavar="NAME", help="with --plot: the file's feature of this name")] = None,
    hours: Annotated[str | None, typer.Option("--open", metavar="HOURS", help='with --plot: open so long, as in "24h/day"')] = None,
    dark: Annotated[bool, typer.Option("--dark", help="with --plot: light on dark")] = False,
    region: Region = FALLBACK,
    as_json: Json = False,
) -> int:
    """What each feature costs a month by each way, and the whole file as it would be deployed.

    Exit 1 where that is more than the budget, 2 where the command or the file is wrong.
    """
    if plot and (lines or budget is not None):
        raise CommandError("--lines and --budget are about the table: leave them or --plot out")
    if plot:
        drawn = plot_into(plot, *chosen(file, feature, hours), region, dark=dark)
        texts = [f"wrote {plot}", *(crossing["text"] for crossing in drawn["crossovers"])]
        console().print(machine.dumps(drawn) if as_json else "\n".join(texts), markup=False, soft_wrap=True)
        return 0
    if feature or hours or dark:
        raise CommandError("--feature, --open and --dark say what is drawn: add --plot cost.svg")
    source = given(file)
    costs = costs_of(source.features.values(), region)
    exceeded = None if budget is None else over(costs, region, budget)
    _show(costs, source.feature(lines).name if lines else None, region, as_json=as_json)
    if exceeded:
        console(errors=True).print(f"over budget: {exceeded}", soft_wrap=True)
    return FAILED if exceeded else 0


def _show(costs: list[Costs], one: str | None, region: str, *, as_json: bool) -> None:
    wanted = [each for each in costs if one in (None, each.feature.name)]
    if as_json:
        features = {each.feature.name: machine.costs_json(each) for each in wanted}
        typer.echo(machine.dumps({"month": machine.month_json(region), "features": features, "total": machine.total_json(costs, region)}))
    elif one:
        show_bill(wanted[0])
    else:
        show_costs(costs, region)
