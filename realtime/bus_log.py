"""The bus without a broker: table -> batched reads of heads -> hub.

Every 250 ms half a unit for each topic that has readers here, however many: some 0.65 USD a topic, task and month.
"""

import asyncio
from collections.abc import Callable, Collection

from realtime.bus import Backoff, Hub, attempt, compare, logger
from realtime.features import Topic
from realtime.log import Log

INTERVAL_SECONDS = 0.25

MANY_TOPICS = 500
"""From here on a round of reads gets slow: some 650 USD a month for two tasks. In price Valkey wins from ten topics or so."""


class LogBus:
    """Looks at the heads of the hub's topics again and again."""

    kind = "log"

    def __init__(self, hub: Hub, log: Log, *, interval: float | Callable[[Collection[Topic]], float] = INTERVAL_SECONDS) -> None:
        """`interval`: seconds between two looks, or what gives them for the topics that have readers."""
        self._hub = hub
        self._log = log
        self._interval = interval
        self._many = False  # whether the warning has been given
        self.ready = False

    async def run(self) -> None:
        """Look once per interval, until cancelled; after failures at random times, at most 5 s apart."""
        backoff = Backoff(INTERVAL_SECONDS)
        while True:
            failure = await attempt(self.look())
            self.ready = failure is None
            await asyncio.sleep(backoff.note(failure, "reading the heads of the log") or self._pause())

    def _pause(self) -> float:
        return self._interval(self._hub.feeds.values()) if callable(self._interval) else self._interval

    async def look(self) -> None:
        """One round: a read for each 100 topics that have readers, none without."""
        topics = list(self._hub.feeds.values())
        if len(topics) > MANY_TOPICS and not self._many:
            logger.warning("%d topics are read every %g s: above %d, deploy PubSubStack", len(topics), self._pause(), MANY_TOPICS)
        self._many = len(topics) > MANY_TOPICS
        await compare(self._hub, self._log, topics)
