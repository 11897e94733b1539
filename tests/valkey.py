"""A real Valkey server for tests: killed, frozen, started again on the same port."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from redis import Redis

from local.process import Child, free_port, stop
from local.valkey import start


class Valkey:
    """A server whose port stays its own over restarts."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self._log = folder / f"valkey-{self.port}.log"
        self._options = options
        self.start()

    @property
    def client(self) -> Redis:
        return Redis(port=self.port, decode_responses=True, socket_timeout=2)

    def start(self) -> None:
        self.child: Child = start(self.port, self._log, *self._options)

    def kill(self) -> None:
        self.child.popen.kill()
        self.child.popen.wait(5)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It holds its connections and says nothing."""
        os.kill(self.child.popen.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.child.popen.pid, signal.SIGCONT)

    def channels(self) -> set[str]:
        with self.client as client:
            return set(client.pubsub_channels())

    def subscribers(self) -> list[dict[str, Any]]:
        with self.client as client:
            return list(client.client_list(_type="pubsub"))

    def commands(self) -> set[str]:
        """The names of all commands that it has carried out."""
        with self.client as client:
            return {name.removeprefix("cmdstat_") for name in client.info("commandstats")}


@contextmanager
def valkey(folder: Path, *options: str) -> Iterator[Valkey]:
    server = Valkey(folder, *options)
    try:
        yield server
    finally:
        stop([server.child.process])
