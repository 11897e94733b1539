"""Small makers that keep tests short."""

import socket
from contextlib import ExitStack
from typing import Any

from realtime.event import NewEvent
from realtime.features import Feature, Topic
from realtime.features_file import FeatureTable

SECRET = "a-secret-of-tests-only-0123456789abcdef"


class Clock:
    """Unix time that moves only when told to."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def free_ports(count: int) -> list[int]:
    """So many different ports that were free a moment ago: of two calls of `local.process.free_port`, the second may repeat the first."""
    with ExitStack() as open_ones:
        probes = [open_ones.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def feature(name: str = "news", **keys: Any) -> Feature:
    return FeatureTable.model_validate({"name": name, **keys}).feature()


def topic(name: str = "news", **keys: Any) -> Topic:
    return Topic(name, feature(name.split("/", maxsplit=1)[0], **keys))


def event(data: object = 1, type: str = "note") -> NewEvent:
    return NewEvent.of(type, data)
