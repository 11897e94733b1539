"""The servers of the hub's bench, each as a process of its own with an interface of its own for readers and publishers."""

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

from bench.edge import nginx
from local.places import ROOT, LocalError
from local.process import Child, free_port, port_is_free, stop
from realtime.tokens import issue

BENCH = Path(__file__).parent
FEATURES = BENCH / "hub_features.toml"
NCHAN = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
"""Where Debian and Ubuntu put it."""

FILES = 16384

SETTLE_SECONDS = 30.0
_QUIET = 0.05  # of a core


@dataclass(frozen=True, slots=True)
class Server:
    """A running server. `body`: what is posted to `publish`, with %b for an event's data in JSON."""

    name: str
    port: int
    child: Child
    target: str = "/alerts"
    publish: str = "/publish"
    body: bytes = b"%b"
    headers: Mapping[str, str] = field(default_factory=dict)

    def memory(self) -> int:
        """KB of all its processes: what is theirs alone, and their shares of what they share (PSS). The kernel's buffers are not in it."""
        return sum(_pss(member.pid) for member in self.child.process.family())

    def settle(self) -> None:
        """Return when it has nothing to do, at most after 30 s."""
        deadline, before = time.monotonic() + SETTLE_SECONDS, self._cpu_seconds()
        while time.monotonic() < deadline:
            time.sleep(0.5)
            now = self._cpu_seconds()
            if now - before < 0.5 * _QUIET:
                return
            before = now

    def _cpu_seconds(self) -> float:
        times = [member.cpu_times() for member in self.child.process.family()]
        return sum(each.user + each.system for each in times)


@contextmanager
def hub(folder: Path, variables: Mapping[str, str] | None = None, secret: str | None = None) -> Iterator[Server]:
    """Ours: alone with its log in memory, unless `variables` says otherwise."""
    key = secret or secrets.token_hex(32)
    own = {"REALTIME_LOG": "memory", "REALTIME_SECRET": key} if variables is None else variables
    port = free_port()
    command = [sys.executable, "-m", "services.sse", "--port", str(port), "--features", str(FEATURES)]
    token = issue(key, "bench", 3600, role="service")
    with _running("hub", port, command, folder, {**os.environ, **own}) as child:
        yield Server(
            "hub",
            port,
            child,
            "/topics/alerts/stream",
            "/topics/alerts/events",
            b'{"type":"note","data":%b}',
            {"Authorization": f"Bearer {token}"},
        )


@contextmanager
def nchan(folder: Path) -> Iterator[Server]:
    """nginx with nchan, one worker, as bench/hub_nchan.conf says."""
    program, port = nginx(), free_port()
    if program is None or not NCHAN.exists():
        raise LocalError("nchan is needed: run (sudo) apt-get install -y --no-install-recommends nginx-light libnginx-mod-nchan")
    configuration = folder / "nchan.conf"
    template = Template((BENCH / "hub_nchan.conf").read_text())
    configuration.write_text(template.substitute(module=NCHAN, listen=port, files=FILES))
    with _running("nchan", port, [program, "-p", str(folder), "-e", "stderr", "-c", str(configuration)], folder, os.environ) as child:
        yield Server("nchan", port, child)


@contextmanager
def sse_starlette(folder: Path) -> Iterator[Server]:
    """bench/hub_sse_starlette.py under uvicorn, with uvloop and httptools as ours."""
    port = free_port()
    options = ["--loop", "uvloop", "--http", "httptools", "--backlog", "4096", "--timeout-keep-alive", "120", "--no-access-log"]
    command = [*_UV, "python", "-m", "uvicorn", "hub_sse_starlette:app", "--app-dir", str(BENCH), "--port", str(port), *options]
    with _running("sse-starlette", port, command, folder, os.environ | _UV_VARIABLES) as child:
        yield Server("sse-starlette", port, child)


@contextmanager
def floor(folder: Path, program: Path) -> Iterator[Server]:
    """bench/hub_floor.c."""
    port = free_port()
    with _running("floor", port, [program, str(port)], folder, os.environ) as child:
        yield Server("floor", port, child)


_UV = [
    *(sys.executable, "-m", "uv", "run", "--no-project", "--quiet", "--python", sys.executable),
    *("--with", "sse-starlette==3.7.*", "--with", "uvicorn[standard]", "--with", "starlette"),
]
_UV_VARIABLES = {"UV_SYSTEM_CERTS": "1", "PYTHONPATH": ""}


def sse_starlette_trouble() -> str | None:
    """Why sse-starlette cannot be had; None where it can. Fetches it if need be, in at most 2 min."""
    command, environment = [*_UV, "python", "-c", "import sse_starlette, uvicorn"], os.environ | _UV_VARIABLES
    try:
        done = subprocess.run(command, cwd=BENCH, env=environment, check=False, capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        return "it could not be fetched within 120 s"
    return done.stderr.strip()[-300:] if done.returncode else None


@contextmanager
def _running(name: str, port: int, command: Sequence[str | Path], folder: Path, environment: Mapping[str, str]) -> Iterator[Child]:
    child = Child.start(name, command, environment, folder / f"{name}.log", ROOT)
    try:
        child.wait_until(lambda: not port_is_free(port))
        yield child
    finally:
        stop([child.process])


def _pss(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
