"""Which way fits a feature: what cannot meet its needs is rejected, of the rest the least that does not cost much more wins."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from advisor.load import Load
from advisor.prices import FALLBACK, total
from advisor.rules import Finding, findings, wasteful
from advisor.usage import tasks, usage
from advisor.ways import KEYS, NAMES, SIMPLEST, STACKS, WAYS, Way, way_of
from realtime.features import Feature
from realtime.features_file import MAX_READERS

NEAR_FACTOR, NEAR_USD = 1.25, 10.0
"""A simpler way wins over a cheaper one that saves less than this a month: less than an hour's work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """`way` is recommended because of `reason`; `chosen` is what the file says. Costs are USD a month, by way."""

    feature: str
    way: Way
    reason: str
    chosen: Way | None
    rejected: Mapping[Way, str]
    costs: Mapping[Way, float]
    load: Load
    findings: tuple[Finding, ...] = field(default=())

    @property
    def write(self) -> Mapping[str, str]:
        """The keys of features.toml."""
        return KEYS[self.way]

    @property
    def command(self) -> str:
        """What deploys it."""
        return f"npx cdk deploy {STACKS[self.way]}"


def advise(feature: Feature, *, chosen: bool = True, servers: bool = True, region: str = FALLBACK) -> Advice:
    """The advice for a feature. `chosen`: whether the file names a pattern, which is judged; `servers`: whether Fargate may be."""
    load = Load.of(feature)
    costs = {way: total(usage(load, way), region) for way in WAYS}
    rejected = {way: _unfit(load, way) for way in SIMPLEST if not meets(load, way, servers=servers)}
    if not load.needs_socket:
        rejected["websocket"] = _needless(load, costs["websocket"])
    fit = [way for way in SIMPLEST if way not in rejected]
    errors = {way: [each for each in findings(feature, load, way, way, costs) if each.level == "error"] for way in SIMPLEST}
    broken = {way: errors[way][0].message for way in fit if errors[way]}
    if len(broken) < len(fit):
        rejected |= broken
        fit = [way for way in fit if way not in broken]
    way = _least(fit, costs)
    if not (load.needs_socket or servers) and (way in broken or wasteful(costs[way], costs["websocket"])):
        fit, way = [*fit, "websocket"], "websocket"
        del rejected[way]
    rejected |= {other: _dearer(load, other, way, costs) for other in fit if other != way}
    ours = way_of(feature) if chosen else way
    judged = findings(feature, load, ours, way, costs)
    return Advice(
        feature=feature.name,
        way=way,
        reason=_reason(load, way, costs),
        chosen=ours if chosen else None,
        rejected=rejected,
        costs=costs,
        load=load,
        findings=tuple(dict.fromkeys([*errors[way], *judged])),
    )


def crossover(load: Load, now: Way, then: Way, region: str = FALLBACK) -> int | None:
    """The number of readers from which `then` costs less than `now`, all else as in the load; None: not below ten million."""

    def cheaper(readers: int) -> bool:
        scaled = load.with_readers(readers)
        return total(usage(scaled, then), region) < total(usage(scaled, now), region)

    low, high = 1, MAX_READERS
    if not cheaper(high):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if cheaper(middle) else (middle + 1, high)
    return low


def meets(load: Load, way: Way, *, servers: bool = True) -> bool:
    """Whether the way can serve it at all, by direction and latency (the guide's table); `servers`: whether Fargate may be used."""
    if not servers and way in ("sse-service", "fallback"):
        return False
    if load.needs_socket:
        return way in ("websocket", "fallback", "appsync")
    return way != "polling" or load.latency > 1


def _unfit(load: Load, way: Way) -> str:
    """The fact that rules the way out."""
    if load.two_way:
        return "it goes one way, and clients publish"
    if way == "polling":
        return f"it asks once an interval, and {spell(load.latency)} would be a request a second, or more, from every reader"
    return "it is for 100 ms and more" if load.needs_socket else "it runs on Fargate, and only serverless is there"


def _needless(load: Load, cost: float) -> str:
    return f"nothing goes back, and {spell(load.latency)} is 100 ms or more: two to three times the work, for {usd(cost)} a month"


def _least(fit: list[Way], costs: Mapping[Way, float]) -> Way:
    cheapest = min(costs[way] for way in fit)
    return next(way for way in fit if costs[way] <= max(cheapest * NEAR_FACTOR, cheapest + NEAR_USD))


def _reason(load: Load, way: Way, costs: Mapping[Way, float]) -> str:
    """The deciding fact in one sentence."""
    if load.two_way:
        return (
            'clients publish as well as read, and a WebSocket carries both; where they publish rarely, POST does: write direction = "down"'
        )
    if load.needs_socket:
        return f"{spell(load.latency)} is below 100 ms, which only a WebSocket is for"
    who = f"{load.readers:,} reader{'s' * (load.readers != 1)} for {load.hours:g} h a day"
    if way == "websocket":
        streams = usd(costs["sse-lambda"])
        return f"without servers each open stream is a running function: {who} are {streams} a month, by WebSocket {usd(costs[way])}"
    if way == "polling":
        return f"polling is enough: {spell(load.latency)} is more than a second, and {who} cost {usd(costs[way])} a month"
    if load.latency <= 1:
        return f"{spell(load.latency)} is a second or less and all of it goes one way: {NAMES[way]} has {who} for {usd(costs[way])} a month"
    polls = f"{load.reader_seconds / load.interval / 1e6:,.0f} M polls a month"
    return f"{who} are {polls}, {usd(costs['polling'])}; {NAMES[way]} is {usd(costs[way])}"


def _dearer(load: Load, other: Way, way: Way, costs: Mapping[Way, float]) -> str:
    if costs[other] < costs[way]:
        return f"it would save {usd(costs[way] - costs[other])} a month, which is less than the work that it adds"
    more = f"{usd(costs[other] - costs[way])} a month more"
    if other == "sse-lambda":
        return f"{more}: each open stream is a running function"
    return f"{more}: {tasks(load.readers)} tasks and a load balancer stand, used or not" if other == "sse-service" else more


def spell(seconds: float) -> str:
    """A duration as features.toml writes it."""
    for size, unit in ((3600, "h"), (60, "min"), (1, "s")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s" if seconds >= 1 else f"{seconds * 1000:g} ms"


def usd(amount: float) -> str:
    return f"{amount:,.2f} USD"
