"""The way to a client: uvicorn's transport, or ASGI `send`."""

import gc
import logging
import socket
import time
from collections.abc import Callable
from itertools import count, takewhile
from typing import Any

import pytest
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from services.sse.transport import HIGH_WATER, Sender, Stream, StreamingProtocol
from tests.services.sse.conftest import FIRST, Client, Served, bearer, until

STREAM = "/topics/alerts/stream"
CHUNK = b"data: " + b"x" * 1000 + b"\n\n"


def opened(served: Served, buffer: int | None = None) -> Client:
    client = Client(served.port, STREAM, bearer() | {"Connection": "close"}, buffer)
    client.until(FIRST)
    return client


def dechunked(body: bytes) -> tuple[bytes, bytes]:
    """The content, and what follows the last chunk."""
    content = b""
    while True:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        content, body = content + body[:length], body[length:]
        assert body.startswith(b"\r\n")
        body = body[2:]
        if length == 0:
            return content, body


@pytest.fixture(params=[None, H11Protocol], ids=["ours", "h11"])
def either(request: pytest.FixtureRequest, serve: Callable[..., Served]) -> Served:
    """A server with our protocol, and one without."""
    return serve(request.param)


def test_framing_is_http_to_the_last_byte(either: Served) -> None:
    """Every chunk has its length, an empty one is never sent before the end, and the end is marked."""
    client = opened(either)
    for chunk in (CHUNK, CHUNK, b":\n\n"):
        assert either.call(either.reader().write, chunk)
    either.call(either.reader().end, b"event: reconnect\n\n")
    content, rest = dechunked(client.rest().partition(b"\r\n\r\n")[2])
    assert content.endswith(FIRST + CHUNK + CHUNK + b":\n\nevent: reconnect\n\n")
    assert rest == b""


def test_readers_are_of_the_kind_that_the_server_allows(serve: Callable[..., Served]) -> None:
    """uvicorn with our protocol gives its transport away; any other server is spoken to by `send`."""
    for http, kind in ((None, Stream), (H11Protocol, Sender)):
        served = serve(http)
        client = opened(served)
        assert isinstance(served.reader(), kind)
        client.close()


def test_end_without_a_chunk_and_twice_is_harmless(either: Served) -> None:
    """The stream ends once; afterwards nothing is taken."""
    client = opened(either)
    for _ in range(2):
        either.call(either.reader().end)
    assert not either.call(either.reader().write, CHUNK)
    assert dechunked(client.rest().partition(b"\r\n\r\n")[2])[1] == b""


def test_client_that_leaves_is_forgotten(either: Served) -> None:
    """The hub is told, and nothing more is taken."""
    client = opened(either)
    reader = either.reader()
    client.close()
    until(lambda: reader in either.hub.left)
    assert reader.gone
    assert not either.call(reader.write, CHUNK)
    assert not either.call(reader.drained)


def test_client_that_leaves_before_the_first_byte_is_forgotten(served: Served) -> None:
    """No slot leaks, whenever the connection breaks."""
    for wait in (0, 0.001, 0.003, 0.005):
        client = Client(served.port, STREAM, bearer())
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        time.sleep(wait)
        client.close()
    time.sleep(0.2)
    until(lambda: not served.server.server_state.connections and set(served.hub.readers) <= set(served.hub.left))


def test_slow_reader_is_refused_at_64_kb(served: Served) -> None:
    """What waits here and in the kernel is bounded, and `write` says so."""
    client = opened(served, buffer=4096)
    reader = served.reader()
    taken = len(list(takewhile(lambda _: served.call(reader.write, CHUNK), range(1000))))
    assert HIGH_WATER / len(CHUNK) < taken < 6 * HIGH_WATER / len(CHUNK)
    client.close()


def test_slow_reader_gets_what_was_taken_and_then_more(either: Served) -> None:
    """Refused is not lost: `drained` says when there is room again, and the stream has no hole."""
    client = opened(either, buffer=4096)
    reader = either.reader()
    numbers = count()
    taken = list(takewhile(lambda n: either.call(reader.write, b"%06d" % n + CHUNK), numbers))
    client.until(b"%06d" % taken[-1])
    assert either.call(reader.drained)
    assert either.call(reader.write, b"more")
    body = client.until(b"more\r\n").partition(b"\r\n\r\n")[2]
    content, _ = dechunked(body + b"0\r\n\r\n")
    assert content.endswith(b"".join(b"%06d" % n + CHUNK for n in taken) + b"more")


def stuffed(served: Served) -> tuple[Client, Any]:
    """A client who reads nothing, and the reader, which takes no more for him."""
    client = opened(served, buffer=4096)
    reader = served.reader()
    while served.call(reader.write, CHUNK):
        pass
    return client, reader


def test_frozen_reader_is_cut_off(served: Served) -> None:
    """A client who reads nothing pins neither the connection nor the end of the server."""
    client, reader = stuffed(served)
    served.call(reader.end, b"bye")
    until(lambda: not served.server.server_state.connections)
    client.close()


def test_frozen_reader_pins_no_task_of_the_fall_back(serve: Callable[..., Served]) -> None:
    """The request ends; closing the connection is up to the other server."""
    served = serve(H11Protocol)
    client, reader = stuffed(served)
    served.call(reader.end, b"bye")
    until(lambda: not served.server.server_state.tasks)
    client.close()


def test_drained_waits_and_gives_up(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who takes nothing for 30 s (here 0.1) is not waited for."""
    monkeypatch.setattr("services.sse.transport.DRAIN_SECONDS", 0.1)
    client, reader = stuffed(served)
    assert not served.call(reader.drained)
    client.close()


def requests() -> list[object]:
    """What uvicorn keeps for requests, now."""
    gc.collect()
    return [kept for kept in gc.get_objects() if isinstance(kept, StreamingProtocol | RequestResponseCycle)]


def test_nothing_of_the_request_stays(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    """Task, protocol, scope and cycle are freed; uvicorn counts the stream, and logs no error."""
    before = {id(kept) for kept in requests()}
    clients = [opened(served) for _ in range(20)]
    until(lambda: not served.server.server_state.tasks)
    assert not [kept for kept in requests() if id(kept) not in before]
    assert len(served.server.server_state.connections) == len(clients)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_connection_is_kept_for_short_answers_and_then_given_away(served: Served) -> None:
    """A stream may follow other requests on its connection, and the timer of keep-alive does not end it."""
    client = Client(served.port, "/healthz")
    client.until(b'{"status":"ok"}')
    client.socket.sendall(f"GET {STREAM} HTTP/1.1\r\nHost: t\r\nAuthorization: {bearer()['Authorization']}\r\n\r\n".encode())
    client.until(FIRST)
    assert served.call(served.reader().write, CHUNK)
    client.until(CHUNK)


def test_connection_of_a_stream_is_not_kept(served: Served) -> None:
    """Its head says so: a client that sends its next request there, as Lambda's adapter would after a thaw, loses it."""
    client = Client(served.port, STREAM, bearer())
    assert b"connection: close\r\n" in client.until(FIRST)


def test_pipelined_requests_are_ignored(served: Served) -> None:
    """The stream is the last answer on its connection."""
    request = f"GET {STREAM} HTTP/1.1\r\nHost: t\r\nAuthorization: {bearer()['Authorization']}\r\n\r\n"
    client = Client(served.port, STREAM, bearer())
    client.socket.sendall(request.encode() * 3)
    client.until(FIRST)
    client.socket.sendall(b"\0nonsense" * 100)
    assert served.call(served.reader().write, CHUNK)
    assert client.until(CHUNK).count(b"HTTP/1.1 200") == 1


def test_send_buffer_of_the_kernel_is_bounded(served: Served) -> None:
    """Linux doubles the 64 KB for its own book-keeping."""
    client = opened(served)
    kernel = served.reader()._transport.get_extra_info("socket")
    assert kernel.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 2 * HIGH_WATER
    client.close()


def test_server_ends_with_streams_that_the_hub_forgot(serve: Callable[..., Served]) -> None:
    """uvicorn asks the streams to end as it asks its own connections; the fixture sees that the server does."""
    served = serve()
    client = opened(served)
    served.hub.readers.clear()
    served.server.should_exit = True
    assert client.rest().endswith(b"0\r\n\r\n")
