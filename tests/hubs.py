"""Hubs as processes over one log on a real endpoint; readers that come back by themselves; a publisher that repeats until it is heard."""

import asyncio
import json
import os
import random
import secrets
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import httpx2

from local.places import ROOT
from local.process import Child, free_port, stop
from realtime.tokens import issue
from tests.endpoint import Endpoint
from tests.helpers import SECRET
from tests.valkey import Valkey

TOPIC = "alerts/a"
FEATURES = '[features.alerts]\npattern = "sse"\nlatency = "1s"\nrooms = true\naccess = { read = "public", publish = "service" }\n'

BROKEN_SECONDS = (0.1, 0.5)
"""What a reader waits whose connection broke: a shortened `retry`."""

SILENT_SECONDS = 40.0


class Targets(Protocol):
    """Where readers may connect, and publishers."""

    @property
    def targets(self) -> list[int]: ...


@dataclass
class Alone:
    """One hub that somebody else has started."""

    targets: list[int]


class Fleet:
    """Hubs, and which of them a load balancer would send new connections to (`targets`)."""

    def __init__(self, endpoint: Endpoint, folder: Path, **environment: str) -> None:
        name = f"fleet-{secrets.token_hex(4)}"
        endpoint.tables(name)
        arn = endpoint.client("secretsmanager").create_secret(Name=name, SecretString=SECRET)["ARN"]
        self.parameter = f"/realtime/{name}/bus"
        self.targets: list[int] = []
        self._ssm = endpoint.client("ssm")
        self._folder = folder
        self._hubs: dict[int, Child] = {}
        self._environment = {
            **endpoint.places.environment(),
            "LOG_TABLE": f"{name}-log",
            "ACCESS_TABLE": f"{name}-access",
            "SECRET_ARN": arn,
            "BUS_PARAMETER": self.parameter,
            "BUS_SECONDS": "0.5",
            **environment,
        }
        (folder / "features.toml").write_text(FEATURES)

    def start(self, port: int | None = None) -> int:
        """Start a hub and return its port when it is ready."""
        port = port or free_port()
        command = [sys.executable, "-m", "services.sse", "--port", str(port), "--features", str(self._folder / "features.toml")]
        self._hubs[port] = child = Child.start("hub", command, self._environment, self._folder / f"hub-{port}.log", ROOT)
        child.wait_until(lambda: readiness(port)[0] == 200)
        self.targets.append(port)
        return port

    def signal(self, port: int, number: signal.Signals) -> None:
        """Send the signal, and no more connections."""
        if port in self.targets:
            self.targets.remove(port)
        self._hubs[port].popen.send_signal(number)

    def wait(self, port: int, seconds: float) -> int:
        return self._hubs[port].popen.wait(seconds)

    def name_bus(self, valkey: Valkey | None) -> None:
        """What deploying PubSubStack does, or (None) destroying it."""
        if valkey:
            self._ssm.put_parameter(Name=self.parameter, Value=valkey.url, Type="String", Overwrite=True)
        else:
            self._ssm.delete_parameter(Name=self.parameter)

    def stop(self) -> None:
        stop([child.process for child in self._hubs.values()])

    def logs(self) -> str:
        return "\n".join(file.read_text() for file in self._folder.glob("hub-*.log"))


@contextmanager
def fleet(endpoint: Endpoint, folder: Path, hubs: int, valkey: Valkey | None = None, **environment: str) -> Iterator[Fleet]:
    made = Fleet(endpoint, folder, **environment)
    if valkey:
        made.name_bus(valkey)
    try:
        for _ in range(hubs):
            made.start()
        if valkey:
            until_bus(made, "valkey")
        yield made
    finally:
        made.stop()


def readiness(port: int) -> tuple[int, str]:
    """Status and bus of a hub; 0 where it does not answer."""
    with suppress(httpx2.HTTPError):
        answer = httpx2.get(f"http://127.0.0.1:{port}/readyz", timeout=1)
        return answer.status_code, answer.json().get("bus", "")
    return 0, ""


def until_bus(fleet: Fleet, kind: str, seconds: float = 30.0) -> None:
    """Wait until every target is ready on that bus."""
    deadline = time.monotonic() + seconds
    while not all(readiness(port) == (200, kind) for port in fleet.targets):
        assert time.monotonic() < deadline, f"the bus did not become {kind}: {fleet.logs()}"
        time.sleep(0.05)


@dataclass
class Reader:
    """A client over many connections, as EventSource would be."""

    fleet: Targets
    path: str = f"/topics/{TOPIC}/stream"
    head_seconds: float = 5.0
    buffer: int = 0  # of the kernel for what it has received; 0: its default
    seen: list[dict[str, Any]] = field(default_factory=list)
    cursor: str = "0-0"  # the id to come back with; several topics have one each, joined by dots
    connections: int = 0
    odd: list[str] = field(default_factory=list)  # what no reader may ever get
    longest_away: float = 0.0  # seconds between the end of one stream and the head of the next, pauses included
    _away_since: float = 0.0

    @property
    def numbers(self) -> list[int]:
        return [event["seq"] for event in self.seen]

    async def run(self) -> None:
        """Read, until cancelled."""
        while True:
            pause = random.uniform(*BROKEN_SECONDS)
            with suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
                pause = await self._connection()
            self._away_since = self._away_since or time.monotonic()
            await asyncio.sleep(pause)

    async def _connection(self) -> float:
        """One stream to its end; the pause before the next that the server asks for."""
        port = random.choice(self.fleet.targets)
        async with asyncio.timeout(5):  # not wait_for: in Python 3.11 it can swallow a cancellation
            reader, writer = await self._connected(port)
        try:
            writer.write(f"GET {self.path} HTTP/1.1\r\nHost: hub\r\nLast-Event-ID: {self.cursor}\r\n\r\n".encode())
            async with asyncio.timeout(self.head_seconds):
                await reader.readuntil(b"\r\n\r\n")
            self.connections += 1
            if self._away_since:
                self.longest_away = max(self.longest_away, time.monotonic() - self._away_since)
            self._away_since = 0.0
            return await self._stream(reader)
        finally:
            writer.close()

    async def _connected(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        plug = socket.socket()
        plug.setblocking(False)
        if self.buffer:
            plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.buffer)
        await asyncio.get_running_loop().sock_connect(plug, ("127.0.0.1", port))
        return await asyncio.open_connection(sock=plug)

    async def _stream(self, reader: asyncio.StreamReader) -> float:
        """Seconds that the server asked to wait, where it ended the stream."""
        pause = 0.0
        while size := await self._size(reader):
            chunk = (await reader.readexactly(size + 2)).decode()
            for block in filter(None, chunk.removesuffix("\r\n").split("\n\n")):
                pause = self._block(dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)) or pause
        return pause

    async def _size(self, reader: asyncio.StreamReader) -> int:
        async with asyncio.timeout(SILENT_SECONDS):
            return int(await reader.readuntil(b"\r\n"), 16)

    def _block(self, fields: dict[str, str]) -> float:
        kind = fields.get("event")
        if kind == "reconnect":
            return float(json.loads(fields["data"])["after_ms"]) / 1000
        if kind in ("reset", "error"):
            self.odd.append(str(fields))
        elif kind:
            self.seen.append(json.loads(fields["data"]))
            self.cursor = fields["id"]
        return 0.0


async def publish(fleet: Targets, count: int, per_second: float, *, topic: str = TOPIC, size: int = 0) -> None:
    """Publish 0, 1, 2 ... at that pace, each through any hub, and again with its key until it is accepted.

    With a `size`, texts of so many characters that begin with the number.
    """
    began = time.monotonic()
    headers = {"Authorization": f"Bearer {issue(SECRET, 'job', 3600, role='service')}"}
    async with httpx2.AsyncClient(timeout=5) as client:
        for number in range(count):
            await asyncio.sleep(max(0.0, began + number / per_second - time.monotonic()))
            data = str(number).ljust(size) if size else number
            key = headers | {"Idempotency-Key": f"n-{number}"}
            for attempt in range(100):
                if await _accepted(client, f"http://127.0.0.1:{random.choice(fleet.targets)}/topics/{topic}/events", data, key):
                    break
                await asyncio.sleep(random.uniform(0.05, 0.1 * min(attempt + 1, 5)))
            else:
                raise AssertionError(f"event {number} was never accepted")


async def _accepted(client: httpx2.AsyncClient, url: str, data: int | str, headers: dict[str, str]) -> bool:
    try:
        answer = await client.post(url, json={"type": "n", "data": data}, headers=headers)
    except httpx2.HTTPError:
        return False
    assert answer.status_code in (201, 503), answer.text
    return answer.status_code == 201


async def all_connected(readers: list[Reader], seconds: float = 60.0) -> None:
    """Wait until every reader has a stream."""
    for _ in range(int(seconds * 20)):
        if all(reader.connections for reader in readers):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"not all readers were connected after {seconds} s")


async def settle(readers: list[Reader], count: int, seconds: float = 60.0) -> None:
    """Wait until every reader has everything, at most so long."""
    for _ in range(int(seconds * 10)):
        if all(len(reader.seen) >= count for reader in readers):
            return
        await asyncio.sleep(0.1)


def all_once_in_order(readers: list[Reader], count: int) -> None:
    """Every reader has every event, once, in the order of the log; and all agree on what was published."""
    wrong = {number: reader.numbers for number, reader in enumerate(readers) if reader.numbers != list(range(1, count + 1))}
    assert not wrong, f"{len(wrong)} readers, the first: {next(iter(wrong.items()))}"
    assert {tuple(int(event["data"]) for event in reader.seen) for reader in readers} == {tuple(range(count))}
    assert not [reader.odd for reader in readers if reader.odd]


SOAK = os.environ.get("SOAK") == "full"
