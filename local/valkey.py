"""A real Valkey server of this machine, for `make up` and for tests: in memory only, and for this machine only."""

import os
import shutil
import socket
from pathlib import Path

from local.places import LocalError
from local.process import Child, port_is_free

PROGRAMS = ("valkey-server", "redis-server")
"""Redis up to 7.2 has the same commands and pub/sub: Valkey began as a copy of it."""


def start(port: int, log: Path, *options: str) -> Child:
    """Start a server on this port of 127.0.0.1 (`free_port()` finds one) and return when it answers."""
    found = program()
    if found is None:
        raise LocalError("no Valkey server on the PATH: install the package valkey-server, or redis-server (apt), or valkey (brew)")
    if not port_is_free(port):
        raise LocalError(f"port {port} is taken: the Valkey server cannot have it")
    where = ("--port", str(port), "--bind", "127.0.0.1", "--dir", str(log.parent))
    command = (found, *where, "--save", "", "--appendonly", "no", *options)
    child = Child.start("valkey", command, os.environ, log, log.parent)
    child.wait_until(lambda: answers(port))
    return child


def program() -> str | None:
    """The server's program, if this machine has one."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


def answers(port: int) -> bool:
    """Whether a server says PONG."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False
