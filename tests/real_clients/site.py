"""A site with a stream: our service with its log in memory, the front door's sessions, and a default nginx before both."""

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from string import Template

import httpx2

from local.places import ROOT
from local.process import Child, free_port, port_is_free, stop
from realtime.tokens import issue
from tests.helpers import SECRET

HERE = Path(__file__).parent
FEATURES = '[features.alerts]\npattern = "sse"\nlatency = "1s"\naccess = { read = "user", publish = "service" }\n'
STREAM = "/topics/alerts/stream"
TOKEN = issue(SECRET, "ann", 3600)


class Site:
    """`clock`: variables of tests/conformance/service.py that shorten the hub's times."""

    def __init__(self, folder: Path, timeout: str, **clock: str) -> None:
        self.port, self._hub_port, self._door_port = free_port(), free_port(), free_port()
        self._folder, self._clock = folder, clock
        self._features = folder / "features.toml"
        self._features.write_text(FEATURES)
        self._children = [self._nginx(timeout), self._python("services.http", self._door_port)]
        self._hub = self._python("tests.conformance.service", self._hub_port)
        for child, port in zip([*self._children, self._hub], (self.port, self._door_port, self._hub_port), strict=True):
            child.wait_until(partial(_taken, port))
        self._publisher = httpx2.Client(timeout=5, headers={"Authorization": f"Bearer {issue(SECRET, 'job', 3600, role='service')}"})

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def publish(self, number: int) -> float:
        """When, in Unix seconds."""
        now = time.time()
        answer = self._publisher.post(f"http://127.0.0.1:{self._hub_port}/topics/alerts/events", json={"type": "n", "data": number})
        assert answer.status_code == 201, answer.text
        return now

    def restart(self) -> None:
        """The service, and with it its log."""
        stop([self._hub.process])
        self._hub = self._python("tests.conformance.service", self._hub_port)
        self._hub.wait_until(lambda: not port_is_free(self._hub_port))

    def requests(self) -> list[str]:
        """What nginx has answered, streams when they have ended: path and status."""
        return (self._folder / "access.log").read_text().splitlines()

    def stop(self) -> None:
        self._publisher.close()
        stop([child.process for child in (self._hub, *self._children)])

    def _python(self, module: str, port: int) -> Child:
        command = [sys.executable, "-m", module, "--port", str(port), "--features", str(self._features)]
        environment = os.environ | {"REALTIME_LOG": "memory", "REALTIME_SECRET": SECRET} | self._clock
        return Child.start(module, command, environment, self._folder / f"{module}.log", ROOT)

    def _nginx(self, timeout: str) -> Child:
        program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
        assert program, "nginx is needed: make test installs it"
        (self._folder / "tmp").mkdir()
        shutil.copytree(HERE / "web", self._folder / "web")
        ports = {"listen": self.port, "hub": self._hub_port, "door": self._door_port}
        template = Template((HERE / "nginx.conf").read_text())
        (self._folder / "nginx.conf").write_text(template.substitute(ports, timeout=timeout, web=self._folder / "web"))
        command = [program, "-p", str(self._folder), "-e", "stderr", "-c", "nginx.conf"]
        return Child.start("nginx", command, os.environ, self._folder / "nginx.log", self._folder)


def _taken(port: int) -> bool:
    return not port_is_free(port)


@contextmanager
def site(folder: Path, timeout: str = "60s", **clock: str) -> Iterator[Site]:
    folder.chmod(0o711)  # started by root, nginx works as another user
    for parent in folder.parents[:2]:
        parent.chmod(parent.stat().st_mode | 0o011)
    made = Site(folder, timeout, **clock)
    try:
        yield made
    finally:
        made.stop()
