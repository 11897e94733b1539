"""Translates records of the log's stream and messages of the fan-out queue into pushes; what fails is told by its own name."""

import logging
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from realtime.fanout import Fanout, Push
from realtime.features import Features
from realtime.stream_records import events_of

RESERVE_SECONDS = 3.0
"""Kept back from the function's time for handing over the rest, and for the requests that are under way."""

Event = dict[str, Any]

logger = logging.getLogger("realtime.broadcaster")


class Broadcaster:
    """One invocation: every record is pushed, or named in the answer so that it alone is tried again."""

    def __init__(self, features: Features, fanout: Fanout) -> None:
        self._features = features
        self._fanout = fanout

    def stream(self, event: Event, context: Any) -> Event:
        """Appends that nobody has claimed. After a failure the rest waits too: Lambda tries again from there on."""
        failures = self._each(event, context, self._append, lambda record: record["dynamodb"]["SequenceNumber"])
        return {"batchItemFailures": [*islice(failures, 1)]}

    def queue(self, event: Event, context: Any) -> Event:
        """Shards of a big topic, and what others had to leave over."""
        return {"batchItemFailures": [*self._each(event, context, self._push, lambda record: record["messageId"])]}

    def _each(
        self, event: Event, context: Any, act: Callable[[Event, float], None], name: Callable[[Event], str]
    ) -> Iterator[dict[str, str]]:
        """Act on one record after another, and name those that fail."""
        for record in event["Records"]:
            seconds = context.get_remaining_time_in_millis() / 1000 - RESERVE_SECONDS
            try:
                act(record, seconds)
            except Exception:  # at the edge: whatever it is, it is logged, and the record is tried again
                logger.exception("a record could not be pushed")
                yield {"itemIdentifier": name(record)}

    def _append(self, record: Event, seconds: float) -> None:
        events = events_of(record)
        self._fanout.deliver(self._features.topic(events[0].topic), events, seconds=seconds)

    def _push(self, record: Event, seconds: float) -> None:
        push = Push.decode(record["body"])
        self._fanout.push(self._features.topic(push.events[0].topic), push, seconds=seconds)
