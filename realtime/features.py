"""`features.toml`: which pattern serves which feature. Strict: what cannot work is refused with the line and the cure."""

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from realtime.errors import Code, RealtimeError

Pattern = Literal["polling", "sse", "websocket", "fallback"]

MAX_EVENT_BYTES = 128 * 1024
MAX_WEBSOCKET_BYTES = 31 * 1024
"""Data of an event that fits into one WebSocket frame of 32 KB, with up to 1 KB of envelope around it."""

MAX_RETAIN_SECONDS = 365 * 86_400
MIN_INTERVAL_SECONDS = 1.0
RESERVED_SEGMENTS = frozenset({"events", "stream", ".", ".."})

_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}", re.ASCII)
_SEGMENT = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@|-]{1,128}", re.ASCII)  # RFC 3986 pchar, and the | of Auth0 subjects
_UNITS = {"ms": 0.001, "s": 1, "min": 60, "h": 3600, "d": 86_400}
_RULE = re.compile(r"public|user|service|owner|claim:[A-Za-z0-9_.:/-]{1,64}", re.ASCII)


class FeaturesError(Exception):
    """features.toml is wrong; the message holds one line per mistake."""


def _duration(value: object) -> float:
    """Seconds of "250ms", "30s", "5min", "24h" or "7d"."""
    form = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|min|h|d)", value) if isinstance(value, str) else None
    if form is None or float(form[1]) == 0:
        raise ValueError('write a number and a unit (ms, s, min, h or d), as in "30s"')
    return float(form[1]) * _UNITS[form[2]]


def _rate(value: object) -> float:
    """Events per second of "100/min"."""
    form = re.fullmatch(r"(\d+(?:\.\d+)?)/(s|min|h|d)", value) if isinstance(value, str) else None
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


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Access(_Strict):
    """Who may read and who may publish: `public`, `user`, `service`, `owner` or `claim:<name>`."""

    read: AccessRule = "user"
    publish: AccessRule = "service"


class Limits(_Strict):
    """What one caller may publish: events per second (averaged over a minute), bytes of `data` per event."""

    publish: PerSecond | None = None
    bytes: int = Field(default=4096, ge=1, le=MAX_EVENT_BYTES)


class Feature(_Strict):
    """One table `[features.<name>]`. Durations are in seconds, rates per second, `open` in hours per day."""

    name: str
    pattern: Pattern = "polling"
    host: Literal["service", "lambda"] = "service"
    direction: Literal["down", "both"] = "down"
    latency: Seconds = 30.0
    interval: Seconds | None = None
    keep: Literal["all", "latest"] = "all"
    retain: Seconds = 86_400.0
    readers: int = Field(default=100, ge=1)
    events: PerSecond = 1 / 60
    open: HoursPerDay = 8.0
    access: Access = Access()
    rooms: bool = False
    schema_file: str | None = Field(default=None, alias="schema")
    limits: Limits = Limits()

    @property
    def interval_seconds(self) -> float:
        """How often a client that polls should ask."""
        return max(MIN_INTERVAL_SECONDS, self.interval or self.latency)

    @property
    def public(self) -> bool:
        """Whether everybody may read it, so that a shared cache may hold it."""
        return self.access.read == "public"


@dataclass(frozen=True, slots=True)
class Topic:
    """A stream of events: `metrics`, `chat/lobby`, or `orders/<sub>/<id>` where a feature belongs to its owner."""

    name: str
    feature: Feature

    @property
    def room(self) -> str | None:
        """The second segment: a room, or the owner's `sub`."""
        return self.name.split("/", 2)[1] if "/" in self.name else None

    @property
    def keeps_all(self) -> bool:
        return self.feature.keep == "all"

    @property
    def retain_seconds(self) -> int:
        return int(self.feature.retain)


class Features(Mapping[str, Feature]):
    """The features of an application, by name."""

    def __init__(self, features: Mapping[str, Feature], folder: Path = Path()) -> None:
        self._features = dict(features)
        self._folder = folder

    def __getitem__(self, name: str) -> Feature:
        return self._features[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._features)

    def __len__(self) -> int:
        return len(self._features)

    @cached_property
    def schemas(self) -> dict[str, dict[str, Any]]:
        """JSON Schemas of `data`, by feature and event type."""
        return {name: _read_schemas(self._folder, f.schema_file) for name, f in self.items() if f.schema_file}

    def check_schemas(self) -> None:
        """Whether every schema is one: asked at synth, so that no function has to."""
        import jsonschema_rs  # noqa: PLC0415 - not needed where events are only read

        for name, types in self.schemas.items():
            for event_type, schema in types.items():
                try:
                    jsonschema_rs.Draft202012Validator(schema)
                except ValueError as error:
                    raise FeaturesError(f"{self[name].schema_file}: {event_type} is not a JSON Schema: {error}") from None

    def topic(self, name: str) -> Topic:
        """The topic of that name; `unknown_topic` where no feature serves it."""
        first, *rest = name.split("/")
        feature = self.get(first)
        if feature is None or not _segments_fit(feature, rest):
            raise RealtimeError(Code.UNKNOWN_TOPIC, "no feature serves this topic: see features.toml for those that exist")
        return Topic(name, feature)


def _segments_fit(feature: Feature, rest: list[str]) -> bool:
    deepest = 2 if "owner" in (feature.access.read, feature.access.publish) else 1
    if not feature.rooms:
        return not rest
    return 1 <= len(rest) <= deepest and all(_SEGMENT.fullmatch(s) and s not in RESERVED_SEGMENTS for s in rest)


def load(path: Path) -> Features:
    """Read and judge a features file; `FeaturesError` lists every mistake with file, line, key and cure."""
    try:
        text = path.read_text(encoding="utf-8")
        document = tomllib.loads(text)
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


def _judge(name: str, table: object, folder: Path, features: dict[str, Feature]) -> Iterator[tuple[str, str]]:
    """Mistakes of one table as (key, cure); a table without any is added to `features`."""
    if not _NAME.fullmatch(name):
        yield "", "a name is lower-case letters, digits and hyphens, begins with a letter and has at most 32 characters"
    if not isinstance(table, dict) or "name" in table:
        yield ("name", "the table's own title is the name: remove this key") if isinstance(table, dict) else ("", "must be a table")
        return
    try:
        feature = Feature.model_validate({"name": name, **table})
    except ValidationError as error:
        yield from (_explain(e["loc"], e["type"], e["msg"]) for e in error.errors())
        return
    if "pattern" not in table:
        feature = feature.model_copy(update={"pattern": recommended(feature)})
    features[name] = feature
    yield from _impossible(feature, table)
    if feature.schema_file and (Path(feature.schema_file).is_absolute() or ".." in Path(feature.schema_file).parts):
        yield "schema", "the file must lie in the folder of this one, or below it: write a relative path without .."
    elif feature.schema_file:
        try:
            _read_schemas(folder, feature.schema_file)
        except FeaturesError as error:
            yield "schema", str(error)


def _explain(location: tuple[int | str, ...], kind: str, message: str) -> tuple[str, str]:
    key = ".".join(str(part) for part in location)
    if kind == "extra_forbidden":
        known = [f.alias or n for n, f in _model(location).model_fields.items() if n != "name"]
        near = difflib.get_close_matches(str(location[-1]), known, n=1)
        return key, f"unknown key: did you mean {near[0]}?" if near else f"unknown key: known are {', '.join(known)}"
    return key, message.removeprefix("Value error, ").replace("Input should be", "must be")


def _model(location: tuple[int | str, ...]) -> type[_Strict]:
    """The model that the last part of the location is a key of."""
    if len(location) == 1:
        return Feature
    return Access if location[0] == "access" else Limits


def recommended(feature: Feature) -> Pattern:
    """The least that meets the needs: WebSocket for two-way or below 100 ms, SSE up to 1 s, else polling."""
    if feature.direction == "both" or feature.latency < 0.1:
        return "websocket"
    return "sse" if feature.latency <= 1 else "polling"


def _impossible(feature: Feature, table: dict[str, object]) -> Iterator[tuple[str, str]]:
    """Choices that no deployment can honour."""
    pattern, latency = feature.pattern, feature.latency
    if pattern == "polling" and latency < MIN_INTERVAL_SECONDS:
        yield "latency", 'polling is for 1 s and more: write pattern = "sse" (or "websocket" below 100 ms)'
    if pattern == "sse" and latency < 0.1:
        yield "latency", 'SSE is for 100 ms and more: write pattern = "websocket"'
    if feature.direction == "both" and pattern in ("polling", "sse"):
        yield "direction", f'{pattern} goes one way: write pattern = "websocket" (or "fallback"), or direction = "down"'
    if "host" in table and pattern not in ("sse", "fallback"):
        yield "host", f"only sse has a choice of host: remove it, {pattern} has one"
    if pattern in ("websocket", "fallback") and feature.limits.bytes > MAX_WEBSOCKET_BYTES:
        yield (
            "limits.bytes",
            f"a WebSocket frame holds 32 KB, envelope included: write at most {MAX_WEBSOCKET_BYTES}, and put more elsewhere",
        )
    if "interval" in table and feature.interval_seconds != feature.interval:
        yield "interval", 'polling more often than every second is not served: write interval = "1s" or more'
    if feature.interval and feature.interval > latency:
        yield "interval", "asking less often than the latency allows breaks its promise: make it at most latency"
    if "retain" in table and feature.keep == "latest":
        yield "retain", 'the newest event never expires: remove it, or write keep = "all"'
    if not 60 <= feature.retain <= MAX_RETAIN_SECONDS:
        yield "retain", "must lie between 1min and 365d"
    if "owner" in (feature.access.read, feature.access.publish) and not feature.rooms:
        yield "access", "an owner's topic is <feature>/<sub>: write rooms = true"


def _read_schemas(folder: Path, file: str) -> dict[str, Any]:
    """The schema file: a JSON object from event type to the JSON Schema (2020-12) of its `data`."""
    import json  # noqa: PLC0415 - only features with a schema pay for it

    try:
        schemas = json.loads((folder / file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FeaturesError(f"{file} cannot be read: {error}") from None
    if not isinstance(schemas, dict) or not schemas or not all(isinstance(s, dict | bool) for s in schemas.values()):
        raise FeaturesError(f'{file} must map event types to JSON Schemas, as in {{"message": {{"type": "object"}}}}')
    return schemas


def _line(text: str, feature: str, key: str) -> int:
    """The line on which the key of a feature's table stands, else the table's own line."""
    found, inside = 1, False
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[\s*features\s*\.\s*\"?([^\].\"]+)\"?\s*[\].]", line):
            inside = header[1].strip() == feature
            found = number if inside and found == 1 else found
        if inside and key and re.match(rf"\s*{re.escape(key.split('.', maxsplit=1)[0])}\s*=", line):
            return number
    return found
