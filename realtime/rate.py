"""How often a caller may publish: a counter per caller, feature and minute. One write unit a publish, where a limit is set."""

import time
from collections.abc import Callable
from typing import Protocol

from realtime.errors import Code, RealtimeError
from realtime.features import Feature

WINDOW_SECONDS = 60


class Counters(Protocol):
    def count(self, name: str, limit: int, expires: int) -> bool:
        """Add one to a counter that is below `limit`; False, and nothing added, where it is not."""


class RateLimit:
    """Admits at most the feature's `limits.publish` per caller, averaged over a minute."""

    def __init__(self, counters: Counters, clock: Callable[[], float] = time.time) -> None:
        self._counters = counters
        self._clock = clock

    def admit(self, feature: Feature, sub: str) -> None:
        """Count one publish, or raise `too_many_requests` with the seconds that are left of this minute."""
        if feature.limits.publish is None:
            return
        now = self._clock()
        window = int(now // WINDOW_SECONDS)
        limit = max(1, round(feature.limits.publish * WINDOW_SECONDS))
        if not self._counters.count(f"{feature.name}#{sub}#{window}", limit, (window + 2) * WINDOW_SECONDS):
            left = (window + 1) * WINDOW_SECONDS - now
            raise RealtimeError(Code.TOO_MANY_REQUESTS, f"{feature.name} takes {limit} events a minute from one caller", left)
