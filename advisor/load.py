"""What a feature is asked to bear in a month of 30 days, as features.toml says it."""

import math
from dataclasses import dataclass, replace

from realtime.connections import MAX_SHARDS, SUBSCRIBERS_PER_SHARD
from realtime.features import Feature

DAYS = 30
HOURS = DAYS * 24
SECONDS = HOURS * 3600

EVENT_BYTES = 320
"""Of an event on the line: 100 bytes of data and what stands around it, as an SSE stream sends it (docs/sse.md)."""

READERS_OF_A_ROOM = 10

LEAST_BY_STREAM = 0.1
"""Seconds of latency from which SSE serves (the guide's table)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """`readers` have the feature open, all of them in the same `hours` of each day, in one visit.

    `events` a second are of the whole feature, day and night, spread evenly over its `topics`; each reader follows one topic.
    """

    readers: int
    hours: float
    events: float
    topics: int = 1
    room: int | None = None
    """Readers of one topic where topics grow with the readers; None: `topics` is what it is."""
    latency: float = 30.0
    interval: float = 30.0
    stream: float = 60.0
    bytes: int = EVENT_BYTES
    public: bool = False
    keeps_all: bool = True
    two_way: bool = False
    hubs: bool = True
    """Whether it is served by hubs where it is served by SSE, or by Lambda (`host`)."""
    limited: bool = False
    """Whether each publisher's events are counted (`limits.publish`)."""

    @classmethod
    def of(cls, feature: Feature) -> "Load":
        """The load that the feature's table describes."""
        return cls(
            readers=feature.readers,
            hours=feature.open,
            events=feature.events,
            topics=_topics(feature.readers, _room(feature)),
            room=_room(feature),
            latency=feature.latency,
            interval=feature.interval_seconds,
            stream=feature.stream,
            public=feature.public,
            keeps_all=feature.keep == "all",
            two_way=feature.direction == "both",
            hubs=feature.host == "service",
            limited=feature.limits.publish is not None,
        )

    def with_readers(self, readers: int) -> "Load":
        """The same, of so many readers; topics grow with them where they did."""
        return replace(self, readers=readers, topics=_topics(readers, self.room) if self.room else self.topics)

    @property
    def needs_socket(self) -> bool:
        """Whether only a WebSocket will do, by direction or latency."""
        return self.two_way or self.latency < LEAST_BY_STREAM

    @property
    def visits(self) -> float:
        """Openings of the page: one a reader and day."""
        return self.readers * DAYS

    @property
    def open_seconds(self) -> float:
        """While anybody has it open."""
        return self.hours * 3600 * DAYS

    @property
    def reader_seconds(self) -> float:
        return self.readers * self.open_seconds

    @property
    def appends(self) -> float:
        """Events of the month."""
        return self.events * SECONDS

    @property
    def rate(self) -> float:
        """Events a second that one reader gets."""
        return self.events / self.topics

    @property
    def deliveries(self) -> float:
        """Events that reach readers, each counted."""
        return self.rate * self.reader_seconds

    @property
    def audience(self) -> float:
        """Readers of one topic."""
        return self.readers / self.topics

    @property
    def shards(self) -> int:
        """Over which the subscribers of each topic are spread (realtime/connections.py)."""
        return min(MAX_SHARDS, math.ceil(self.readers / SUBSCRIBERS_PER_SHARD))


def _topics(readers: int, room: int | None) -> int:
    """How many topics are alive at once."""
    return max(1, readers // room) if room else 1


def _room(feature: Feature) -> int | None:
    """Readers of one topic: one where it is its owner's, ten with rooms; None where all readers follow the same."""
    if feature.access.read == "owner":
        return 1
    return READERS_OF_A_ROOM if feature.rooms else None
