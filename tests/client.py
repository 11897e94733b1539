"""A client of the WebSocket contract without I/O: frames in, frames out, and when it wants to be woken.

It keeps one topic, publishes to it, and follows the client's rule: drop what is old, hold what comes after a gap for a
second and then ask again, repeat a publish that is not acknowledged, ask for the heads ever more rarely.
"""

import json
from random import Random
from typing import Any

HOLD_SECONDS = 1.0
ACK_SECONDS = 2.0
ASK_SECONDS = 5.0
PING_SECONDS = (3.0, 15.0, 60.0, 300.0)
MAX_BACKOFF_SECONDS = 30.0

NEVER = float("inf")


class Client:
    """`got` is what its application has seen, in that order; `outbox` what is to be sent."""

    def __init__(self, topic: str, random: Random, *, pings: bool = True) -> None:
        self.topic = topic
        self.got: list[dict[str, Any]] = []
        self.cursor = ("0", 0)
        self.resets = 0
        self.outbox: list[str] = []
        self.connected = False
        self.connect_at = 0.0
        self.acks: dict[str, str] = {}
        self._random = random
        self._pings = pings
        self._held: dict[int, dict[str, Any]] = {}
        self._ask_at = NEVER
        self._ping_at = NEVER
        self._pinged = 0.0
        self._ping_step = 0
        self._leave_at = NEVER
        self._failures = 0
        self.publishing: dict[str, tuple[dict[str, Any], float]] = {}

    # What happens to it

    def opened(self, now: float) -> None:
        self.connected, self._leave_at, self._pinged = True, NEVER, now
        self._held.clear()
        self._ask(now)
        for frame, _ in self.publishing.values():
            self._send(frame)
        self._ping_soon(now)

    def closed(self, now: float) -> None:
        """Come again after a pause of full jitter, the first time too."""
        self.connected, self.outbox = False, []
        self._ask_at = self._ping_at = NEVER
        self.connect_at = now + self._random.uniform(0, min(MAX_BACKOFF_SECONDS, 2.0**self._failures))
        self._failures += 1

    def publish(self, id: str, data: object, now: float) -> None:
        frame = {"action": "publish", "topic": self.topic, "type": "any", "data": data, "id": id}
        self.publishing[id] = frame, now + ACK_SECONDS
        if self.connected:
            self._send(frame)

    def received(self, text: str, now: float) -> None:
        frame = json.loads(text)
        match frame.get("action"):
            case "event":
                self._event(frame, now)
            case "events":
                for event in frame["events"]:
                    self._event(event, now)
            case "subscribed":
                self._subscribed(frame, now)
            case "ack":
                self.publishing.pop(frame["id"], None)
                self.acks[frame["id"]] = frame["cursor"]
            case "pong":
                self._heads(frame["heads"], now)
            case "reset":
                self._reset(("0", 0))
                self._ask(now)
            case "reconnect":
                self._leave_at = min(self._leave_at, now + frame["after_ms"] / 1000)
            case "error" if frame.get("id") in self.publishing:
                publish, _ = self.publishing[frame["id"]]
                self.publishing[frame["id"]] = publish, now + self._random.uniform(1, 2) * frame.get("retry_after", 1)

    # Time

    @property
    def wake_at(self) -> float:
        if not self.connected:
            return self.connect_at
        return min(self._ask_at, self._ping_at, self._leave_at, *(due for _, due in self.publishing.values()), NEVER)

    def tick(self, now: float) -> bool:
        """Do what is due; True where the connection is to be left for a new one."""
        if now >= self._leave_at:
            return True
        if now >= self._ask_at:
            self._ask(now)
        if now >= self._ping_at:
            self._send({"action": "ping", "cursors": {self.topic: "-".join(map(str, self.cursor))}})
            self._pinged = now
            self._ping_step = min(self._ping_step + 1, len(PING_SECONDS) - 1)
            self._ping_at = now + PING_SECONDS[self._ping_step]
        late = {key: frame for key, (frame, due) in self.publishing.items() if now >= due}
        for key, frame in late.items():
            self.publishing[key] = frame, now + ACK_SECONDS
            self._send(frame)
        return False

    @property
    def idle(self) -> bool:
        """Whether it waits for nothing."""
        return not self.publishing and not self._held

    # Within

    def _event(self, event: dict[str, Any], now: float) -> None:
        epoch, seq = self.cursor
        if epoch not in ("0", event["epoch"]):
            self._ask_at = min(self._ask_at, now + HOLD_SECONDS)
        elif seq < event["seq"]:
            self._held[event["seq"]] = event
            self._deliver()
            if self._held:
                self._ask_at = min(self._ask_at, now + HOLD_SECONDS)
            self._ping_soon(now)

    def _deliver(self) -> None:
        for seq in sorted(self._held):
            if int(self._held[seq]["prev"].rpartition("-")[2]) > self.cursor[1]:
                return
            event = self._held.pop(seq)
            if seq > self.cursor[1]:
                self.got.append(event)
                self.cursor = event["epoch"], seq
        if not self._held:
            self._ask_at = NEVER

    def _subscribed(self, frame: dict[str, Any], now: float) -> None:
        self._failures = 0
        self._ask_at = NEVER
        if not frame["recovered"]:
            epoch, _, seq = frame["cursor"].rpartition("-")
            self._reset((epoch, int(seq)))
        else:
            self._heads({self.topic: frame["cursor"]}, now)

    def _heads(self, heads: dict[str, str], now: float) -> None:
        epoch, _, seq = heads.get(self.topic, "0-0").rpartition("-")
        if int(seq) > self.cursor[1] or (epoch != self.cursor[0] and epoch != "0"):
            self._ask(now)

    def _reset(self, cursor: tuple[str, int]) -> None:
        self.resets += 1
        self._held.clear()
        self.cursor = cursor

    def _ask(self, now: float) -> None:
        self._send({"action": "subscribe", "topic": self.topic, "after": "-".join(map(str, self.cursor)), "batch": True})
        self._ask_at = now + ASK_SECONDS

    def _ping_soon(self, now: float) -> None:
        """Soon after the last event; but where events never cease, every five minutes all the same."""
        self._ping_step = 0
        self._ping_at = min(now + PING_SECONDS[0], self._pinged + PING_SECONDS[-1]) if self._pings else NEVER

    def _send(self, frame: dict[str, Any]) -> None:
        self.outbox.append(json.dumps(frame))
