"""features.toml: strict, and each refusal says where and what to write instead."""

from pathlib import Path
from typing import Any

import pytest

from realtime.errors import Code, RealtimeError
from realtime.features import Features, FeaturesError, load
from realtime.features_file import recommended
from tests.helpers import feature

ON_LAMBDA = "[features.a]\npattern = 'sse'\nhost = 'lambda'\nlatency = '1s'\n"
ANSWERS = ON_LAMBDA.replace("features.a", "features.answers")
OWNED = ANSWERS + "rooms = true\naccess = { read = 'owner' }\n"
GOOD = '[features.metrics]\npattern = "polling"\nlatency = "5s"\n'


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


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no feature: begin with [features.metrics]"),
        ("[features]\n", "no feature"),
        ("[feature.a]\n", "unknown table [feature]"),
        ("[features.a\n", "cannot be read"),
        ("[features]\na = 1\n", "features.a: must be a table"),
        ("[features.A]\n", "features.A: a name is lower-case"),
        ("[features.a]\nname = 'b'\n", ":2: features.a.name: the table's own title"),
        ("[features.a]\n\npatern = 'sse'\n", ":3: features.a.patern: unknown key: did you mean pattern?"),
        ("[features.a]\nxyz = 1\n", "known are pattern, host"),
        ("[features.a]\npattern = 'push'\n", ":2: features.a.pattern: must be 'polling', 'sse', 'websocket' or 'fallback'"),
        ("[features.a]\nlatency = 30\n", 'features.a.latency: write a number and a unit (ms, s, min, h or d), as in "30s"'),
        ("[features.a]\nlatency = '0s'\n", "write a number and a unit"),
        ("[features.a]\nlatency = '30 s'\n", "write a number and a unit"),
        ("[features.a]\nevents = 'often'\n", 'as in "100/min"'),
        ("[features.a]\nopen = '25h/day'\n", 'write hours per day, as in "8h/day"'),
        ("[features.a]\nreaders = '9'\n", "features.a.readers: must be a valid integer"),
        ("[features.a]\nreaders = 0\n", "features.a.readers: must be greater than or equal to 1"),
        ("[features.a]\nkeep = 'some'\n", "features.a.keep: must be 'all' or 'latest'"),
        (
            "[features.a]\naccess = { read = 'everyone' }\n",
            ":2: features.a.access.read: write public, user, service, owner or claim:<name>",
        ),
        ("[features.a]\naccess = { raed = 'user' }\n", "features.a.access.raed: unknown key: did you mean read?"),
        ("[features.a]\nlimits = { bytes = 1000000 }\n", "features.a.limits.bytes: must be less than or equal to 131072"),
        ("[features.a]\npattern = 'polling'\nlatency = '100ms'\n", ":3: features.a.latency: polling is for 1 s and more"),
        ("[features.a]\npattern = 'sse'\nlatency = '50ms'\n", "SSE is for 100 ms and more"),
        ("[features.a]\npattern = 'sse'\nlatency='1s'\ndirection = 'both'\n", ":4: features.a.direction: sse goes one way"),
        ("[features.a]\npattern = 'polling'\nhost = 'lambda'\n", ":3: features.a.host: only sse has a choice of host"),
        ("[features.a]\npattern = 'sse'\nlatency = '1s'\nstream = '60s'\n", ":4: features.a.stream: only streams on Lambda"),
        (ON_LAMBDA + "stream = '16min'\n", ":5: features.a.stream: a Lambda function runs for at most 15 min: write between"),
        (ON_LAMBDA + "stream = '121s'\n", "features.a.stream: a stream on Lambda lives between 30 s and 120 s"),
        (ON_LAMBDA + "stream = '29s'\n", "features.a.stream: a stream on Lambda lives between 30 s and 120 s"),
        (ANSWERS + "rooms = true\n", "features.answers.access: an answer is answers/<sub>/<id> and its owner's alone"),
        (ANSWERS + "access = { read = 'owner' }\n", "features.answers.access: an answer is answers/<sub>/<id>"),
        (OWNED.replace("owner'", "owner', publish = 'user'"), "POST /answers alone writes into an answer: write publish = "),
        (OWNED, "features.answers.limits.publish: each answer is a call of a model"),
        (OWNED + "keep = 'latest'\n", "features.answers.keep: an answer is all its events"),
        (
            OWNED + "limits = { bytes = 4095 }\n",
            "a batch of an answer may have so many: write at least 4096",
        ),
        ("[features.a]\ninterval = '500ms'\n", 'write interval = "1s" or more'),
        ("[features.a]\nlatency = '5s'\ninterval = '9s'\n", "make it at most latency"),
        ("[features.a]\nkeep = 'latest'\nretain = '1h'\n", ":3: features.a.retain: the newest event never expires"),
        ("[features.a]\nretain = '1s'\n", "must lie between 1min and 365d"),
        ("[features.a]\naccess = { read = 'owner' }\n", "write rooms = true"),
        ("[features.a]\nschema = 'missing.json'\n", "features.a.schema: missing.json cannot be read"),
        ("[features.a]\nschema = '../s.json'\n", "features.a.schema: the file must lie in the folder of this one"),
        ("[features.a]\nschema = '/s.json'\n", "write a relative path without .."),
    ],
)
def test_mistake_is_told_with_place_and_cure(tmp_path: Path, text: str, told: str) -> None:
    """Each mistake: file, line, key, and what to write."""
    with pytest.raises(FeaturesError) as refused:
        load_text(tmp_path, text)
    assert told in str(refused.value)
    assert "features.toml" in str(refused.value)


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    """One run shows all there is to mend."""
    with pytest.raises(FeaturesError) as refused:
        load_text(tmp_path, "[features.a]\nlatency = 3\n[features.b]\nkeeep = 1\npattern = 'x'\n")
    assert len(str(refused.value).splitlines()) == 3


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
