"""`python -m tests.conformance URL`: ask a server of Server-Sent Events everything, and print what it did."""

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.conformance.case import Case, Run
from tests.conformance.cases import CASES
from tests.conformance.client import Place, header
from tests.conformance.target import PROMISES, ByCommand, ByHttp, Publish, Target


@dataclass(frozen=True, slots=True)
class Result:
    """`outcome` is pass, fail or skipped; `why` what went wrong, or what is missing."""

    case: Case
    outcome: str
    why: str = ""
    seconds: float = 0.0


def main(arguments: Sequence[str] | None = None) -> int:
    chosen = _parser().parse_args(arguments)
    try:
        target = _target(chosen)
    except ValueError as mistake:
        sys.exit(f"error: {mistake}")
    results = []
    for case in (case for case in CASES if chosen.only in case.name):
        results.append(judge(case, target))
        print(_row(results[-1]), flush=True)
    counts = {outcome: sum(r.outcome == outcome for r in results) for outcome in ("pass", "fail", "skipped")}
    print("\n" + ", ".join(f"{count} {outcome}" for outcome, count in counts.items()))
    return 1 if counts["fail"] or not counts["pass"] else 0


def judge(case: Case, target: Target) -> Result:
    """Run one case."""
    if missing := case.missing(target):
        return Result(case, "skipped", "needs " + " ".join(f"--{_option(word)}" for word in missing))
    began = time.monotonic()
    try:
        with Run(target) as run:
            case.check(run)
    except (AssertionError, OSError, RuntimeError, ValueError, subprocess.TimeoutExpired) as fault:
        return Result(case, "fail", str(fault) or type(fault).__name__, time.monotonic() - began)
    return Result(case, "pass", "", time.monotonic() - began)


def _row(result: Result) -> str:
    case = result.case
    lines = [f"{result.outcome:8} {case.name:56} {result.seconds:5.1f} s   {case.source}"]
    if result.why:
        lines.append(f"{'':8}   {result.why}")
    if result.outcome == "fail":
        lines.append(f"{'':8}   the rule: {case.rule}")
    return "\n".join(lines)


def _option(word: str) -> str:
    return f"expect {word}" if word in PROMISES else word.replace("_", "-")


def _parser() -> argparse.ArgumentParser:
    place = "URL, or 'URL | Name: value | ...' with header fields of its own"
    promises = "\n".join(f"  {name:10} {meaning}" for name, meaning in PROMISES.items())
    parser = argparse.ArgumentParser(
        prog="python -m tests.conformance",
        description=__doc__,
        epilog=f"what --expect can name, besides `contract` for all of them:\n{promises}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("stream", help="URL of a stream")
    parser.add_argument(
        "--header", action="append", default=[], metavar="'Name: value'", help="for streams without header fields of their own"
    )
    parser.add_argument("--publish", metavar="WHERE", help=f"a {place}; or a shell command, with the data in $DATA and as its input")
    parser.add_argument("--body", default="DATA", help="what is posted; DATA stands for the event's data, a JSON object")
    parser.add_argument("--several", metavar="WHERE", help="a stream of two topics, of which the first is the one above")
    parser.add_argument("--publish-other", metavar="WHERE", help="publishes to the second")
    parser.add_argument("--unknown", metavar="WHERE", help="a stream that does not exist")
    parser.add_argument("--private", metavar="WHERE", help="a stream for which credentials are missing")
    parser.add_argument("--over", metavar="WHERE", help="a stream that is over for good")
    parser.add_argument("--stop", metavar="COMMAND", help="ends the server in an orderly way; used last")
    parser.add_argument("--rotation", type=float, metavar="SECONDS", help="when the server closes each stream, at the latest")
    parser.add_argument("--heartbeat", type=float, default=15, metavar="SECONDS", help="between heartbeats (%(default)s)")
    parser.add_argument("--size", type=int, default=4096, metavar="BYTES", help="of data that an event may have (%(default)s)")
    parser.add_argument("--expect", action="append", default=[], choices=["contract", *PROMISES], metavar="PROMISE")
    parser.add_argument("--only", default="", metavar="TEXT", help="cases with this in their name")
    return parser


def _target(chosen: argparse.Namespace) -> Target:
    headers = dict(header(line) for line in chosen.header)

    def place(text: str | None) -> Place | None:
        found = Place.parse(text) if text else None
        return Place(found.url, found.headers or headers) if found else None

    def publish(text: str | None) -> Publish | None:
        if text is None:
            return None
        return ByHttp(Place.parse(text), chosen.body) if text.startswith(("http://", "https://")) else ByCommand(text)

    stream = Place.parse(chosen.stream)
    return Target(
        stream=Place(stream.url, stream.headers or headers),
        publish=publish(chosen.publish),
        several=place(chosen.several),
        publish_other=publish(chosen.publish_other),
        unknown=place(chosen.unknown),
        private=Place.parse(chosen.private) if chosen.private else None,
        over=place(chosen.over),
        stop=(lambda: ByCommand(chosen.stop)("")) if chosen.stop else None,
        rotation=chosen.rotation,
        heartbeat=chosen.heartbeat,
        size=chosen.size,
        promises=frozenset(PROMISES if "contract" in chosen.expect else chosen.expect),
    )


if __name__ == "__main__":
    sys.exit(main())
