"""What is wrong with a choice: a warning where it wastes, an error where it cannot work; by rule, each with its source."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from advisor.load import Load
from advisor.usage import LOOKS_A_SECOND, MOST_TASKS, TASK_READERS
from advisor.ways import KEYS, NAMES, Way
from realtime.bus_log import INTERVAL_SECONDS, MANY_TOPICS
from realtime.features import Feature

Level = Literal["warning", "error"]

MUCH_FACTOR, MUCH_USD = 2.0, 20.0
"""A choice wastes if it costs both twice as much and this much more a month."""

APPENDS_PER_TOPIC = 50.0
FRONT_DOOR_PER_SECOND = 1_000.0
PUSHES_PER_SECOND = 5_000.0
CONNECTS_PER_SECOND = 500.0
CONCURRENT_EXECUTIONS = 1_000
BACK_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding about a feature. `cure` says what to write instead; `source` is where the figure comes from."""

    level: Level
    rule: str
    message: str
    cure: str
    source: str


@dataclass(frozen=True, slots=True)
class Judged:
    """What a rule looks at: how the feature is served, what is recommended, and what each way costs."""

    feature: Feature
    load: Load
    way: Way
    recommended: Way
    costs: Mapping[Way, float]


Rule = Callable[[Judged], Iterator[Finding]]


def findings(feature: Feature, load: Load, way: Way, recommended: Way, costs: Mapping[Way, float]) -> Iterator[Finding]:
    """All that is wrong with serving the feature this way, errors first."""
    judged = Judged(feature, load, way, recommended, costs)
    yield from sorted((found for rule in RULES for found in rule(judged)), key=lambda found: found.level)


def wasteful(cost: float, least: float) -> bool:
    """Whether it costs so much more that a warning is due."""
    return cost > MUCH_FACTOR * least and cost - least > MUCH_USD


def _waste(judged: Judged) -> Iterator[Finding]:
    cost, least = judged.costs[judged.way], judged.costs[judged.recommended]
    if wasteful(cost, least):
        message = f"{NAMES[judged.way]} costs {cost:,.2f} USD a month, {NAMES[judged.recommended]} {least:,.2f}"
        yield Finding("warning", "waste", message, f"write {_keys(judged.recommended)}", "docs/costs.md")


def _reflex(judged: Judged) -> Iterator[Finding]:
    if judged.way == "websocket" and not judged.load.needs_socket:
        message = "a WebSocket, and nothing goes back to the server"
        yield Finding(
            "warning", "reflex", message, f"write {_keys(judged.recommended)}", "the guide: WebSockets by default are the first mistake"
        )


def _appends(judged: Judged) -> Iterator[Finding]:
    if judged.load.rate > APPENDS_PER_TOPIC:
        message = f"{judged.load.rate:,.0f} events a second in one topic, which takes {APPENDS_PER_TOPIC:.0f} appends a second"
        cure = "publish up to 25 events in one append, or write rooms = true and spread them"
        yield Finding("error", "appends", message, cure, "measured: realtime/log.py, one append after another")


def _front_door(judged: Judged) -> Iterator[Finding]:
    load = judged.load
    polled = load.topics if load.public else load.readers  # what is public goes through once an interval and topic
    asked = (0.0 if load.two_way else load.events) + (polled / load.interval if judged.way == "polling" else 0.0)
    if asked > FRONT_DOOR_PER_SECOND:
        message = f"{asked:,.0f} polls and posts a second, and the front door takes {FRONT_DOOR_PER_SECOND:,.0f}: more get 429"
        cure = (
            'write a longer interval or pattern = "sse", let backends append up to 25 events at once, or raise the limit in stacks/core.py'
        )
        yield Finding("error", "front-door", message, cure, "stacks/core.py: a tenth of API Gateway's 10,000 requests a second")


def _posts(judged: Judged) -> Iterator[Finding]:
    pushed = judged.load.rate * judged.load.readers
    if judged.way in ("websocket", "fallback") and pushed > PUSHES_PER_SECOND:
        message = (
            f"{pushed:,.0f} pushes a second, each a call of API Gateway, of which {PUSHES_PER_SECOND:,.0f} are this deployment's share"
        )
        cure = 'write pattern = "sse", batch the events, or raise realtime:posts-per-second with the account\'s quota'
        yield Finding("error", "posts", message, cure, "API Gateway quotas: 10,000 requests a second, @connections included")


def _storm(judged: Judged) -> Iterator[Finding]:
    seconds = judged.load.readers / CONNECTS_PER_SECOND
    if judged.way in ("websocket", "fallback") and seconds > BACK_SECONDS:
        back = f"after an outage {judged.load.readers:,} readers come back over {seconds:,.0f} s"
        message = f"{back}: an account takes {CONNECTS_PER_SECOND:.0f} new connections a second"
        cure = 'write pattern = "sse" where nothing goes back, or ask AWS about the limit'
        yield Finding("warning", "storm", message, cure, "API Gateway quotas: new WebSocket connections, not adjustable")


def _concurrency(judged: Judged) -> Iterator[Finding]:
    level = _level(judged, "sse-lambda", hubs=False)
    if level and judged.load.readers > CONCURRENT_EXECUTIONS:
        message = f"{judged.load.readers:,} open streams are as many running functions, and an account has {CONCURRENT_EXECUTIONS:,}"
        yield Finding(level, "concurrency", message, 'write host = "service"', "Lambda quotas: concurrent executions")


def _hubs(judged: Judged) -> Iterator[Finding]:
    most = MOST_TASKS * TASK_READERS
    level = _level(judged, "sse-service", hubs=True)
    if level and judged.load.readers > most:
        message = f"{judged.load.readers:,} streams, and the service grows to {MOST_TASKS} tasks of {TASK_READERS:,}"
        yield Finding(level, "hubs", message, "raise MAX_TASKS, or CPU and MEMORY_MB, in stacks/sse_service.py", "stacks/sse_service.py")


def _latency(judged: Judged) -> Iterator[Finding]:
    late = judged.load.latency < INTERVAL_SECONDS
    if judged.way == "polling" and judged.load.latency <= 1:
        message, cure = "a request a second from every reader, and polling is for more than a second", 'write pattern = "sse"'
        yield Finding("warning", "latency", message, cure, "the guide: polling is for over 1 s")
    if judged.way in ("sse-service", "sse-lambda") and late:
        cure = "deploy PubSubStack" if judged.way == "sse-service" else 'write host = "service" and deploy PubSubStack'
        yield Finding("warning", "latency", "the log is looked at every 250 ms", cure, "realtime/bus_log.py")
    if judged.way == "websocket" and late and not judged.load.two_way:
        message = "what a backend publishes is pushed a quarter of a second later on average, by the table's stream"
        cure = "let clients publish over their WebSocket, which pushes at once, or write a latency of 500ms"
        yield Finding("warning", "latency", message, cure, "docs/websocket.md: fan-out")


def _level(judged: Judged, way: Way, *, hubs: bool) -> Level | None:
    """An error where all readers have a stream of that kind; a warning where they would, as soon as their WebSockets fail."""
    if judged.way == way:
        return "error"
    return "warning" if judged.way == "fallback" and judged.load.hubs == hubs else None


def _topics(judged: Judged) -> Iterator[Finding]:
    if judged.way == "sse-service" and judged.load.topics > MANY_TOPICS:
        message = f"{judged.load.topics:,} topics that every hub looks at {LOOKS_A_SECOND:.0f} times a second"
        cure = "deploy PubSubStack, which the costs here count already where it is cheaper"
        yield Finding("warning", "topics", message, cure, "realtime/bus_log.py: a round of reads gets slow above 500")


def _keys(way: Way) -> str:
    return ", ".join(f'{key} = "{value}"' for key, value in KEYS[way].items())


RULES: tuple[Rule, ...] = (_waste, _reflex, _appends, _front_door, _posts, _storm, _concurrency, _hubs, _latency, _topics)
