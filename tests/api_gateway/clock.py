"""Time that a test turns, with timers; and real time, with none."""

import time
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Protocol

Action = Callable[[], object]


class Timer:
    """Something to be done later, unless it is cancelled."""

    __slots__ = ("action",)

    def __init__(self, action: Action) -> None:
        self.action: Action | None = action

    def cancel(self) -> None:
        """It is not done any more. Harmless when it was."""
        self.action = None


class Clock(Protocol):
    """What the gateway needs of time."""

    def __call__(self) -> float:
        """Unix seconds."""

    def at(self, when: float, action: Action) -> Timer:
        """Do it then, or as soon as may be after."""


class VirtualClock:
    """Unix time that moves only when told to; for one thread.

    Timers run inside `run_until` and `run_for`, by their time and, where that is equal, in the order they were set.
    Both may be called from within a timer or a handler: what comes due meanwhile then runs there and then.
    """

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = count()

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        """Move time and run nothing: what came due meanwhile is late, and runs in the next run."""
        self.now += seconds

    def at(self, when: float, action: Action) -> Timer:
        """Do it at that time; in the next run if that is past."""
        timer = Timer(action)
        heappush(self._timers, (when, next(self._order), timer))
        return timer

    def after(self, seconds: float, action: Action) -> Timer:
        """Do it so many seconds from now."""
        return self.at(self.now + seconds, action)

    def run_until(self, when: float) -> None:
        """Do what is due until then; it is then, or later if something slept."""
        timers = self._timers
        while timers and timers[0][0] <= when:
            due, _, timer = heappop(timers)
            action, timer.action = timer.action, None
            if action is not None:
                self.now = max(self.now, due)
                action()
        self.now = max(self.now, when)

    def run_for(self, seconds: float) -> None:
        """Do what is due in the next so many seconds."""
        self.run_until(self.now + seconds)


class RealClock:
    """The real time. Its timers never run: call `WebSocketApi.expire` by hand, and leave delays out of the faults."""

    def __call__(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def at(self, when: float, action: Action) -> Timer:
        """Nothing will be done."""
        return Timer(action)
