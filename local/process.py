"""Child processes: started in a session of their own, watched, and stopped with everything that they started."""

import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from local.places import LocalError

STOP_SECONDS = 5.0
READY_SECONDS = 30.0
_CLOCK_SECONDS = 1.0  # by how much two readings of a process's start may differ


@dataclass(frozen=True, slots=True)
class Process:
    """A process as a state file remembers it: a pid alone may by now be somebody else's, its start time is not."""

    name: str
    pid: int
    started: float

    @classmethod
    def of(cls, pid: int, name: str = "") -> "Process":
        """The process that has this pid now."""
        try:
            return cls(name, pid, psutil.Process(pid).create_time())
        except psutil.NoSuchProcess:
            return cls(name, pid, 0.0)

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._found() is not None

    def wait(self, seconds: float) -> None:
        """Return when it has ended, or after so many seconds."""
        deadline = time.monotonic() + seconds
        while self.alive and time.monotonic() < deadline:
            time.sleep(0.1)

    def family(self) -> list[psutil.Process]:
        """It and all that it started, if it still runs."""
        found = self._found()
        try:
            return [found, *found.children(recursive=True)] if found else []
        except psutil.NoSuchProcess:
            return []

    def _found(self) -> psutil.Process | None:
        try:
            found = psutil.Process(self.pid)
            same = abs(found.create_time() - self.started) < _CLOCK_SECONDS
            return found if same and found.status() != psutil.STATUS_ZOMBIE else None
        except psutil.Error:
            return None


@dataclass(frozen=True, slots=True)
class Child:
    """A process of ours that runs until it is stopped; `log` is where it writes."""

    process: Process
    popen: subprocess.Popen[bytes]
    log: Path

    @property
    def name(self) -> str:
        return self.process.name

    @classmethod
    def start(cls, name: str, command: Sequence[str | Path], environment: Mapping[str, str], log: Path, folder: Path) -> "Child":
        """Start it, detached from the terminal's signals: the supervisor decides the order in which children end."""
        with log.open("wb") as out:
            popen = subprocess.Popen(
                command, env=dict(environment), cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
        return cls(Process.of(popen.pid, name), popen, log)

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """Return when it is ready; `LocalError` with its last words if it ends or takes longer than 30 s."""
        deadline = time.monotonic() + READY_SECONDS
        while not ready():
            if self.popen.poll() is not None:
                raise LocalError(f"{self.name} ended with code {self.popen.returncode}: {self.last_words()}")
            if time.monotonic() > deadline:
                raise LocalError(f"{self.name} was not ready after {READY_SECONDS:g} s: see {self.log}")
            time.sleep(0.05)

    def last_words(self) -> str:
        """The end of its log, in one line."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"it said nothing, see {self.log}"


def stop(processes: Iterable[Process]) -> None:
    """End these processes and all that they started: SIGTERM, and SIGKILL for what is still there after 5 s."""
    families = [member for process in processes for member in process.family()]
    for member in families:
        _quietly(member.terminate)
    _, alive = psutil.wait_procs(families, timeout=STOP_SECONDS)
    for member in alive:
        _quietly(member.kill)
    psutil.wait_procs(alive, timeout=STOP_SECONDS)


def port_is_free(port: int) -> bool:
    """Whether nobody listens there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) != 0


def free_port() -> int:
    """A port of 127.0.0.1 that nobody uses just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _quietly(signal: Callable[[], None]) -> None:
    try:
        signal()
    except psutil.NoSuchProcess:
        return
