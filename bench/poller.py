"""One polling client over a connection that it keeps: conditional GET, wait as long as `Poll-After` says and a little more.

Raw asyncio, because a thousand of them share the processor with what they measure: 0.1 ms a request.
"""

import asyncio
import random
import time
from dataclasses import dataclass, field

JITTER = 0.2
"""A client waits up to that much longer than it was told: the cache tells all of them the same."""

REQUEST_SECONDS = 10.0
RETRY_SECONDS = 5.0
"""How long a client waits after an answer that does not say."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `bytes_in` counts status line, headers and body."""

    status: int
    headers: dict[str, str]
    bytes_in: int


@dataclass(slots=True)
class Tally:
    """What all clients saw together."""

    statuses: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    """How long each answer took."""
    bytes_in: int = 0
    errors: int = 0
    """Connections that broke or requests that took longer than 10 s; the client goes on with a new connection."""
    seen: list[tuple[str, float]] = field(default_factory=list)
    """ETag and monotonic time of each answer that was new to its client."""

    def add(self, answer: Answer, seconds: float) -> None:
        self.statuses.append(answer.status)
        self.seconds.append(seconds)
        self.bytes_in += answer.bytes_in


async def poll(port: int, path: str, start: float, end: float, tally: Tally) -> None:
    """Poll from `start` to `end` (monotonic time)."""
    etag = ""
    while (pause := start - time.monotonic()) > 0 or time.monotonic() < end:
        await asyncio.sleep(max(0.0, min(pause, end - time.monotonic())))
        try:
            etag = await _poll_connected(port, path, etag, end, tally)
        except (OSError, EOFError, TimeoutError):
            tally.errors += 1
            start = time.monotonic() + random.uniform(0.5, 1.5)


async def _poll_connected(port: int, path: str, etag: str, end: float, tally: Tally) -> str:
    """Poll over one connection until `end`; return the ETag of the last answer."""
    async with asyncio.timeout(REQUEST_SECONDS):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while time.monotonic() < end:
            started = time.monotonic()
            async with asyncio.timeout(REQUEST_SECONDS):
                answer = await _get(reader, writer, path, etag)
            tally.add(answer, time.monotonic() - started)
            if answer.status == 200:
                etag = answer.headers["etag"]
                tally.seen.append((etag, time.monotonic()))
            wait = float(answer.headers.get("poll-after", RETRY_SECONDS)) * random.uniform(1, 1 + JITTER)
            await asyncio.sleep(max(0.0, min(wait, end - time.monotonic())))
    finally:
        writer.close()
    return etag


async def _get(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, etag: str) -> Answer:
    condition = f"If-None-Match: {etag}\r\n" if etag else ""
    writer.write(f"GET {path} HTTP/1.1\r\nHost: edge\r\nAccept: */*\r\n{condition}\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").rstrip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    status = int(first.split(" ", 2)[1])
    length = 0 if status == 304 else int(headers["content-length"])
    await reader.readexactly(length)
    return Answer(status, headers, len(head) + length)
