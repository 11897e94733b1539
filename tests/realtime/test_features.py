"""features.toml as it is read; what is refused stands in test_wrong_files.py."""

from pathlib import Path
from typing import Any

import pytest

from realtime.errors import Code, RealtimeError
from realtime.features import Features, FeaturesError, load
from realtime.features_file import recommended
from tests.helpers import feature


def load_text(tmp_path: Path, text: str) -> Features:
    file = tmp_path / "features.toml"
    file.write_text(text)
    return load(file)


def test_defaults_are_safe(tmp_path: Path) -> None:
    """What is not said: users read, services publish, 4 KB, kept for a day."""
    made = load_text(tmp_path, "[features.news]\n")["news"]
    assert (made.access.read, made.access.publish, made.limits.bytes, made.retain) == ("user", "service", 4096, 86_400)


def test_units_are_read(tmp_path: Path) -> None:
    """Durations become seconds, rates per second, opening times hours."""
    made = load_text(tmp_path, '[features.a]\nlatency="1.5s"\nretain="7d"\nevents="120/min"\nopen="8h/day"\n')["a"]
    assert (made.latency, made.retain, made.events, made.open) == (1.5, 7 * 86_400, 2, 8)


@pytest.mark.parametrize(
    ("needs", "pattern"),
    [
        ({}, "polling"),
        ({"latency": "5s"}, "polling"),
        ({"latency": "1s"}, "sse"),
        ({"latency": "50ms"}, "websocket"),
        ({"direction": "both"}, "websocket"),
    ],
)
def test_least_pattern_that_meets_the_needs_is_recommended(needs: dict[str, Any], pattern: str) -> None:
    """Without `pattern`, direction and latency decide."""
    assert recommended(feature(**needs)) == pattern


def test_pattern_left_out_is_chosen(tmp_path: Path) -> None:
    """The choice stands in the loaded features."""
    assert load_text(tmp_path, '[features.a]\nlatency = "250ms"\n')["a"].pattern == "sse"


@pytest.mark.parametrize("schema", ["[]", "{}", '{"a": 1}', "nonsense", '{"a": {"type": "nonsense"}}'])
def test_wrong_schema_file_is_told(tmp_path: Path, schema: str) -> None:
    """A schema file maps event types to JSON Schemas that are ones."""
    (tmp_path / "s.json").write_text(schema)
    with pytest.raises(FeaturesError):
        load_text(tmp_path, '[features.a]\nschema = "s.json"\n').check_schemas()


@pytest.mark.parametrize("name", ["metrics", "chat/lobby", "chat/a|b", "orders/auth0|12", "orders/ann/17"])
def test_topic_is_found(features: Features, name: str) -> None:
    """A feature's own topic, rooms, and up to two segments for owners."""
    assert features.topic(name).name == name


@pytest.mark.parametrize(
    "name",
    ["", "nothing", "metrics/a", "chat", "chat/", "chat/a/b", "chat/stream", "chat/events", "chat/a b", "chat/é", "chat/" + "a" * 129],
)
def test_topic_that_no_feature_serves_is_unknown(features: Features, name: str) -> None:
    """Rooms only where there are rooms; reserved and strange segments nowhere."""
    with pytest.raises(RealtimeError) as refused:
        features.topic(name)
    assert refused.value.code is Code.UNKNOWN_TOPIC
