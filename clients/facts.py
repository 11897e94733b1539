"""What a client knows of a deployment: the content of its client.json."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

LADDER = ("websocket", "sse", "polling")
"""The transports, the best first."""


@dataclass(frozen=True, slots=True)
class Feature:
    """How a feature is served. `interval`: seconds between polls; `keep`: "all" or "latest" of its events."""

    name: str
    pattern: str
    host: str = ""
    public: bool = False
    keep: str = "all"
    interval: float = 5.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where streams are. `ticket`: a header with the token does not get through."""

    url: str
    ticket: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """Whole URLs, without a slash at the end."""

    http: str
    websocket: str | None
    sse: Mapping[str, Place]
    features: Mapping[str, Feature]

    @classmethod
    def of(cls, told: Mapping[str, Any], base: str = "") -> "Facts":
        """Read a client.json; relative URLs are of `base`, from which it came. ValueError where it is none."""
        try:
            return cls(
                _whole(base, told["http"]),
                _whole(base, told["websocket"], socket=True) if "websocket" in told else None,
                {host: Place(_whole(base, place["url"]), place.get("ticket", False)) for host, place in told.get("sse", {}).items()},
                {name: _feature(name, table) for name, table in told["features"].items()},
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"this is no client.json: {error!r}") from None

    def feature(self, topic: str) -> Feature | None:
        """The feature that a topic is of."""
        return self.features.get(topic.split("/", 1)[0])

    def ladder(self, feature: Feature, *, signed_in: bool) -> tuple[str, ...]:
        """The transports that serve it, the best first. Without a token there is no ticket, and so no WebSocket."""
        if feature.pattern != "fallback":
            return (feature.pattern,)
        has = {"websocket": self.websocket and signed_in, "sse": feature.host in self.sse, "polling": True}
        return tuple(kind for kind in LADDER if has[kind])


def _feature(name: str, table: Mapping[str, Any]) -> Feature:
    return Feature(name, **{key: value for key, value in table.items() if key in Feature.__slots__ and key != "name"})


def _whole(base: str, url: str, *, socket: bool = False) -> str:
    whole = (urljoin(base, url) if url else urljoin(base, "/")).rstrip("/")
    if "://" not in whole:
        raise ValueError(f"the URL {url!r} is relative: give connect() the URL of client.json, not its content")
    return whole.replace("http", "ws", 1) if socket and whole.startswith("http") else whole
