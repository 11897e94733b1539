"""`python -m guardrails cdk.out`: the rules over templates, without the CDK.

It exits with 1 if one finds something, with 2 on a file that it cannot read or a heartbeat that is none.
"""

import json
from pathlib import Path
from typing import Annotated

import typer

from guardrails.assembly import Source, UnreadableError, sources
from guardrails.finding import Finding
from guardrails.template import require_heartbeat

app = typer.Typer(add_completion=False)


@app.command()
def main(
    paths: Annotated[list[Path], typer.Argument(help="cdk.out, folders with *.template.json, or templates, as JSON")],
    *,
    heartbeat: Annotated[float, typer.Option(help="Seconds that your streams are silent at most")] = 15,
    as_json: Annotated[bool, typer.Option("--json", help="Findings as JSON")] = False,
) -> None:
    """What breaks in production and can be seen in a template."""
    try:
        require_heartbeat(heartbeat)
    except ValueError as error:
        raise _wrong(error) from error
    try:
        found, read = _findings(paths, heartbeat)
    except UnreadableError as error:
        raise _wrong(error) from error
    if as_json:
        typer.echo(json.dumps([finding.as_dict() for finding in found], indent=2))
    else:
        for finding in found:
            typer.echo(f"{finding}\n")
        typer.echo(f"findings: {len(found)}, templates: {len(read)}")
    raise typer.Exit(bool(found))


def _wrong(error: Exception) -> typer.Exit:
    typer.echo(error, err=True)
    return typer.Exit(2)


def _findings(paths: list[Path], heartbeat: float) -> tuple[list[Finding], list[Source]]:
    read = [source for path in paths for source in sources(path)]
    return [finding for source in read for finding in source.findings(heartbeat)], read


if __name__ == "__main__":
    app(prog_name="python -m guardrails")
