"""How a hub hears of new events: what the buses share, among it the message that carries them.

A bus is a hint. `LogBus` (bus_log) looks at the heads of the log, `ValkeyBus` (bus_valkey) is told, and looks too.
"""

import asyncio
import itertools
import json
import logging
import random
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Any, Protocol

from realtime.event import Event
from realtime.features import Topic
from realtime.log import Log, Page

HEADS = 100
"""Topics whose heads one read of the log brings."""

MAX_BACKOFF_SECONDS = 5.0

CHANNEL = "events:"
"""What stands before a topic in the name of its channel."""

MAX_MESSAGE_BYTES = 1_000_000
"""Far below what makes Valkey cut off a subscriber that is slow for a moment (8 MB waiting)."""

logger = logging.getLogger("realtime.bus")


class Hub(Protocol):
    """What a bus needs of a hub."""

    watchers: set[Callable[[], None]]

    @property
    def feeds(self) -> Mapping[str, Topic]:
        """The topics that have readers here, by name."""

    def hear(self, topic: str, events: Sequence[Event]) -> None:
        """Take events that may be old, repeated or after a gap."""

    async def compare(self, tails: Mapping[str, Page]) -> None:
        """Catch up with those topics that end later."""


class Bus(Protocol):
    """What a service needs of a bus. `ready`: whatever is published now reaches the hub."""

    @property
    def ready(self) -> bool: ...

    async def run(self) -> None:
        """Tell the hub, until cancelled. Failures do not end it."""


class Backoff:
    """Pauses after failures, doubling, with full jitter; only the first of a row is logged."""

    def __init__(self, first_seconds: float) -> None:
        self._first = first_seconds
        self._failures = 0

    def note(self, failure: BaseException | None, what: str) -> float:
        """Seconds to wait after a failure; 0 after a success."""
        if failure is None:
            if self._failures:
                logger.info("%s works again", what)
            self._failures = 0
            return 0.0
        if not self._failures:
            logger.warning("%s failed, will be tried again: %r", what, failure)
        self._failures += 1
        return random.uniform(0, min(MAX_BACKOFF_SECONDS, self._first * 2.0 ** min(self._failures, 16)))  # noqa: S311 - jitter


async def attempt(work: Coroutine[Any, Any, None]) -> BaseException | None:
    """Do the work and return what it failed with, whatever that is. Cancelling this cancels the work."""
    results = await asyncio.gather(work, return_exceptions=True)
    return results[0]


async def compare(hub: Hub, log: Log, topics: Sequence[Topic]) -> None:
    """Read the newest append of these topics, half a unit each, and tell the hub."""
    rest = iter(topics)
    while chunk := list(itertools.islice(rest, HEADS)):
        await hub.compare(await asyncio.to_thread(log.tails, chunk))


def messages(events: Sequence[Event]) -> Iterator[str]:
    """The events of one append in as few messages as their size allows; an event is never split."""
    if not events:
        return
    text = encode(events)
    if len(events) == 1 or len(text.encode()) <= MAX_MESSAGE_BYTES:
        yield text
        return
    middle = len(events) // 2
    yield from messages(events[:middle])
    yield from messages(events[middle:])


def encode(events: Sequence[Event]) -> str:
    """The events of one append, or of a part of it, as one message."""
    first = events[0]
    place = {"topic": first.topic, "epoch": first.epoch, "first": first.seq, "at": first.at_ms}
    kept = [[event.type, event.data_json] for event in events]
    return json.dumps({**place, "events": kept}, ensure_ascii=False, separators=(",", ":"))


def decode(text: str | bytes) -> tuple[Event, ...]:
    """The events of a message; anything else is a ValueError."""
    try:
        message = json.loads(text)
    except RecursionError:
        raise ValueError("a message is not nested") from None
    match message:
        case {"topic": str(topic), "epoch": str(epoch), "first": int(first), "at": int(at), "events": [_, *_] as kept}:
            return tuple(Event(topic, epoch, seq, *_pair(pair), at) for seq, pair in enumerate(kept, first))
    raise ValueError("a message has topic, epoch, first, at and events")


def _pair(pair: object) -> tuple[str, str]:
    match pair:
        case [str(type), str(data_json)]:
            return type, data_json
    raise ValueError("an event is a type and its data as JSON text")
