"""What is said about a choice: each rule where it holds, and nothing where all is well."""

from typing import Any

import pytest

from advisor.advice import advise
from advisor.rules import RULES
from tests.helpers import feature

PUBLIC = {"read": "public"}

FOUND: list[tuple[str, str, dict[str, Any]]] = [
    ("waste", "warning", {"pattern": "polling", "latency": "30s", "access": PUBLIC, "readers": 10_000, "open": "24h/day"}),
    ("waste", "warning", {"pattern": "sse", "host": "lambda", "latency": "1s", "readers": 200}),
    ("reflex", "warning", {"pattern": "websocket", "latency": "1s", "readers": 20, "events": "1/h", "open": "1h/day"}),
    ("appends", "error", {"pattern": "sse", "latency": "1s", "events": "60/s"}),
    ("front-door", "error", {"pattern": "polling", "latency": "5s", "interval": "2s", "readers": 3_000, "open": "0.1h/day"}),
    ("posts", "error", {"pattern": "websocket", "direction": "both", "latency": "100ms", "readers": 1_000, "events": "10/s"}),
    ("storm", "warning", {"pattern": "websocket", "direction": "both", "latency": "1s", "readers": 40_000, "events": "1/h", "rooms": True}),
    ("concurrency", "error", {"pattern": "sse", "host": "lambda", "latency": "1s", "readers": 1_001, "open": "0.01h/day"}),
    ("hubs", "error", {"pattern": "sse", "latency": "1s", "readers": 40_001}),
    ("concurrency", "warning", {"pattern": "fallback", "host": "lambda", "latency": "1s", "readers": 1_001, "events": "1/d"}),
    ("front-door", "error", {"pattern": "sse", "latency": "1s", "rooms": True, "readers": 500, "events": "2000/s"}),
    ("latency", "warning", {"pattern": "polling", "latency": "1s", "readers": 5, "open": "1h/day"}),
    ("latency", "warning", {"pattern": "sse", "latency": "100ms", "readers": 50}),
    ("latency", "warning", {"pattern": "websocket", "latency": "50ms", "readers": 50}),
    ("topics", "warning", {"pattern": "sse", "latency": "1s", "rooms": True, "readers": 6_000}),
]

WELL: list[dict[str, Any]] = [
    {"pattern": "polling", "latency": "30s", "access": PUBLIC, "readers": 200},
    {"pattern": "sse", "latency": "1s", "readers": 200},
    {"pattern": "sse", "host": "lambda", "latency": "1s", "readers": 20, "open": "1h/day"},
    {"pattern": "websocket", "direction": "both", "latency": "100ms", "readers": 100, "rooms": True},
    {"pattern": "fallback", "latency": "1s", "readers": 100},
]


@pytest.mark.parametrize(("rule", "level", "keys"), FOUND, ids=[f"{rule}-{n}" for n, (rule, *_) in enumerate(FOUND)])
def test_rule_finds_it_and_nothing_else(rule: str, level: str, keys: dict[str, Any]) -> None:
    """With what to write instead, and where the figure comes from."""
    (found,) = advise(feature(**keys)).findings
    assert (found.rule, found.level) == (rule, level)
    assert all([found.message, found.cure, found.source])


@pytest.mark.parametrize("keys", WELL, ids=lambda keys: keys["pattern"])
def test_nothing_is_said_where_all_is_well(keys: dict[str, Any]) -> None:
    """Of no rule."""
    assert advise(feature(**keys)).findings == ()


def test_every_rule_has_a_case() -> None:
    """By its name."""
    assert {rule for rule, *_ in FOUND} == {rule.__name__.strip("_").replace("_", "-") for rule in RULES}
