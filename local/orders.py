"""The shop's job on this machine: what functions/shop does every minute in the cloud, as a process, and more often."""

import argparse
import itertools
import secrets
import time

from functions.shop.job import publish
from realtime.errors import RealtimeError
from realtime.runtime import Runtime


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.orders", description=__doc__)
    parser.add_argument("--every", type=float, default=10.0, help="seconds between two days")
    chosen = parser.parse_args()
    runtime, run = Runtime.from_env(), secrets.token_hex(4)
    for step in itertools.count():
        try:
            publish(runtime, step, run)
        except RealtimeError as error:
            print(f"step {step} was not published: {error}", flush=True)  # noqa: T201 - into the job's log
        time.sleep(chosen.every)


if __name__ == "__main__":
    main()
