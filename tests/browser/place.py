"""One origin, as a browser sees a deployment: a page, POST /sessions and the SSE service behind nginx."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory

import httpx2

from bench.edge import nginx
from local.places import ROOT, LocalError
from local.process import Child, port_is_free, stop
from realtime.tokens import issue
from tests.helpers import SECRET, free_ports

STREAM = "/topics/alerts/stream"
_FEATURES = '[features.alerts]\npattern = "sse"\nlatency = "1s"\naccess = { read = "user", publish = "service" }\n'
_HERE = Path(__file__).parent


class Place:
    """The processes. `module`: the service's; `clock`: how it is shortened, see tests.conformance.service."""

    def __init__(self, folder: Path, module: str, clock: dict[str, str]) -> None:
        self._folder = folder
        self._module = module
        self._environment = os.environ | {"REALTIME_LOG": "memory", "REALTIME_SECRET": SECRET} | clock
        self._ports = dict(zip(("listen", "front_door", "service", "next"), free_ports(4), strict=True))
        self._serving = "service"
        self._children: dict[str, Child] = {}
        self.url = f"http://localhost:{self._ports['listen']}"
        (folder / "features.toml").write_text(_FEATURES)

    def start(self, more: str) -> None:
        self._serve("front_door", "services.http")
        self._serve("service", self._module)
        self._nginx(more)
        for name in ("front_door", "service", "listen"):
            self._listening(name)

    def restart(self) -> None:
        """As ECS does it: the next task first, then SIGTERM. Its log is another one, since it is in memory."""
        self._serve("next", self._module)
        self._listening("next")
        self._serving = "next"
        old = self._children["service"].popen
        old.send_signal(signal.SIGTERM)
        old.wait(30)

    def publish(self, number: int) -> float:
        """Publish it, as a backend next to the service does; when (Unix seconds) that began."""
        began = time.time()
        url = f"http://127.0.0.1:{self._ports[self._serving]}/topics/alerts/events"
        headers = {"Authorization": f"Bearer {issue(SECRET, 'job', 600, role='service')}"}
        answer = httpx2.post(url, json={"type": "note", "data": number}, headers=headers, timeout=5)
        assert answer.status_code == 201, answer.text
        return began

    def streams(self) -> list[int]:
        """The status of each request for a stream that is over."""
        lines = (self._folder / "requests.log").read_text().splitlines()
        return [int(line.split()[0]) for line in lines if line.endswith(f"GET {STREAM}")]

    def program(self, name: str, command: list[str | Path]) -> Child:
        """Start a client; it is told the stream and a token."""
        child = Child.start(name, [*command, self.url + STREAM, issue(SECRET, "ann", 600)], os.environ, self._folder / f"{name}.log", ROOT)
        self._children[name] = child
        return child

    def stop(self) -> None:
        stop([child.process for child in self._children.values()])

    def _serve(self, name: str, module: str) -> None:
        command = [sys.executable, "-m", module, "--port", str(self._ports[name]), "--features", str(self._folder / "features.toml")]
        self._children[name] = Child.start(name, command, self._environment, self._folder / f"{name}.log", ROOT)

    def _nginx(self, more: str) -> None:
        program = nginx()
        if program is None:
            raise LocalError("nginx is needed: run (sudo) apt-get install -y --no-install-recommends nginx-light")
        template = Template((_HERE / "nginx.conf").read_text())
        (self._folder / "nginx.conf").write_text(template.substitute(self._ports, more=more))
        command = [program, "-p", str(self._folder), "-e", "stderr", "-c", "nginx.conf"]
        self._children["listen"] = Child.start("nginx", command, os.environ, self._folder / "nginx.log", self._folder)

    def _listening(self, name: str) -> None:
        self._children[name].wait_until(lambda: not port_is_free(self._ports[name]))


@contextmanager
def place(*, module: str = "tests.browser.service", more: str = "", **clock: str) -> Iterator[Place]:
    """A place while it is needed. `more`: directives for nginx."""
    with TemporaryDirectory(prefix="browser-") as name:
        Path(name).chmod(0o711)  # started by root, nginx works as another user
        made = Place(Path(name), module, clock)
        try:
            made.start(more)
            yield made
        finally:
            made.stop()


def until(holds: Callable[[], object], seconds: float) -> None:
    """Wait for it, at most so long."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come to hold"
        time.sleep(0.02)
