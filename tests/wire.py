"""A gateway that keeps what is posted: for tests of what is on our side of it. Its limits are in tests/api_gateway."""

import json
import threading
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from realtime.fanout import Push
from realtime.gateway import Job, Outcome


class Wire:
    """Posts land in `sent`; what becomes of a connection's posts can be set by hand."""

    def __init__(self) -> None:
        self.sent: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.outcomes: dict[str, Outcome] = {}
        self.closed: set[str] = set()
        self.room = 1_000_000  # jobs that are begun before the deadline comes
        self._lock = threading.Lock()

    def run(self, jobs: Sequence[Job], *, seconds: float, patience: float | None = None) -> list[Outcome]:
        with self._lock:
            begun, self.room = min(self.room, len(jobs)), max(0, self.room - len(jobs))
            return [self._do(job) for job in jobs[:begun]] + [Outcome.UNSENT] * (len(jobs) - begun)

    def _do(self, job: Job) -> Outcome:
        outcome = Outcome.GONE if job.connection in self.closed else self.outcomes.get(job.connection, Outcome.SENT)
        if outcome is Outcome.SENT:
            self.sent[job.connection] += [json.loads(frame) for frame in job.frames]
            if job.close:
                self.closed.add(job.connection)
        return outcome

    def events(self, connection: str) -> list[int]:
        """The seqs of the events that a connection was sent, in order of arrival."""
        return [frame["seq"] for frame in self.sent[connection] if frame["action"] == "event"]


class ListQueue:
    """A queue whose messages wait in a list, encoded as in SQS."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def send(self, pushes: Sequence[Push]) -> None:
        self.messages += [push.encode() for push in pushes]
