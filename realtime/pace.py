"""How often clients should poll: the feature's interval, longer while the log answers slowly."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from realtime.features import Feature

SLOW_SECONDS = 0.1
"""A read of the log that takes longer means throttling or trouble: DynamoDB answers in single-digit milliseconds."""

MAX_FACTOR = 10.0

_WEIGHT = 0.2  # of the newest read in the moving average
_PRIVATE_JITTER = 0.2


class Pace:
    """Watches how long reads take and advises the interval from it; each process judges by itself."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._average_seconds = 0.0

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Time one read of the log."""
        started = self._clock()
        try:
            yield
        finally:
            self._average_seconds += _WEIGHT * (self._clock() - started - self._average_seconds)

    def poll_after(self, feature: Feature) -> float:
        """Seconds until the next poll. A private answer is spread by up to 20 %; a shared one is the same for all."""
        factor = min(MAX_FACTOR, max(1.0, self._average_seconds / SLOW_SECONDS))
        jitter = 1.0 if feature.public else random.uniform(1.0, 1.0 + _PRIVATE_JITTER)  # noqa: S311 - jitter
        return round(feature.interval_seconds * factor * jitter, 1)
