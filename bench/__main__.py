"""`python -m bench [--only NAME] [--seconds N] [--clients N] [--readers N ...] [--rounds N]`: run the benches one after another."""

import argparse
import signal
import sys
from typing import TYPE_CHECKING

from bench import cold, fanout, hub, ready, shared, streams, units, warm
from bench.report import RESULTS, Report, save, show
from local.places import LocalError
from local.progress import console

if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> None:
    benches: dict[str, Callable[[], Report]] = {
        "cold": cold.run,
        "warm": warm.run,
        "units": units.run,
        "fanout": fanout.run,
        "shared": lambda: shared.run(chosen.clients, chosen.seconds),
        "ready": ready.run,
        "streams": streams.run,
        "hub": lambda: hub.run(chosen.readers, chosen.rounds),
    }
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", choices=benches, help="run this one; its result goes to bench/results/<name>.json.tmp")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long shared polling runs")
    parser.add_argument("--clients", type=int, default=1000, help="how many clients shared polling has")
    parser.add_argument("--readers", type=int, nargs="+", default=hub.SIZES, help="how many readers the hub has, in one run after another")
    parser.add_argument("--rounds", type=int, default=hub.ROUNDS, help="how often each of the hub's runs is repeated")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped
    reports = dict[str, Report]()
    try:
        for name in [chosen.only] if chosen.only else benches:
            reports[name] = benches[name]()
            show(name, reports[name])
    except LocalError as error:
        sys.exit(f"error: {error}")
    path = RESULTS / (f"{chosen.only}.json.tmp" if chosen.only else "all.json")
    save(path, reports)
    console.print(f"written to {path}")


if __name__ == "__main__":
    main()
