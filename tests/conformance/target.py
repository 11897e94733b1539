"""What the suite is told of a server: where its streams are, how to publish, and what it promises beyond the standards."""

import http.client
import os
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.conformance.client import SECONDS, Place

Publish = Callable[[str], None]
"""Publishes one event whose data is this JSON text; returns when the server has taken it."""

PROMISES = {
    "ids": "every event has an id of its own",
    "resume": "Last-Event-ID goes on after that event, while it is kept",
    "after": "so does the query parameter `after`; the header wins",
    "refuse": "an id that the server cannot have given out is 4xx",
    "reset": "an id that cannot be honoured any more is answered by `event: reset`",
    "reconnect": "a planned close is announced by `event: reconnect`",
    "retry": "`retry` comes at once, another for each connection",
    "envelope": "data is a JSON object with topic, seq, epoch, type, data, at and prev",
    "proxies": "no proxy buffers or changes the stream",
    "bounded": "a reader that does not read is closed",
    "problems": "refusals are problem documents",
    "cors": "pages of other origins may read",
}
"""What `--expect` can name. `--expect contract` means all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A server. What is None cannot be asked of it: the cases that need it are skipped."""

    stream: Place
    publish: Publish | None = None
    several: Place | None = None
    """A stream of two topics; the first is that of `stream`."""
    publish_other: Publish | None = None
    """Publishes to the second topic."""
    unknown: Place | None = None
    """A stream that does not exist."""
    private: Place | None = None
    """A stream for which credentials are missing."""
    over: Place | None = None
    """A stream that the server has ended for good for this client."""
    stop: Callable[[], None] | None = None
    """Asks the server to end in an orderly way, as SIGTERM does."""
    rotation: float | None = None
    """Seconds after which the server closes every stream, at the latest."""
    heartbeat: float = 15
    """Seconds between heartbeats."""
    size: int = 4096
    """Bytes of data that one event may have."""
    promises: frozenset[str] = field(default_factory=frozenset)

    @property
    def offers(self) -> frozenset[str]:
        """The words that a case can need."""
        given = ("publish", "several", "publish_other", "unknown", "private", "over", "stop", "rotation")
        return self.promises | {name for name in given if getattr(self, name) is not None}


class ByHttp:
    """POST to a URL, on one connection for each thread; `DATA` in the body stands for the event's data."""

    def __init__(self, place: Place, body: str = "DATA") -> None:
        self._place = place
        self._body = body
        self._own = threading.local()

    def __call__(self, data: str) -> None:
        try:
            status, answer = self._post(data)
        except (http.client.HTTPException, ConnectionError):  # an idle connection that the server has closed
            self._own.connection = None
            status, answer = self._post(data)
        if not 200 <= status < 300:
            raise RuntimeError(f"publishing was answered by {status}: {answer[:200]!r}")

    def _post(self, data: str) -> tuple[int, bytes]:
        parts = urlsplit(self._place.url)
        connection: http.client.HTTPConnection | None = getattr(self._own, "connection", None)
        if connection is None:
            make = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
            connection = self._own.connection = make(parts.netloc, timeout=SECONDS)
        body = self._body.replace("DATA", data).encode()
        connection.request("POST", self._place.target, body, {"Content-Type": "application/json"} | dict(self._place.headers))
        response = connection.getresponse()
        return response.status, response.read()


class ByCommand:
    """A shell command that finds the data in $DATA and on its standard input."""

    def __init__(self, command: str) -> None:
        self._command = command

    def __call__(self, data: str) -> None:
        done = subprocess.run(  # noqa: S602 - the caller's own command line
            self._command,
            shell=True,
            env=os.environ | {"DATA": data},
            input=data.encode(),
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"publishing ended with code {done.returncode}: {done.stderr.decode(errors='replace')[-200:]}")
