"""`python -m local up | down | status`: start the local deployment, end it, tell what runs."""

import argparse
import json
import sys
from pathlib import Path

from rich.markup import escape

from local.places import ROOT, LocalError, Places
from local.progress import console
from local.supervisor import Wanted, down, status, up, up_detached


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / ".local" / "run", help="where this deployment keeps its files")
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("up", help="deploy everything to this machine and keep it running until Ctrl-C")
    start.add_argument("--detach", action="store_true", help="return when it runs; `down` ends it")
    start.add_argument("--features", type=Path, default=Path("features.toml"))
    start.add_argument("--bus", choices=["log", "valkey"], default="log", help="how the hubs of the SSE service hear of events")
    start.add_argument("--port", type=int, default=8000, help="port of the page")
    start.add_argument("--endpoint-port", type=int, default=4566, help="port of the local AWS endpoint")
    commands.add_parser("down", help="end everything that up started")
    commands.add_parser("status", help="tell what runs").add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    places = Places(chosen.folder.resolve(), getattr(chosen, "endpoint_port", 0), getattr(chosen, "port", 0))
    try:
        if chosen.command == "up":
            (up_detached if chosen.detach else up)(places, Wanted(chosen.features, chosen.bus))
        elif chosen.command == "down":
            down(places)
        else:
            _show(places, as_json=chosen.json)
    except LocalError as error:
        console.print(f"[red]error:[/] {escape(str(error))}", soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:  # before up had begun
        sys.exit(130)


def _show(places: Places, *, as_json: bool) -> None:
    found = status(places)
    if as_json:
        print(json.dumps(found, indent=2))  # noqa: T201 - for programs
        return
    if not found["running"]:
        console.print("nothing runs: start it with make up")
        return
    for name, url in found["endpoints"].items():
        console.print(f"{name:<12} {url}", soft_wrap=True)
    for process in found["processes"]:
        console.print(f"{process['name']:<12} pid {process['pid']}{'' if process['alive'] else ' (ended)'}")
    for left in found["left_out"]:
        console.print(escape(f"left out     {left['stack']}/{left['logical_id']} ({left['type']}): {left['reason']}"), soft_wrap=True)


if __name__ == "__main__":
    main()
