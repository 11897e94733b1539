"""Which bus a hub has: Valkey while there is a URL for it, else the log. It is asked for again and again.

So deploying PubSubStack, which writes the URL, switches running hubs, and destroying it switches them back. A bus is
left only when the next one is ready: for a moment a hub listens to both, which costs it nothing, since it drops repeats.
"""

import asyncio
import random
from collections.abc import Callable, Sequence

from realtime.bus import Bus, Hub, attempt, logger
from realtime.bus_log import LogBus
from realtime.bus_valkey import ValkeyBus
from realtime.errors import RealtimeError
from realtime.event import Event
from realtime.log import Log
from realtime.publish_valkey import ValkeyPublisher

ASK_SECONDS = 30.0

READY_SECONDS = 10.0
"""How long a new bus may take. One that is not ready by then is tried again when the URL is next asked for."""

_LOOK_SECONDS = 0.05


class _Running:
    """A bus at work, and the way to tell other hubs."""

    def __init__(self, hub: Hub, log: Log, url: str | None) -> None:
        self.url = url
        self.bus: Bus = ValkeyBus(hub, log, url) if url else LogBus(hub, log)
        self.publisher = ValkeyPublisher(url) if url else None
        self._task = asyncio.ensure_future(self.bus.run())

    async def becomes_ready(self) -> bool:
        for _ in range(int(READY_SECONDS / _LOOK_SECONDS)):
            if self.bus.ready:
                return True
            await asyncio.sleep(_LOOK_SECONDS)
        return False

    def end(self) -> None:
        """The publisher's connections are left to their threads, which may be at work."""
        self._task.cancel()


class SwitchedBus:
    """The bus of the moment. `url` is called in a thread every 30 s: the URL of a Valkey, or None for the log."""

    def __init__(self, hub: Hub, log: Log, url: Callable[[], str | None], *, every: float = ASK_SECONDS) -> None:
        self._hub = hub
        self._log = log
        self._url = url
        self._every = every
        self._running: _Running | None = None

    @property
    def ready(self) -> bool:
        """Whether the hub hears at once of all that is published."""
        return self._running is not None and self._running.bus.ready

    @property
    def kind(self) -> str:
        """`log` or `valkey`; `none` until one is chosen."""
        return "none" if self._running is None else "valkey" if self._running.url else "log"

    def spread(self, events: Sequence[Event]) -> None:
        """Tell other hubs of events that are in the log. Blocks for a second at most, and never fails: they find out in any case."""
        running = self._running
        if running and running.publisher and running.bus.ready:
            try:
                running.publisher.publish(events)
            except RealtimeError as error:
                logger.warning("other hubs hear a little later: %s", error.detail)

    async def run(self) -> None:
        """Choose, until cancelled. While nobody answers what to choose, the bus stays."""
        try:
            while True:
                if failure := await attempt(self._choose()):
                    logger.warning("which bus to use is not known just now: %r", failure)
                await asyncio.sleep(self._every * random.uniform(0.8, 1.2))  # noqa: S311 - jitter
        finally:
            if self._running:
                self._running.end()

    async def _choose(self) -> None:
        if self._running is None:
            self._running = _Running(self._hub, self._log, None)  # the log always is there
        url = await asyncio.to_thread(self._url)
        if url == self._running.url:
            return
        following = _Running(self._hub, self._log, url)
        try:
            if await following.becomes_ready():
                self._running, following = following, self._running
                logger.info("the bus is %s now", self.kind)
            else:
                logger.warning("the bus should be %s, which is not ready yet: it will be tried again", "valkey" if url else "log")
        finally:
            following.end()
