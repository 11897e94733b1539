"""Child processes: started in a session of their own, watched, and stopped with everything that they started."""

import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from local.places import LocalError

STOP_SECONDS = 5.0
READY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Child:
    """A process that runs until it is stopped; `log` is where it writes."""

    name: str
    popen: subprocess.Popen[bytes]
    log: Path

    @classmethod
    def start(cls, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path, folder: Path) -> "Child":
        """Start it, detached from the terminal's signals: the supervisor decides the order in which children end."""
        with log.open("wb") as out:
            popen = subprocess.Popen(
                command, env=dict(environment), cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
        return cls(name, popen, log)

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


def stop(pids: Sequence[int]) -> None:
    """End these processes and all that they started: SIGTERM, and SIGKILL for what is still there after 5 s."""
    processes = [process for pid in pids for process in _family(pid)]
    for process in processes:
        _quietly(process.terminate)
    _, alive = psutil.wait_procs(processes, timeout=STOP_SECONDS)
    for process in alive:
        _quietly(process.kill)
    psutil.wait_procs(alive, timeout=STOP_SECONDS)


def alive(pid: int, name: str) -> bool:
    """Whether that process runs, and is still the one that we started."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and name in " ".join(process.cmdline())
    except psutil.Error:
        return False


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


def _family(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _quietly(signal: Callable[[], None]) -> None:
    try:
        signal()
    except psutil.NoSuchProcess:
        return
