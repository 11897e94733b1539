"""Which pattern serves which feature, as every function and service knows it.

`features.toml` is read, and judged, by features_file; functions get what it says as `features.json`, which needs neither
a TOML parser nor a model library (170 ms of a cold start).
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from realtime.errors import Code, RealtimeError

Pattern = Literal["polling", "sse", "websocket", "fallback"]

MAX_EVENT_BYTES = 128 * 1024
MIN_INTERVAL_SECONDS = 1.0
ANSWERS = "answers"
MIN_ANSWER_BYTES = 4_096
"""What one event of an answer may have; `limits.bytes` must allow it."""

RESERVED_SEGMENTS = frozenset({"events", "stream", ".", ".."})

_SEGMENT = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@|-]{1,128}", re.ASCII)  # RFC 3986 pchar, and the | of Auth0 subjects


class FeaturesError(Exception):
    """features.toml is wrong; the message holds one line per mistake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who may read and who may publish: `public`, `user`, `service`, `owner` or `claim:<name>`."""

    read: str = "user"
    publish: str = "service"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one caller may publish: events per second (averaged over a minute), bytes of `data` per event."""

    publish: float | None = None
    bytes: int = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One table `[features.<name>]`. Durations are in seconds, rates per second, `open` in hours per day."""

    name: str
    pattern: Pattern = "polling"
    host: Literal["service", "lambda"] = "service"
    direction: Literal["down", "both"] = "down"
    latency: float = 30.0
    interval: float | None = None
    keep: Literal["all", "latest"] = "all"
    retain: float = 86_400.0
    readers: int = 100
    events: float = 1 / 60
    open: float = 8.0
    stream: float = 60.0
    access: Access = Access()
    rooms: bool = False
    schema_file: str | None = None
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
    def passes(self) -> bool:
        """Whether it is over some day, as an answer is: then nothing of it needs to stay."""
        return answered(self.feature)

    @property
    def retain_seconds(self) -> int:
        return int(self.feature.retain)


def answered(feature: Feature) -> bool:
    """Whether POST /answers writes into it (realtime/answers.py)."""
    return feature.name == ANSWERS and feature.host == "lambda" and feature.pattern in ("sse", "fallback")


class Features(Mapping[str, Feature]):
    """The features of an application, by name."""

    def __init__(self, features: Mapping[str, Feature], folder: Path = Path()) -> None:
        self._features = dict(features)
        self.folder = folder
        """Where the files of schemas are."""

    def __getitem__(self, name: str) -> Feature:
        return self._features[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._features)

    def __len__(self) -> int:
        return len(self._features)

    @cached_property
    def schemas(self) -> dict[str, dict[str, Any]]:
        """JSON Schemas of `data`, by feature and event type."""
        return {name: read_schemas(self.folder, f.schema_file) for name, f in self.items() if f.schema_file}

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

    def encode(self) -> str:
        """As `load` reads it from a file whose name ends in .json."""
        return json.dumps({name: asdict(feature) for name, feature in self.items()}, indent=1)


def load(path: Path) -> Features:
    """The features of a file: features.json of an asset, else features.toml, whose every mistake `FeaturesError` lists."""
    if path.suffix != ".json":
        from realtime.features_file import read  # noqa: PLC0415 - pydantic: where features.json is read, it is not even there

        return read(path)
    tables: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return Features({name: _feature(table) for name, table in tables.items()}, path.parent)


def _feature(table: dict[str, Any]) -> Feature:
    return Feature(**table | {"access": Access(**table["access"]), "limits": Limits(**table["limits"])})


def _segments_fit(feature: Feature, rest: list[str]) -> bool:
    deepest = 2 if "owner" in (feature.access.read, feature.access.publish) else 1
    if not feature.rooms:
        return not rest
    return 1 <= len(rest) <= deepest and all(_SEGMENT.fullmatch(s) and s not in RESERVED_SEGMENTS for s in rest)


def read_schemas(folder: Path, file: str) -> dict[str, Any]:
    """The schema file: a JSON object from event type to the JSON Schema (2020-12) of its `data`."""
    try:
        schemas = json.loads((folder / file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FeaturesError(f"{file} cannot be read: {error}") from None
    if not isinstance(schemas, dict) or not schemas or not all(isinstance(s, dict | bool) for s in schemas.values()):
        raise FeaturesError(f'{file} must map event types to JSON Schemas, as in {{"message": {{"type": "object"}}}}')
    return schemas
