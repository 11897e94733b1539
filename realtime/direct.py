"""Direct down: an operator -> an item of the access table -> every process, which refuses what is better than the transport named.

`python -m realtime.direct orders polling --poll-after 10 --minutes 30` makes the clients of `orders` poll, when a deployment must
shed load; `--off` lets them climb again. Only features with `pattern = "fallback"` have somewhere to go. Cost: each process
that is asked about such a feature reads half a unit every 10 s; nothing for features that are not fallback.
"""

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, get_args

from realtime.errors import Code, RealtimeError
from realtime.features import Feature, Features, FeaturesError, load

if TYPE_CHECKING:
    import argparse

Transport = Literal["websocket", "sse", "polling"]

KNOWN_SECONDS = 10.0
"""How long a process goes by what it has read: so long a directive, or its end, may stay unnoticed."""

MAX_RETRY_SECONDS = 200.0
"""Whoever is refused looks again after that long at the latest. It is spread by up to half, to 300 s, where clients stop counting."""

MAX_POLL_SECONDS = 3_600
MAX_MINUTES = 24 * 60
"""A directive that is forgotten ends within a day."""

_FROM_BEST: tuple[Transport, ...] = get_args(Transport)

logger = logging.getLogger("realtime.direct")


class Direction(NamedTuple):
    """Down to which transport, how many seconds polls leave between them, and until when (Unix seconds)."""

    transport: Transport
    poll_after: int
    until: float


class DirectionStore(Protocol):
    def direction(self, feature: str) -> Direction | None:
        """What was stored last, also if it is over. Half a unit."""

    def put(self, feature: str, direction: Direction) -> None:
        """Store it in place of an earlier one. 1 unit."""

    def remove(self, feature: str) -> None:
        """Remove it, if there is one. 1 unit."""


class _Known(NamedTuple):
    direction: Direction | None
    again: float  # when to read it again


class Directions:
    """What this process knows. Safe to share between threads; a store that does not answer never fails a request."""

    def __init__(self, store: DirectionStore | None = None, clock: Callable[[], float] = time.time) -> None:
        """Without a store nobody directs anything."""
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, _Known] = {}

    def of(self, feature: Feature) -> Direction | None:
        """What holds for the feature now. It may read; while one thread does, the others go by what was known."""
        if self._store is None or feature.pattern != "fallback":
            return None
        now = self._clock()
        if self._due(feature.name, now):
            self._read(self._store, feature.name)
        direction = self._known[feature.name].direction
        return direction if direction and direction.until > now else None

    def poll_after(self, feature: Feature) -> int:
        """Seconds that polls of the feature are to leave between them, at least; 0 where nothing is said."""
        direction = self.of(feature)
        return direction.poll_after if direction else 0

    def check(self, features: Iterable[Feature], transport: Transport) -> None:
        """`unavailable` where one of the features is directed to something less than this transport.

        `features` in the refusal names those: a stream of several topics can come back without them.
        """
        found = {feature.name: direction for feature in features if (direction := self.of(feature)) and _better(transport, direction)}
        if found:
            left = max(direction.until for direction in found.values()) - self._clock()
            poll_after = max(direction.poll_after for direction in found.values())
            detail = f"to shed load, {', '.join(found)} is not served by {transport} for now; polls: every {poll_after} s"
            raise RealtimeError(
                Code.UNAVAILABLE, detail, min(max(0.0, left), MAX_RETRY_SECONDS), more={"poll_after": poll_after, "features": [*found]}
            )

    def _due(self, name: str, now: float) -> bool:
        with self._lock:
            known = self._known.get(name, _Known(None, 0.0))
            if now < known.again <= now + KNOWN_SECONDS:  # else it is old, or the clock was set back
                return False
            self._known[name] = known._replace(again=now + KNOWN_SECONDS)
            return True

    def _read(self, store: DirectionStore, name: str) -> None:
        try:
            direction = store.direction(name)
        except (RealtimeError, LookupError, ValueError) as error:  # of an item that was written by hand, too
            logger.warning("what %s is directed to cannot be read, so what was known goes on: %s", name, error)
            return
        with self._lock:
            self._known[name] = self._known[name]._replace(direction=direction)


def direction_of(transport: str, poll_after: str, until: str) -> Direction:
    """The direction that a store holds as text; ValueError where it is none."""
    if transport not in _FROM_BEST[1:]:
        raise ValueError(f"{transport!r} is not one of {', '.join(_FROM_BEST[1:])}")
    return Direction(_FROM_BEST[_FROM_BEST.index(transport)], int(poll_after), float(until))


def _better(transport: Transport, direction: Direction) -> bool:
    return _FROM_BEST.index(transport) < _FROM_BEST.index(direction.transport)


# The operator's command


def main(arguments: Sequence[str] | None = None, env: Mapping[str, str] = os.environ, clock: Callable[[], float] = time.time) -> None:
    """Store a directive, or remove it."""
    chosen = _parsed(arguments, env)
    try:
        feature = _directed(load(Path(chosen.features)), chosen.feature, chosen.features)
        store, told = _store(chosen.table), f"{feature}: "
        if chosen.off:
            store.remove(feature)
            told += "clients may climb again"
        else:
            until = clock() + 60 * chosen.minutes
            store.put(feature, Direction(chosen.transport, chosen.poll_after, until))
            told += f"{chosen.transport} until {time.strftime('%H:%M:%S', time.gmtime(until))} UTC, polls every {chosen.poll_after} s"
    except (FeaturesError, RealtimeError) as error:
        sys.exit(f"error: {error}")
    sys.stdout.write(f"{told}; processes notice within {KNOWN_SECONDS:g} s\n")


def _directed(features: Features, name: str, file: str) -> str:
    """The name, if its feature has somewhere to go."""
    if name not in features:
        raise FeaturesError(f"{file} has no feature {name}: it has {', '.join(features)}")
    if (pattern := features[name].pattern) != "fallback":
        raise FeaturesError(f'{name} has the pattern {pattern}, and so nowhere to go: only pattern = "fallback" can be directed down')
    return name


def _store(table: str) -> DirectionStore:
    from botocore.exceptions import NoRegionError  # noqa: PLC0415 - boto3 only where it is used

    from realtime.aws import dynamodb  # noqa: PLC0415
    from realtime.dynamo import DynamoDirections  # noqa: PLC0415

    try:
        return DynamoDirections(dynamodb(), table)
    except NoRegionError:
        raise FeaturesError("no region is set: set AWS_REGION") from None


def _parsed(arguments: Sequence[str] | None, env: Mapping[str, str]) -> "argparse.Namespace":
    import argparse  # noqa: PLC0415 - no function that only reads needs it

    def whole(most: int) -> Callable[[str], int]:
        def parse(text: str) -> int:
            if not (text.isascii() and text.isdigit() and 1 <= int(text) <= most):
                raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {most}")
            return int(text)

        return parse

    parser = argparse.ArgumentParser(prog="python -m realtime.direct", description="Direct the clients of a feature down, to shed load.")
    parser.add_argument("feature")
    parser.add_argument("transport", nargs="?", choices=_FROM_BEST[1:], help="what they come down to")
    parser.add_argument("--poll-after", type=whole(MAX_POLL_SECONDS), default=10, help="seconds between polls, at least (10)")
    parser.add_argument("--minutes", type=whole(MAX_MINUTES), default=30, help="how long it holds (30)")
    parser.add_argument("--off", action="store_true", help="let them climb again")
    parser.add_argument("--features", default=env.get("FEATURES", "features.toml"), help="the features file (FEATURES, or features.toml)")
    parser.add_argument("--table", default=env.get("ACCESS_TABLE"), help="the access table (ACCESS_TABLE)")
    chosen = parser.parse_args(arguments)
    if chosen.off == bool(chosen.transport):
        parser.error("name a transport, sse or polling, or write --off")
    if not chosen.table:
        parser.error("ACCESS_TABLE is not set: name the table, here or with --table")
    return chosen


if __name__ == "__main__":
    main()
