"""Time that passes only when everybody waits, and a server of streams in memory: thousands of clients without a socket."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import httpx2


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its clock jumps to the next timer. For code that waits for timers alone."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0

    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined] # asyncio's own, as is this method
            self._now = max(self._now, self._scheduled[0]._when)  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


def in_no_time(test: Coroutine[Any, Any, None]) -> None:
    """Run it, however long it takes."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(test)


class Streams(httpx2.AsyncBaseTransport):
    """A server that streams an endless silence. `tries` is when somebody came."""

    def __init__(self) -> None:
        self.away = False
        self.open = 0
        self.tries: list[float] = []
        self._broken = asyncio.Event()

    def break_off(self) -> None:
        """End all streams at once."""
        self._broken.set()
        self._broken = asyncio.Event()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.tries.append(asyncio.get_running_loop().time())
        if self.away:
            raise httpx2.ConnectError("nobody is there")
        return httpx2.Response(200, stream=_Stream(self, self._broken))


class _Stream(httpx2.AsyncByteStream):
    def __init__(self, streams: Streams, broken: asyncio.Event) -> None:
        self._streams, self._broken = streams, broken

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self._streams.open += 1
        try:
            yield b"id: e-0\n\n"
            while not self._broken.is_set():
                yield b":\n\n"
                try:
                    async with asyncio.timeout(15):
                        await self._broken.wait()
                except TimeoutError:
                    continue
            raise httpx2.ReadError("broken off")
        finally:
            self._streams.open -= 1
