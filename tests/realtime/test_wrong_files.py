"""Files that cannot work: each is refused with file, line, key, and what to write instead; word for word, for people act on it."""

from pathlib import Path

import pytest

from realtime.features import FeaturesError, load

NAME = "a name is lower-case letters, digits and hyphens, begins with a letter and has at most 32 characters"
DURATION = 'write a number and a unit (ms, s, min, h or d), as in "30s"'
RATE = 'write a number per s, min, h or d, as in "100/min"'
RULE = "write public, user, service, owner or claim:<name>"
TWO_WAY = 'goes one way: write pattern = "websocket" (or "fallback"), or direction = "down"'
LIVES = 'shorter streams pay for beginning, longer ones for clients that have left: write between "30s" and "120s"'
BOUNDED = 'only streams on Lambda are bounded by it: remove it, or write host = "lambda"'
FRAME = "a WebSocket frame holds 32 KB, envelope included: write at most 31744"
ANSWER = 'an answer is answers/<sub>/<id> and its owner\'s alone: write rooms = true and access = { read = "owner" }'
MODEL = 'each answer is a call of a model: write how many one caller may have, as in publish = "20/min"'
BELOW = "the file must lie in the folder of this one, or below it: write a relative path without .."
KEYS = "pattern, host, direction, latency, interval, keep, retain, readers, events, open, stream, access, rooms, schema, limits"
ON_LAMBDA = "[features.a]\npattern = 'sse'\nhost = 'lambda'\nlatency = '1s'\n"
ANSWERS = ON_LAMBDA.replace("features.a", "features.answers")
OWNED = ANSWERS + "rooms = true\naccess = { read = 'owner' }\n"

WRONG: list[tuple[str, ...]] = [
    # tables and names
    ("", "features.toml: no feature: begin with [features.metrics]"),
    ("[features]\n", "features.toml: no feature: begin with [features.metrics]"),
    ("title = 'shop'\n[features.a]\n", "features.toml: unknown table [title]: only [features.<name>] is known"),
    (
        "[feature.a]\n",
        "features.toml: unknown table [feature]: only [features.<name>] is known",
        "features.toml: no feature: begin with [features.metrics]",
    ),
    ("[features.a\n", "features.toml:1: is not TOML: Expected ']' at the end of a table declaration (column 12)"),
    ("[features.a]\npattern = sse\n", "features.toml:2: is not TOML: Invalid value (column 11)"),
    ("[features.a]\n[features.a]\n", "features.toml:2: is not TOML: Cannot declare ('features', 'a') twice (column 12)"),
    ("[features]\na = 1\n", "features.toml:2: features.a: write it as a table, [features.a]"),
    ("[[features.a]]\nlatency = '5s'\n", "features.toml:1: features.a: write it as a table, [features.a]"),
    ("\ufeff[features.a]\nlatency = 5\n", f"features.toml:2: features.a.latency: {DURATION}"),
    ("[features.A]\n", f"features.toml:1: features.A: {NAME}"),
    ("[features.order_status]\n", f"features.toml:1: features.order_status: {NAME}"),
    ("[features.2nd]\n", f"features.toml:1: features.2nd: {NAME}"),
    ("[features.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]\n", f"features.toml:1: features.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: {NAME}"),
    ("[features.a]\nname = 'b'\n", "features.toml:2: features.a.name: the table's own title is the name: remove this key"),
    # keys
    ("[features.a]\n\npatern = 'sse'\n", "features.toml:3: features.a.patern: unknown key: did you mean pattern?"),
    ("[features.a]\nqos = 1\n", f"features.toml:2: features.a.qos: unknown key: known are {KEYS}"),
    (
        "[features.a]\nlatencyy = '3s'\nPattern = 'sse'\n",
        "features.toml:2: features.a.latencyy: unknown key: did you mean latency?",
        "features.toml:3: features.a.Pattern: unknown key: did you mean pattern?",
    ),
    ("[features.a]\naccess = { raed = 'user' }\n", "features.toml:2: features.a.access.raed: unknown key: did you mean read?"),
    ("[features.a]\nlimits = { rate = '1/s' }\n", "features.toml:2: features.a.limits.rate: unknown key: known are publish, bytes"),
    # values
    ("[features.a]\npattern = 'push'\n", "features.toml:2: features.a.pattern: must be 'polling', 'sse', 'websocket' or 'fallback'"),
    ("[features.a]\npattern = 'sse'\nhost = 'fargate'\n", "features.toml:3: features.a.host: must be 'service' or 'lambda'"),
    ("[features.a]\ndirection = 'up'\n", "features.toml:2: features.a.direction: must be 'down' or 'both'"),
    ("[features.a]\nlatency = 30\n", f"features.toml:2: features.a.latency: {DURATION}"),
    ("[features.a]\nlatency = '0s'\n", f"features.toml:2: features.a.latency: {DURATION}"),
    ("[features.a]\nlatency = '30 s'\n", f"features.toml:2: features.a.latency: {DURATION}"),
    ("[features.b]\nlatency = '5s'\n[features.a]\n# latency = '5s'\nlatency = '5m'\n", f"features.toml:5: features.a.latency: {DURATION}"),
    ("[features.a]\nevents = 'often'\n", f"features.toml:2: features.a.events: {RATE}"),
    ("[features.a]\nevents = '5/month'\n", f"features.toml:2: features.a.events: {RATE}"),
    ("[features.a]\nopen = '25h/day'\n", 'features.toml:2: features.a.open: write hours per day, as in "8h/day"'),
    ("[features.a]\nopen = '8h'\n", 'features.toml:2: features.a.open: write hours per day, as in "8h/day"'),
    ("[features.a]\nreaders = 0\n", "features.toml:2: features.a.readers: must be greater than or equal to 1"),
    ("[features.a]\nkeep = 'some'\n", "features.toml:2: features.a.keep: must be 'all' or 'latest'"),
    ("[features.a]\nretain = '1s'\n", "features.toml:2: features.a.retain: must lie between 1min and 365d"),
    ("[features.a]\nretain = '400d'\n", "features.toml:2: features.a.retain: must lie between 1min and 365d"),
    ("[features.a]\naccess = { read = 'everyone' }\n", f"features.toml:2: features.a.access.read: {RULE}"),
    ("[features.a]\naccess = { publish = 'claim:' }\n", f"features.toml:2: features.a.access.publish: {RULE}"),
    ("[features.a]\naccess.read = 'all'\n", f"features.toml:2: features.a.access.read: {RULE}"),
    ("[features.a]\n[features.a.access]\nread = ['user']\n", f"features.toml:3: features.a.access.read: {RULE}"),
    ("[features.a]\nlimits = { publish = 100 }\n", f"features.toml:2: features.a.limits.publish: {RATE}"),
    ("[features.a]\nlimits = { bytes = 1000000 }\n", "features.toml:2: features.a.limits.bytes: must be less than or equal to 131072"),
    ("[features.a]\nreaders = '9'\n", "features.toml:2: features.a.readers: write a whole number, without quotes"),
    ("[features.a]\nreaders = 100_000_000\n", "features.toml:2: features.a.readers: must be less than or equal to 10000000"),
    ("[features.a]\nrooms = 'yes'\n", "features.toml:2: features.a.rooms: write true or false, without quotes"),
    ("[features.a]\nschema = 1\n", "features.toml:2: features.a.schema: write a text in quotes"),
    ("[features.a]\nschema = ''\n", "features.toml:2: features.a.schema: write the name of a file, or remove it"),
    ("[features.a]\naccess = 'public'\n", "features.toml:2: features.a.access: write a table in braces, as in { key = ... }"),
    # what the pattern cannot do
    (
        "[features.a]\npattern = 'polling'\nlatency = '100ms'\n",
        'features.toml:3: features.a.latency: polling is for 1 s and more: write pattern = "sse" (or "websocket" below 100 ms)',
    ),
    (
        "[features.a]\npattern = 'sse'\nlatency = '50ms'\n",
        'features.toml:3: features.a.latency: SSE is for 100 ms and more: write pattern = "websocket"',
    ),
    ("[features.a]\npattern = 'polling'\ndirection = 'both'\n", f"features.toml:3: features.a.direction: polling {TWO_WAY}"),
    ("[features.a]\npattern = 'sse'\nlatency = '1s'\ndirection = 'both'\n", f"features.toml:4: features.a.direction: sse {TWO_WAY}"),
    (
        "[features.a]\npattern = 'polling'\nhost = 'lambda'\n",
        "features.toml:3: features.a.host: only sse and fallback have a choice of host: remove it, polling has one",
    ),
    (
        "[features.a]\npattern = 'websocket'\nhost = 'service'\n",
        "features.toml:3: features.a.host: only sse and fallback have a choice of host: remove it, websocket has one",
    ),
    (
        "[features.a]\nlatency = '5s'\nhost = 'lambda'\n",
        "features.toml:3: features.a.host: only sse and fallback have a choice of host: remove it, polling has one",
    ),
    ("[features.a]\npattern = 'websocket'\nlimits = { bytes = 40_000 }\n", f"features.toml:3: features.a.limits.bytes: {FRAME}"),
    ("[features.a]\npattern = 'fallback'\nlimits = { bytes = 40_000 }\n", f"features.toml:3: features.a.limits.bytes: {FRAME}"),
    (
        "[features.a]\ninterval = '500ms'\n",
        'features.toml:2: features.a.interval: polling more often than every second is not served: write interval = "1s" or more',
    ),
    (
        "[features.a]\nlatency = '5s'\ninterval = '9s'\n",
        "features.toml:3: features.a.interval: asking less often than the latency allows breaks its promise: make it at most latency",
    ),
    (
        "[features.a]\nkeep = 'latest'\nretain = '1h'\n",
        'features.toml:3: features.a.retain: the newest event never expires: remove it, or write keep = "all"',
    ),
    (
        "[features.a]\naccess = { read = 'owner' }\n",
        "features.toml:2: features.a.access: an owner's topic is <feature>/<sub>: write rooms = true",
    ),
    (
        "[features.a]\naccess = { publish = 'owner' }\n",
        "features.toml:2: features.a.access: an owner's topic is <feature>/<sub>: write rooms = true",
    ),
    # streams from Lambda
    ("[features.a]\npattern = 'sse'\nlatency = '1s'\nstream = '60s'\n", f"features.toml:4: features.a.stream: {BOUNDED}"),
    ("[features.a]\npattern = 'polling'\nstream = '60s'\n", f"features.toml:3: features.a.stream: {BOUNDED}"),
    (
        ON_LAMBDA + "stream = '16min'\n",
        'features.toml:5: features.a.stream: a Lambda function runs for at most 15 min: write between "30s" and "120s"',
    ),
    (ON_LAMBDA + "stream = '121s'\n", f"features.toml:5: features.a.stream: {LIVES}"),
    (ON_LAMBDA + "stream = '29s'\n", f"features.toml:5: features.a.stream: {LIVES}"),
    # answers
    (
        ANSWERS + "rooms = true\n",
        f"features.toml:1: features.answers.access: {ANSWER}",
        f"features.toml:1: features.answers.limits.publish: {MODEL}",
    ),
    (
        ANSWERS + "access = { read = 'owner' }\n",
        f"features.toml:5: features.answers.access: {ANSWER}",
        f"features.toml:1: features.answers.limits.publish: {MODEL}",
        "features.toml:5: features.answers.access: an owner's topic is <feature>/<sub>: write rooms = true",
    ),
    (
        ANSWERS + "rooms = true\naccess = { read = 'owner', publish = 'user' }\nlimits = { publish = '20/min' }\n",
        'features.toml:6: features.answers.access: POST /answers alone writes into an answer: write publish = "service"',
    ),
    (OWNED, f"features.toml:1: features.answers.limits.publish: {MODEL}"),
    (
        OWNED + "keep = 'latest'\nlimits = { publish = '20/min' }\n",
        'features.toml:7: features.answers.keep: an answer is all its events: write keep = "all"',
    ),
    (
        OWNED + "limits = { publish = '20/min', bytes = 4095 }\n",
        "features.toml:7: features.answers.limits.bytes: a batch of an answer may have so many: write at least 4096",
    ),
    # schemas
    (
        "[features.a]\nschema = 'missing.json'\n",
        "features.toml:2: features.a.schema: missing.json cannot be read: [Errno 2] No such file or directory: 'missing.json'",
    ),
    ("[features.a]\nschema = '../s.json'\n", f"features.toml:2: features.a.schema: {BELOW}"),
    ("[features.a]\nschema = '/s.json'\n", f"features.toml:2: features.a.schema: {BELOW}"),
    # many
    (
        "[features.a]\nlatency = 3\n[features.b]\nkeeep = 1\npattern = 'x'\n",
        f"features.toml:2: features.a.latency: {DURATION}",
        "features.toml:5: features.b.pattern: must be 'polling', 'sse', 'websocket' or 'fallback'",
        "features.toml:4: features.b.keeep: unknown key: did you mean keep?",
    ),
]


@pytest.mark.parametrize(
    ("text", "told"), [(text, told) for text, *told in WRONG], ids=[told[0].split(": ", 1)[-1][:60] for _, *told in WRONG]
)
def test_what_cannot_work_is_told_with_place_and_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, told: list[str]) -> None:
    """A line for each mistake of the file: its place, and what to write."""
    monkeypatch.chdir(tmp_path)
    Path("features.toml").write_text(text)
    with pytest.raises(FeaturesError) as refused:
        load(Path("features.toml"))
    assert str(refused.value).splitlines() == told
