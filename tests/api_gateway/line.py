"""The way from the gateway to one client: in order, unless a fault says otherwise."""

from collections import deque
from collections.abc import Callable
from functools import partial
from random import Random
from threading import Lock

from .clock import Action, Clock
from .faults import Faults

OnFrame = Callable[[str], object]
OnClose = Callable[[int, str], object]


class Line:
    """Frames go in by `send` and come out at `on_frame`, in whatever thread they arrive in."""

    def __init__(self, clock: Clock, faults: Faults, random: Random, on_frame: OnFrame, on_close: OnClose) -> None:
        self._clock = clock
        self._faults = faults
        self._random = random
        self._on_frame = on_frame
        self._on_close = on_close
        self._books = Lock()
        self._unread = 0  # bytes
        self._behind = 0.0  # when the last frame that keeps its place arrives
        self._last = 0.0  # when the last of all arrives
        self._held: deque[Action] | None = None  # what a paused client has not read
        self.cut = False
        """Nothing arrives any more: the client has gone, or its network has."""

    def fits(self, size: int) -> bool:
        """Whether the client's buffer has room for so many bytes."""
        limit = self._faults.buffer_bytes
        return limit is None or self._unread + size <= limit

    def send(self, text: str, size: int) -> None:
        """A frame, of so many bytes."""
        for _ in range(2 if self._chance(self._faults.duplicate) else 1):
            with self._books:
                self._unread += size
            self._travel(partial(self._read, text, size))

    def close(self, code: int, reason: str) -> None:
        """The close frame comes after all others."""
        latency = self._faults.latency
        if latency is None:
            self._arrive(partial(self._closed, code, reason))
        else:
            self._clock.at(max(self._clock() + latency(), self._last), partial(self._arrive, partial(self._closed, code, reason)))

    def pause(self) -> None:
        """The client reads nothing: frames fill its buffer."""
        with self._books:
            self._held = self._held or deque()

    def resume(self) -> None:
        """The client reads on, first what has come meanwhile."""
        while (read := self._next_held()) is not None:
            read()

    def _next_held(self) -> Action | None:
        """What comes meanwhile queues up behind; None where all is read."""
        with self._books:
            if self._held and not self.cut:
                return self._held.popleft()
            self._held = None
            return None

    def _travel(self, read: Action) -> None:
        latency = self._faults.latency
        if latency is None:
            self._arrive(read)
            return
        when = self._clock() + latency()
        with self._books:
            if self._chance(self._faults.reorder):
                when += latency()
            else:
                when = self._behind = max(when, self._behind)
            self._last = max(when, self._last)
        self._clock.at(when, partial(self._arrive, read))

    def _arrive(self, read: Action) -> None:
        with self._books:
            if self.cut:
                return
            if self._held is not None:
                self._held.append(read)
                return
        read()

    def _read(self, text: str, size: int) -> None:
        with self._books:
            self._unread -= size
        self._on_frame(text)

    def _closed(self, code: int, reason: str) -> None:
        self.cut = True
        self._on_close(code, reason)

    def _chance(self, probability: float) -> bool:
        return probability > 0 and self._random.random() < probability
