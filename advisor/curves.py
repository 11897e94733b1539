"""Monthly cost against readers: a curve for each way, and where one of them becomes cheaper than another."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from advisor.advice import crossover, meets
from advisor.load import Load
from advisor.prices import total
from advisor.rules import findings
from advisor.usage import usage
from advisor.ways import Way
from realtime.features import Feature

MOST_READERS = 100_000
POINTS_PER_DECADE = 24
LEAST_USD = 1.0
"""Where two ways cost less than this a month, it does not matter which is cheaper."""

DRAWN: tuple[Way, ...] = ("polling", "sse-service", "sse-lambda", "websocket", "appsync")


@dataclass(frozen=True, slots=True)
class Curve:
    """`works` is false where `advise` has an error: the deployment as it is does not take so many."""

    way: Way
    readers: list[int]
    usd: list[float]
    works: list[bool]


@dataclass(frozen=True, slots=True)
class Crossing:
    """From so many readers on, `then` costs less than `now`; both cost about `usd` there."""

    now: Way
    then: Way
    readers: int
    usd: float


def curves(feature: Feature, region: str) -> list[Curve]:
    """Of the ways that can serve the feature; a fallback, which is a WebSocket and hubs, only where the feature has it."""
    load = Load.of(feature)
    ways = (*DRAWN, "fallback") if feature.pattern == "fallback" else DRAWN
    return [_curve(feature, load, way, region) for way in ways if meets(load, way)]


def _curve(feature: Feature, load: Load, way: Way, region: str) -> Curve:
    readers = _readers()
    loads = [load.with_readers(number) for number in readers]
    usd = [total(usage(each, way), region) for each in loads]
    return Curve(way, readers, usd, [not _refused(feature, each, way) for each in loads])


def _refused(feature: Feature, load: Load, way: Way) -> bool:
    return any(finding.level == "error" for finding in findings(feature, load, way, way, {way: 0.0}))


def crossings(feature: Feature, ways: list[Way], region: str) -> list[Crossing]:
    """Every place up to 100,000 readers, and from a dollar on, where two of the ways cost the same; by readers."""
    load = Load.of(feature)
    return sorted(
        (found for now, then in combinations(ways, 2) for found in _between(load, now, then, region)), key=lambda found: found.readers
    )


def _between(load: Load, first: Way, second: Way, region: str) -> Iterator[Crossing]:
    for now, then in ((first, second), (second, first)):
        readers = crossover(load, now, then, region)
        if readers and 1 < readers <= MOST_READERS and (usd := total(usage(load.with_readers(readers), then), region)) >= LEAST_USD:
            yield Crossing(now, then, readers, usd)


def _readers() -> list[int]:
    """1 to 100,000, evenly on a logarithmic axis."""
    steps = 5 * POINTS_PER_DECADE
    return sorted({round(10 ** (step / POINTS_PER_DECADE)) for step in range(steps + 1)})
