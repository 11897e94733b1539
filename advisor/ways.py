"""How a feature can be served, and what that is called in features.toml, in the app and before people."""

from collections.abc import Mapping
from typing import Literal, get_args

from realtime.features import Feature

Way = Literal["polling", "sse-service", "sse-lambda", "websocket", "fallback", "appsync"]
"""A pattern with its host; `appsync` (AppSync Events) is not ours, and is there to compare."""

WAYS: tuple[Way, ...] = get_args(Way)

SIMPLEST: tuple[Way, ...] = ("polling", "sse-service", "sse-lambda", "websocket")
"""In the order of what they ask of a team: development 1x, 1.5x, 1.5x, 2-3x (the guide's table)."""

NAMES: Mapping[Way, str] = {
    "polling": "polling",
    "sse-service": "SSE on Fargate",
    "sse-lambda": "SSE from Lambda",
    "websocket": "WebSocket",
    "fallback": "fallback",
    "appsync": "AppSync Events",
}

KEYS: Mapping[Way, Mapping[str, str]] = {
    "polling": {"pattern": "polling"},
    "sse-service": {"pattern": "sse", "host": "service"},
    "sse-lambda": {"pattern": "sse", "host": "lambda"},
    "websocket": {"pattern": "websocket"},
    "fallback": {"pattern": "fallback"},
}
"""What to write into features.toml."""

STACKS: Mapping[Way, str] = {
    "polling": "PollingStack",
    "sse-service": "SseServiceStack",
    "sse-lambda": "SseLambdaStack",
    "websocket": "WebSocketStack",
    "fallback": "PollingStack WebSocketStack SseServiceStack",
}


def way_of(feature: Feature) -> Way:
    """How the file has it served."""
    match feature.pattern, feature.host:
        case "sse", "lambda":
            return "sse-lambda"
        case "sse", _:
            return "sse-service"
        case "polling" | "websocket" | "fallback" as pattern, _:
            return pattern
    raise AssertionError(feature.pattern)
