"""A client's end of a connection."""

from typing import Protocol

from .clock import Timer
from .events import Caller
from .line import Line


class Gateway(Protocol):
    """The other end."""

    def receive(self, connection: "Connection", data: str | bytes, *, fragment: bool) -> None:
        """A message from the client."""

    def end(self, connection: "Connection", code: int, reason: str) -> bool:
        """Close it; False where it was closed before."""


class Connection:
    """What `WebSocketApi.connect` gives to a client. `protocol`: the subprotocol that was agreed on."""

    def __init__(self, gateway: Gateway, caller: Caller, line: Line, protocol: str | None, now: float) -> None:
        self.caller = caller
        self.line = line
        self.protocol = protocol
        self.vanished = False
        self.last_active = now
        """Unix seconds of the newest frame in either direction."""
        self.timer: Timer | None = None
        self._gateway = gateway

    @property
    def id(self) -> str:
        return self.caller.id

    def send(self, data: str | bytes, *, fragment: bool = True) -> None:
        """A message. `fragment`: in frames of at most 32 KB; else in one. Nothing happens on a closed connection."""
        if not self.line.cut:
            self._gateway.receive(self, data, fragment=fragment)

    def close(self, code: int | None = None, reason: str = "") -> None:
        """The client leaves; `on_close` is not called. Without a code the gateway sees 1005, as from a browser's `close()`."""
        if self.line.cut:
            return
        self.line.cut = True
        if code is None:
            self._gateway.end(self, 1005, "Client-side close frame status not set")
        else:
            self._gateway.end(self, code, reason)

    def vanish(self) -> None:
        """The client's network is gone, and nobody is told: posts are still taken until the gateway closes for its own reasons."""
        self.vanished = self.line.cut = True

    def pause(self) -> None:
        """Read nothing: see `Faults.buffer_bytes`."""
        self.line.pause()

    def resume(self) -> None:
        """Read on."""
        self.line.resume()
