"""Open streams of features that are directed to polling: each is sent away, and refused when it comes back."""

import asyncio
from collections.abc import Collection
from typing import Protocol

from realtime.direct import Directions
from realtime.errors import RealtimeError
from realtime.features import Feature, Topic

LOOK_SECONDS = 5.0
"""Between two looks at what is known, which is at most 10 s old: a stream ends within 20 s, the spread included."""

SPREAD_SECONDS = 4.0


class Streams(Protocol):
    """What is asked of the hub."""

    @property
    def feeds(self) -> dict[str, Topic]: ...

    async def dismiss(self, features: Collection[str], seconds: float) -> None: ...


class Usher:
    """Looks again and again at the features that have streams here."""

    def __init__(self, hub: Streams, directions: Directions) -> None:
        self._hub = hub
        self._directions = directions

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Send those away who read a feature that is directed to polling, over some seconds."""
        features = {topic.feature.name: topic.feature for topic in self._hub.feeds.values()}
        directed = await asyncio.to_thread(lambda: [name for name, feature in features.items() if self._refused(feature)])
        if directed:
            await self._hub.dismiss(directed, SPREAD_SECONDS)

    def _refused(self, feature: Feature) -> bool:
        try:
            self._directions.check([feature], "sse")
        except RealtimeError:
            return True
        return False
