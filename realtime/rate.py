"""How often a caller may publish: a counter per caller, feature and window. One write unit a publish, where a limit is set."""

import time
from collections.abc import Callable
from typing import Protocol

from realtime.errors import Code, RealtimeError
from realtime.features import Feature

WINDOWS_SECONDS = (60, 3600, 86_400)
"""A rate is counted over the shortest of these in which it admits at least one."""


_ROUNDING = 1e-9  # a rate of 10/h is a fraction that is not exact


class Counters(Protocol):
    def count(self, name: str, limit: int, expires: int) -> bool:
        """Add one to a counter that is below `limit`; False, and nothing added, where it is not."""


class RateLimit:
    """Admits at most the feature's `limits.publish` per caller, averaged over a minute (a rate below one a minute: an hour, or a day)."""

    def __init__(self, counters: Counters, clock: Callable[[], float] = time.time) -> None:
        self._counters = counters
        self._clock = clock

    def admit(self, feature: Feature, sub: str) -> None:
        """Count one publish, or raise `too_many_requests` with the seconds that are left of this minute."""
        if feature.limits.publish is None:
            return
        rate = feature.limits.publish
        seconds = next((s for s in WINDOWS_SECONDS if rate * s >= 1 - _ROUNDING), WINDOWS_SECONDS[-1])
        now, limit = self._clock(), max(1, int(rate * seconds + _ROUNDING))
        window = int(now // seconds)
        if not self._counters.count(f"{feature.name}#{sub}#{window}", limit, (window + 2) * seconds):
            left = (window + 1) * seconds - now
            raise RealtimeError(Code.TOO_MANY_REQUESTS, f"{feature.name} takes {limit} events in {seconds} s from one caller", left)
