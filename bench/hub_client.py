"""The load of the hub's bench: bench/hub_load.c as a process, and who publishes."""

import json
import queue
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from http.client import HTTPResponse
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple, Self

from bench.hub_servers import Server
from local.places import LocalError

BYTES = 100
"""Of an event's data."""

EVENTS = 20
PACE_SECONDS = 0.5
PAUSE_SECONDS = 0.2  # at least, between an event's last delivery and the next event
EVENT_SECONDS = 20.0
OPEN_SECONDS = 120.0
ANSWER_SECONDS = 30.0


class Tally(NamedTuple):
    """What the readers of one run got; hub_load.c says how times are taken."""

    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    delivered: int
    lost: int
    repeated: int
    disordered: int
    strange: int
    """Events with a number or a time that is none of those published to these readers."""
    closed: int
    """Connections that the server closed."""
    cpu_seconds: float
    """What the client used from the first delivery to the last."""
    fanout_seconds: float
    """Over all events: from the publisher's request until the last reader had it."""

    @property
    def wrong(self) -> int:
        """Everything that should not have happened."""
        return self.lost + self.repeated + self.disordered + self.strange + self.closed

    @property
    def busy_percent(self) -> float:
        """How much of the time in which events were on their way the client was working. Below 100 it has waited for the server."""
        return 100 * self.cpu_seconds / self.fanout_seconds if self.fanout_seconds else 0.0


class Load:
    """Readers of one stream. Leaving the block ends them."""

    def __init__(self, program: Path, server: Server, connections: int) -> None:
        command = [str(program), str(server.port), server.target, str(connections), str(EVENTS)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self._name = server.name
        self._lines = queue.SimpleQueue[str]()
        threading.Thread(target=self._listen, args=[self._process.stdout], daemon=True).start()

    def __enter__(self) -> Self:
        if not self.says("ready", OPEN_SECONDS):
            self._process.kill()
            _, words = self._process.communicate(timeout=ANSWER_SECONDS)
            reason = words.strip().partition("\n")[0] or f"not all had their first bytes after {OPEN_SECONDS:g} s"
            raise LocalError(f"the readers of {self._name} did not start: {reason}")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait(ANSWER_SECONDS)

    def freeze(self) -> None:
        """It reads no more, and goes on holding its connections."""
        self._process.send_signal(signal.SIGSTOP)

    def says(self, words: str, seconds: float) -> bool:
        """Whether it says so within that time."""
        deadline = time.monotonic() + seconds
        while (line := self._line(deadline - time.monotonic())) is not None:
            if line == words:
                return True
        return False

    def end(self) -> Tally:
        """Close all connections, and count."""
        if self._process.stdin:
            self._process.stdin.close()
        while (line := self._line(ANSWER_SECONDS)) is not None:
            if line.startswith("{"):
                return Tally(**json.loads(line))
        raise LocalError("the client of the hub's bench ended without a result")

    def _line(self, seconds: float) -> str | None:
        """The next line; None where none comes, or it has ended."""
        try:
            return self._lines.get(timeout=max(0.0, seconds)).strip() or None
        except queue.Empty:
            return None

    def _listen(self, out: IO[str]) -> None:
        for line in out:
            self._lines.put(line)
        self._lines.put("")


class Publisher:
    """Publishes over one connection that stays open. It begins with an event that no reader counts.

    A request is one `send`: http.client would make two of it.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._socket = socket.create_connection(("127.0.0.1", server.port), ANSWER_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        headers = {"Host": "localhost", "Content-Type": "application/json", **server.headers}
        self._head = "".join((f"POST {server.publish} HTTP/1.1\r\n", *(f"{name}: {value}\r\n" for name, value in headers.items()))).encode()
        self.publish(0)

    def publish(self, number: int) -> None:
        """Send an event whose time is now."""
        stamp = f"~{number}.{time.monotonic_ns()}~"
        self._send(f'"{stamp:x<{BYTES - 2}}"'.encode())

    def fill(self, size: int) -> None:
        """Send an event of that size that no reader counts."""
        self._send(f'"{"x" * size}"'.encode())

    def close(self) -> None:
        self._socket.close()

    def _send(self, data: bytes) -> None:
        body = self._server.body % data
        self._socket.sendall(b"%bContent-Length: %d\r\n\r\n%b" % (self._head, len(body), body))
        answer = HTTPResponse(self._socket, method="POST")
        answer.begin()
        said = answer.read()
        if answer.status >= 300:
            raise LocalError(f"{self._server.name} answered {answer.status} to an event: {said[:200].decode(errors='replace')}")


def publish(publisher: Publisher, loads: Sequence[Load]) -> None:
    """All events, each when the one before has reached all readers, or 20 s later if it has not."""
    for number in range(1, EVENTS + 1):
        due = time.monotonic() + PACE_SECONDS
        publisher.publish(number)
        for load in loads:
            load.says(f"all {number}", EVENT_SECONDS)
        time.sleep(max(PAUSE_SECONDS, due - time.monotonic()))


def compiled(source: Path, folder: Path) -> Path:
    """A program of one C file; `LocalError` where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise LocalError("a C compiler is needed: run (sudo) apt-get install -y --no-install-recommends gcc libc6-dev")
    program = folder / source.stem
    done = subprocess.run([compiler, "-O2", "-o", program, source], check=False, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise LocalError(f"{source.name} could not be compiled: {done.stderr.strip()[-500:]}")
    return program
