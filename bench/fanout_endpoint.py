"""A stand-in for `@connections` over TLS: it answers after 10 ms, as the first word of the connection's id says (else 200).

`python -m bench.fanout_endpoint PORT CERTIFICATE` runs it in a process of its own; GET / there returns `Endpoint.counts`.
"""

import argparse
import asyncio
import json
import ssl
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

import httptools
import uvloop

DELAY_SECONDS = 0.01
MESSAGE_BYTES = 128 * 1024
"""A bigger frame is answered with 413."""


def _answer(status: str, *headers: str) -> bytes:
    return "\r\n".join((f"HTTP/1.1 {status}", "x-amzn-RequestId: 6a8ad4cf-7ad0-4eb5-9a3a-1f5b0b3ef6b7", *headers, "", "")).encode()


_EMPTY = "Content-Length: 0"
_THROTTLED = _answer("429 Too Many Requests", _EMPTY)
_TOO_BIG = _answer("413 Request Entity Too Large", _EMPTY)
_ANSWERS = {
    "ok": _answer("200 OK", _EMPTY),
    "chunked": _answer("200 OK", "Transfer-Encoding: chunked") + b"2\r\n{}\r\n0\r\n\r\n",
    "closing": _answer("200 OK", _EMPTY, "Connection: close"),
    "endless": _answer("200 OK") + b"{}",
    "cut": b"HTTP/1.1 20",
    "early": _answer("103 Early Hints") + _answer("200 OK", _EMPTY),
    "moved": _answer("301 Moved Permanently", "Location: /elsewhere", _EMPTY),
    "forbidden": _answer("403 Forbidden", _EMPTY),
    "gone": _answer("410 Gone", _EMPTY),
    "throttled": _THROTTLED,
    "broken": _answer("503 Service Unavailable", _EMPTY),
    "garbage": b"I do not speak HTTP\r\n\r\n",
    "hang": b"",
}
_CLOSING = ("closing", "endless", "cut")


@dataclass(frozen=True, slots=True)
class Request:
    """What came in, when, and on which socket (counted from 0)."""

    at: float
    method: str
    connection: str
    body: bytes
    socket: int

    @property
    def word(self) -> str:
        """What the connection's id asks for."""
        return self.connection.partition("-")[0]


class Endpoint:
    """Answers, and remembers what it was asked."""

    def __init__(self) -> None:
        self.requests = list[Request]()
        self.sockets = list[asyncio.Transport]()
        self._seen = Counter[str]()

    async def listen(self, port: int, certificate: Path | None) -> asyncio.Server:
        """Accept connections on that port, 0: any; without a certificate no TLS."""
        context = None
        if certificate:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(certificate)
        return await asyncio.get_running_loop().create_server(lambda: _Socket(self), "127.0.0.1", port, ssl=context, backlog=1000)

    def answer(self, request: Request) -> bytes:
        """What to send; `twice` is throttled twice, then not any more."""
        self.requests.append(request)
        if len(request.body) > MESSAGE_BYTES:
            return _TOO_BIG
        if request.word == "twice":
            self._seen[request.connection] += 1
            return _THROTTLED if self._seen[request.connection] <= 2 else _ANSWERS["ok"]
        return _ANSWERS.get(request.word, _ANSWERS["ok"])

    def counts(self) -> dict[str, Any]:
        """Since the last call: the most requests in any second, and for each word their number and the seconds until the last of them."""
        requests, self.requests = self.requests, []
        first = requests[0].at if requests else 0.0
        words = Counter(request.word for request in requests)
        last = {request.word: request.at - first for request in requests}
        return {"peak": peak([request.at for request in requests]), "requests": words, "seconds": last}


def peak(times: list[float]) -> int:
    """The most that fall into any second; `times` in order."""
    first = most = 0
    for count, now in enumerate(times, 1):
        while times[first] <= now - 1.0:
            first += 1
        most = max(most, count - first)
    return most


class _Socket(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._number = len(self._endpoint.sockets)
        self._endpoint.sockets.append(self._transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._body = b""

    def on_url(self, url: bytes) -> None:
        self._path = url

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        _, found, name = self._path.decode().partition("/@connections/")
        if not found:
            body = json.dumps(self._endpoint.counts()).encode()
            self._transport.write(_answer("200 OK", f"Content-Length: {len(body)}") + body)
            return
        method = self._parser.get_method().decode()
        request = Request(time.monotonic(), method, unquote(name), self._body, self._number)
        self._loop.call_later(DELAY_SECONDS, self._send, self._endpoint.answer(request), request.word in _CLOSING)

    def _send(self, answer: bytes, last: bool) -> None:  # noqa: FBT001
        self._transport.write(answer)
        if last:
            self._transport.close()


async def _serve(port: int, certificate: Path) -> None:
    server = await Endpoint().listen(port, certificate)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.fanout_endpoint", description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("certificate", type=Path)
    chosen = parser.parse_args()
    uvloop.run(_serve(chosen.port, chosen.certificate))
