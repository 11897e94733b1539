"""`features.toml`, read strictly: what cannot work is refused with the line and the cure. At synth, and where no asset is."""

import difflib
import re
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from realtime.features import (
    MAX_EVENT_BYTES,
    MIN_ANSWER_BYTES,
    MIN_INTERVAL_SECONDS,
    Access,
    Feature,
    Features,
    FeaturesError,
    Limits,
    Pattern,
    answered,
    read_schemas,
)

MAX_RETAIN_SECONDS = 365 * 86_400

MAX_LAMBDA_SECONDS = 900
"""How long one invocation may take (Lambda quotas)."""

STREAM_SECONDS = (30, 120)
"""How long a stream on Lambda may live: shorter ones pay more for beginning, longer ones for clients that have left."""

MAX_WEBSOCKET_BYTES = 31 * 1024
"""Data of an event that fits into one WebSocket frame of 32 KB, with up to 1 KB of envelope around it."""

MAX_READERS = 10_000_000
"""Far above what any pattern bears here; what is more is a slip of the keyboard."""

_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}", re.ASCII)
_UNITS = {"ms": 0.001, "s": 1, "min": 60, "h": 3600, "d": 86_400}
_RULE = re.compile(r"public|user|service|owner|claim:[A-Za-z0-9_.:/-]{1,64}", re.ASCII)


def _duration(value: object) -> float:
    """Seconds of "250ms", "30s", "5min", "24h" or "7d"."""
    form = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)(ms|s|min|h|d)", value) if isinstance(value, str) else None
    if form is None or float(form[1]) == 0:
        raise ValueError('write a number and a unit (ms, s, min, h or d), as in "30s"')
    return float(form[1]) * _UNITS[form[2]]


def _rate(value: object) -> float:
    """Events per second of "100/min"."""
    form = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)/(s|min|h|d)", value) if isinstance(value, str) else None
    if form is None or float(form[1]) == 0:
        raise ValueError('write a number per s, min, h or d, as in "100/min"')
    return float(form[1]) / _UNITS[form[2]]


def _hours(value: object) -> float:
    """Hours a day of "8h/day"."""
    form = re.fullmatch(r"(\d+(?:\.\d+)?)h/day", value) if isinstance(value, str) else None
    if form is None or not 0 < float(form[1]) <= 24:
        raise ValueError('write hours per day, as in "8h/day"')
    return float(form[1])


def _access_rule(value: object) -> str:
    if not isinstance(value, str) or not _RULE.fullmatch(value):
        raise ValueError("write public, user, service, owner or claim:<name>")
    return value


Seconds = Annotated[float, BeforeValidator(_duration)]
PerSecond = Annotated[float, BeforeValidator(_rate)]
HoursPerDay = Annotated[float, BeforeValidator(_hours)]
AccessRule = Annotated[str, BeforeValidator(_access_rule)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class AccessTable(_Table):
    """`access = { read = ..., publish = ... }`."""

    read: AccessRule = "user"
    publish: AccessRule = "service"


class LimitsTable(_Table):
    """`limits = { publish = ..., bytes = ... }`."""

    publish: PerSecond | None = None
    bytes: int = Field(default=4096, ge=1, le=MAX_EVENT_BYTES)


class FeatureTable(_Table):
    """One table as it is written."""

    name: str
    pattern: Pattern = "polling"
    host: Literal["service", "lambda"] = "service"
    direction: Literal["down", "both"] = "down"
    latency: Seconds = 30.0
    interval: Seconds | None = None
    keep: Literal["all", "latest"] = "all"
    retain: Seconds = 86_400.0
    readers: int = Field(default=100, ge=1, le=MAX_READERS)
    events: PerSecond = 1 / 60
    open: HoursPerDay = 8.0
    stream: Seconds = 60.0
    access: AccessTable = AccessTable()
    rooms: bool = False
    schema_file: str | None = Field(default=None, alias="schema")
    limits: LimitsTable = LimitsTable()

    def feature(self) -> Feature:
        """The feature that it describes."""
        fields = self.model_dump()
        return Feature(**fields | {"access": Access(**fields["access"]), "limits": Limits(**fields["limits"])})


def read(path: Path) -> Features:
    """Read and judge the file; `FeaturesError` lists every mistake with file, line, key and cure."""
    try:
        text = path.read_text(encoding="utf-8-sig")  # editors on Windows begin with a byte order mark
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FeaturesError(_not_toml(path, str(error))) from None
    except (OSError, ValueError) as error:
        raise FeaturesError(f"{path}: cannot be read: {error}") from None
    mistakes = [f"{path}: unknown table [{key}]: only [features.<name>] is known" for key in document if key != "features"]
    tables = document.get("features")
    if not isinstance(tables, dict) or not tables:
        raise FeaturesError("\n".join([*mistakes, f"{path}: no feature: begin with [features.metrics]"]))
    features = dict[str, Feature]()
    for name, table in tables.items():
        found = list(_judge(name, table, path.parent, features))
        mistakes += [f"{path}:{_line(text, name, key)}: features.{name}{'.' + key if key else ''}: {cure}" for key, cure in found]
    if mistakes:
        raise FeaturesError("\n".join(mistakes))
    return Features(features, path.parent)


def _not_toml(path: Path, message: str) -> str:
    """With the line where a mistake of TOML has it: "Invalid value (at line 2, column 11)"."""
    told = re.fullmatch(r"(.*) \(at line (\d+), (column \d+)\)", message)
    return f"{path}:{told[2]}: is not TOML: {told[1]} ({told[3]})" if told else f"{path}: is not TOML: {message}"


def _judge(name: str, table: object, folder: Path, features: dict[str, Feature]) -> Iterator[tuple[str, str]]:
    """Mistakes of one table as (key, cure); a table without any is added to `features`."""
    if not _NAME.fullmatch(name):
        yield "", "a name is lower-case letters, digits and hyphens, begins with a letter and has at most 32 characters"
    if not isinstance(table, dict) or "name" in table:
        cure = f"write it as a table, [features.{name}]"
        yield ("name", "the table's own title is the name: remove this key") if isinstance(table, dict) else ("", cure)
        return
    try:
        feature = FeatureTable.model_validate({"name": name, **table}).feature()
    except ValidationError as error:
        yield from (_explain(e["loc"], e["type"], e["msg"]) for e in error.errors())
        return
    if "pattern" not in table:
        feature = replace(feature, pattern=recommended(feature))
    features[name] = feature
    yield from _impossible(feature, table)
    if feature.schema_file == "":
        yield "schema", "write the name of a file, or remove it"
    elif feature.schema_file and (Path(feature.schema_file).is_absolute() or ".." in Path(feature.schema_file).parts):
        yield "schema", "the file must lie in the folder of this one, or below it: write a relative path without .."
    elif feature.schema_file:
        try:
            read_schemas(folder, feature.schema_file)
        except FeaturesError as error:
            yield "schema", str(error)


_TYPES = {
    "model_type": "write a table in braces, as in { key = ... }",
    "int_type": "write a whole number, without quotes",
    "bool_type": "write true or false, without quotes",
    "string_type": "write a text in quotes",
}
"""What to write instead of a value of another type, by pydantic's name of the error."""


def _explain(location: tuple[int | str, ...], kind: str, message: str) -> tuple[str, str]:
    key = ".".join(str(part) for part in location)
    if kind == "extra_forbidden":
        known = [f.alias or n for n, f in _model(location).model_fields.items() if n != "name"]
        near = difflib.get_close_matches(str(location[-1]), known, n=1)
        return key, f"unknown key: did you mean {near[0]}?" if near else f"unknown key: known are {', '.join(known)}"
    if kind in _TYPES:
        return key, _TYPES[kind]
    return key, message.removeprefix("Value error, ").replace("Input should be", "must be")


def _model(location: tuple[int | str, ...]) -> type[_Table]:
    """The model that the last part of the location is a key of."""
    if len(location) == 1:
        return FeatureTable
    return AccessTable if location[0] == "access" else LimitsTable


def recommended(feature: Feature) -> Pattern:
    """The least that meets the needs: WebSocket for two-way or below 100 ms, SSE up to 1 s, else polling."""
    if feature.direction == "both" or feature.latency < 0.1:
        return "websocket"
    return "sse" if feature.latency <= 1 else "polling"


def _impossible(feature: Feature, table: dict[str, object]) -> Iterator[tuple[str, str]]:
    """Choices that no deployment can honour."""
    yield from _impossible_pattern(feature, table)
    if answered(feature):
        yield from _impossible_answers(feature)
    if "interval" in table and feature.interval_seconds != feature.interval:
        yield "interval", 'polling more often than every second is not served: write interval = "1s" or more'
    if feature.interval and feature.interval > feature.latency and feature.pattern == "polling":  # a fallback's polls are the last resort
        yield "interval", "asking less often than the latency allows breaks its promise: make it at most latency"
    if "retain" in table and feature.keep == "latest":
        yield "retain", 'the newest event never expires: remove it, or write keep = "all"'
    if not 60 <= feature.retain <= MAX_RETAIN_SECONDS:
        yield "retain", "must lie between 1min and 365d"
    if "owner" in (feature.access.read, feature.access.publish) and not feature.rooms:
        yield "access", "an owner's topic is <feature>/<sub>: write rooms = true"


def _impossible_answers(feature: Feature) -> Iterator[tuple[str, str]]:
    """What the feature `answers` needs on Lambda, where POST /answers writes it."""
    if not feature.rooms or feature.access.read != "owner":
        yield "access", 'an answer is answers/<sub>/<id> and its owner\'s alone: write rooms = true and access = { read = "owner" }'
    if feature.access.publish != "service":
        yield "access", 'POST /answers alone writes into an answer: write publish = "service"'
    if feature.limits.publish is None:
        yield "limits.publish", 'each answer is a call of a model: write how many one caller may have, as in publish = "20/min"'
    if feature.keep != "all":
        yield "keep", 'an answer is all its events: write keep = "all"'
    if feature.limits.bytes < MIN_ANSWER_BYTES:
        yield "limits.bytes", f"a batch of an answer may have so many: write at least {MIN_ANSWER_BYTES}"


def _impossible_pattern(feature: Feature, table: dict[str, object]) -> Iterator[tuple[str, str]]:
    """What the pattern cannot do."""
    pattern, latency = feature.pattern, feature.latency
    if pattern == "polling" and latency < MIN_INTERVAL_SECONDS:
        yield "latency", 'polling is for 1 s and more: write pattern = "sse" (or "websocket" below 100 ms)'
    if pattern == "sse" and latency < 0.1:
        yield "latency", 'SSE is for 100 ms and more: write pattern = "websocket"'
    if feature.direction == "both" and pattern in ("polling", "sse"):
        yield "direction", f'{pattern} goes one way: write pattern = "websocket" (or "fallback"), or direction = "down"'
    if "host" in table and pattern not in ("sse", "fallback"):
        yield "host", f"only sse and fallback have a choice of host: remove it, {pattern} has one"
    if "stream" in table and feature.host != "lambda":
        yield "stream", 'only streams on Lambda are bounded by it: remove it, or write host = "lambda"'
    elif feature.stream > MAX_LAMBDA_SECONDS:
        yield "stream", 'a Lambda function runs for at most 15 min: write between "30s" and "120s"'
    elif not STREAM_SECONDS[0] <= feature.stream <= STREAM_SECONDS[1]:
        yield "stream", 'shorter streams pay for beginning, longer ones for clients that have left: write between "30s" and "120s"'
    if pattern in ("websocket", "fallback") and feature.limits.bytes > MAX_WEBSOCKET_BYTES:
        yield "limits.bytes", f"a WebSocket frame holds 32 KB, envelope included: write at most {MAX_WEBSOCKET_BYTES}"


def _line(text: str, feature: str, key: str) -> int:
    """The line on which the key of a feature's table stands, else the table's own line, else the first."""
    first, _, second = key.partition(".")
    found, inside = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[+\s*([^\]]*?)\s*\]", line):
            inside = re.sub(r"[\s\"']", "", header[1])
            found = found or number * (inside.split(".")[:2] == ["features", feature])
        wanted = {f"features.{feature}": first, f"features.{feature}.{first}": second, "features": feature}.get(inside, "")
        if wanted and re.match(rf"\s*[\"']?{re.escape(wanted)}[\"']?\s*[.=]", line):
            return number
    return found or 1
