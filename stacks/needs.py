"""Which features need which stack: what app.py builds, how it is tagged and what synth says all follow this table."""

from dataclasses import dataclass
from typing import Literal

from advisor.advice import advise
from advisor.rules import Level
from realtime.features import Feature, Features, Pattern

Host = Literal["service", "lambda"]


@dataclass(frozen=True, slots=True)
class Need:
    """A feature needs the stack if it has one of the patterns, on that host if one is named. `tag` says on the bill what it is for.

    An optional one is in the app whenever it may be of use, and deployed by name (docs/decisions/0013-pubsub-by-name.md).
    """

    tag: str
    patterns: tuple[Pattern, ...]
    host: Host | None = None
    optional: bool = False

    def of(self, feature: Feature) -> bool:
        return feature.pattern in self.patterns and self.host in (None, feature.host)


NEEDS = {
    "CoreStack": Need("core", ("polling", "sse", "websocket", "fallback")),
    "PollingStack": Need("polling", ("polling", "fallback")),
    "WebSocketStack": Need("websocket", ("websocket", "fallback")),
    "NetworkStack": Need("sse", ("sse", "fallback"), "service"),
    "SseServiceStack": Need("sse", ("sse", "fallback"), "service"),
    "PubSubStack": Need("sse", ("sse", "fallback"), "service", optional=True),
    "SseLambdaStack": Need("sse-lambda", ("sse", "fallback"), "lambda"),
}


def served(features: Features, stack: str) -> dict[str, Feature]:
    """The features that need the stack of that name."""
    return {name: feature for name, feature in features.items() if NEEDS[stack].of(feature)}


def report(features: Features) -> list[str]:
    """What serves each feature, a line each; a stack in brackets is deployed by name."""
    rows = [(name, feature.pattern, f"{', '.join(_stacks(feature))}: {_way(feature)}") for name, feature in features.items()]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return [f"{name:{widths[0]}}  {pattern:{widths[1]}}  {way}" for name, pattern, way in rows]


def remarks(features: Features) -> list[tuple[Level, str]]:
    """What the advisor's rules find in the file, a sentence each."""
    found = [(name, finding) for name, feature in features.items() for finding in advise(feature).findings]
    return [(finding.level, f"features.{name}: {finding.message}: {finding.cure}") for name, finding in found]


def _stacks(feature: Feature) -> list[str]:
    return [f"[{stack}]" if need.optional else stack for stack, need in NEEDS.items() if need.of(feature)]


def _way(feature: Feature) -> str:
    polling = f"HTTP API{', shared at the edge' * feature.public}, every {feature.interval_seconds:g} s"
    streams = f"streams of {feature.stream:g} s from Lambda" if feature.host == "lambda" else "streams from hubs on Fargate"
    ways = {"polling": polling, "sse": streams, "websocket": "WebSocket API", "fallback": f"WebSocket API, else {streams}, else {polling}"}
    return ways[feature.pattern]
