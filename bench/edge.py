"""The origin (`python -m services.http`, log in memory) behind nginx as a shared cache: CloudFront's part on one machine."""

import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory

from local.places import ROOT, LocalError
from local.process import Child, free_port, port_is_free, stop

_BENCH = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Edge:
    """Ports of cache and origin, both on 127.0.0.1, and where the cache writes a line per request."""

    port: int
    origin_port: int
    log: Path

    def answers(self) -> Counter[str]:
        """How many requests were answered how: HIT, MISS, EXPIRED, REVALIDATED, UPDATING, STALE."""
        return Counter(line.split()[0] for line in self._lines())

    def origin_requests(self) -> int:
        """How many requests went on to the origin: those for which it answered, or failed to."""
        return sum(line.split()[2] != "-" for line in self._lines())

    def _lines(self) -> list[str]:
        return self.log.read_text().splitlines()


def nginx() -> str | None:
    """Where nginx is on this machine, if it is."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@contextmanager
def edge(features: Path, secret: str) -> Iterator[Edge]:
    """Both processes, while they run; `LocalError` where nginx is not installed."""
    with TemporaryDirectory(prefix="bench-edge-") as name:
        Path(name).chmod(0o711)  # started by root, nginx works as another user
        folder, made = Path(name), Edge(free_port(), free_port(), Path(name) / "edge.log")
        children = list[Child]()
        try:
            children.append(_origin(made, folder, features, secret))
            children.append(_cache(made, folder))
            children[0].wait_until(lambda: not port_is_free(made.origin_port))
            children[1].wait_until(lambda: not port_is_free(made.port))
            yield made
        finally:
            stop([child.process for child in children])


def _origin(made: Edge, folder: Path, features: Path, secret: str) -> Child:
    command = [sys.executable, "-m", "services.http", "--port", str(made.origin_port), "--features", str(features)]
    environment = os.environ | {"REALTIME_LOG": "memory", "REALTIME_SECRET": secret}
    return Child.start("origin", command, environment, folder / "origin.log", ROOT)


def _cache(made: Edge, folder: Path) -> Child:
    program = nginx()
    if program is None:
        raise LocalError("nginx is needed: run (sudo) apt-get install -y --no-install-recommends nginx-light")
    for part in ("tmp", "cache"):
        (folder / part).mkdir()
    template = Template((_BENCH / "nginx.conf").read_text())
    (folder / "nginx.conf").write_text(template.substitute(listen=made.port, origin=made.origin_port))
    command = [program, "-p", str(folder), "-e", "stderr", "-c", "nginx.conf"]
    return Child.start("nginx", command, os.environ, folder / "nginx.log", folder)
