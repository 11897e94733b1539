"""The suite notices: servers with one fault each fail the case that is meant, and a good one passes."""

import socketserver
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conformance.__main__ import judge, main
from tests.conformance.case import Case
from tests.conformance.cases import CASES
from tests.conformance.client import Place
from tests.conformance.faulty import FaultyServer
from tests.conformance.target import PROMISES, ByCommand, ByHttp, Target

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nDate: x\r\nCache-Control: no-store\r\n"
GOOD = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"6\r\n: hi\n\n\r\n"
ASKED = ("status is 200", "content type is an event stream", "length is not told", "every line is of the format")

FAULTS = [
    ("status is 200", b"HTTP/1.1 202 Accepted\r\n\r\n", "status is 202"),
    ("status is 200", HEAD.replace(b"\r\nDate", b"\nDate") + b"\r\n: hi\n\n", "not a header field"),
    ("content type is an event stream", GOOD.replace(b"event-stream", b"plain"), "content-type is"),
    ("content type is an event stream", GOOD.replace(b"event-stream", b"event-stream; charset=latin-1"), "content-type is"),
    ("content type is an event stream", GOOD.replace(b"Content-Type: text/event-stream\r\n", b""), "content-type is ''"),
    ("first byte comes at once", HEAD + b"\r\n", "first byte"),
    ("length is not told", HEAD + b"Content-Length: 600\r\n\r\n: hi\n\n", "content-length is 600"),
    ("length is not told", HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n: hi\n\n", "transfer-encoding is"),
    ("nothing is compressed", GOOD.replace(b"Date: x", b"Date: x\r\nContent-Encoding: gzip"), "content-encoding is gzip"),
    ("nobody stores it", GOOD.replace(b"no-store", b"max-age=5"), "cache-control is"),
    ("no proxy holds it back", GOOD, "cache-control is"),
    ("date is told once", GOOD.replace(b"Date: x\r\n", b""), "date: []"),
    ("an old client gets no chunks", GOOD, "transfer-encoding is chunked"),
    ("head has no body", GOOD, "a body came"),
    ("another method is refused", GOOD, "status of DELETE is 200"),
    ("unknown stream is 404", GOOD, "status is 200"),
    ("missing credentials are 401", b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", "no WWW-Authenticate"),
    ("refusals are problem documents", b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "content-type of 404 is"),
    ("stream that is over is 204", b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", "content-length is 0"),
    ("pages of other origins may read", GOOD, "access-control-allow-origin is None"),
    ("every line is of the format", GOOD.replace(b": hi\n", b"hi:x\n"), "mean nothing: [b'hi:x']"),
    ("every line is of the format", GOOD.replace(b": hi\n\n", b"id: \0\n"), "mean nothing: [b'id: "),
    ("every line is of the format", GOOD.replace(b"6\r\n: hi", b"5\r\n: hi"), "not followed by CRLF"),
    ("every line is of the format", GOOD.replace(b": hi\n\n", b"data: "), "a line without an end"),
    ("retry is told", GOOD.replace(b"6\r\n: hi", b"b\r\nretry: 5s"), "a retry of digits did not come"),
    ("retry is told", GOOD.replace(b"6\r\n: hi\n\n", b"a\r\nretry: 5\n\n"), "retry is 5 ms"),
    ("retry differs", GOOD.replace(b"6\r\n: hi\n\n", b"d\r\nretry: 2000\n\n"), "eight connections"),
    ("heartbeat comes", GOOD, "a heartbeat did not come"),
    ("a broken id is refused", GOOD, "status for '!' is 200"),
    ("a planned close is announced", GOOD + b"0\r\n\r\n", "the last event is []"),
]


@pytest.fixture
def serve() -> Iterator[Callable[[bytes], str]]:
    """Serve the same bytes to every connection, and leave it open."""
    servers = []

    def start(answer: bytes) -> str:
        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                self.request.recv(65_536)
                self.request.sendall(answer)
                if b"\r\n0\r\n" not in answer:
                    self.request.settimeout(8)
                    self.request.recv(1)

        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}/"

    yield start
    for server in servers:
        server.shutdown()
        server.socket.close()


@pytest.mark.parametrize(("name", "answer", "why"), FAULTS, ids=[f"{n}-{row[0].replace(' ', '-')}" for n, row in enumerate(FAULTS)])
def test_fault_is_found(name: str, answer: bytes, why: str, serve: Callable[[bytes], str]) -> None:
    """The case fails, and says why."""
    place = Place(serve(answer))
    case = named(name)
    target = Target(stream=place, unknown=place, private=place, over=place, rotation=0.5, heartbeat=0.2, promises=frozenset(PROMISES))
    result = judge(case, replace(target, publish=print if "publish" in case.needs else None))
    assert result.outcome == "fail"
    assert why in result.why


EVENT_FAULTS = [
    ("repeats", "the newest id repeats nothing", "came again"),
    ("repeats", "last event id goes on from there", "came"),
    ("skips", "last event id goes on from there", "did not come"),
    ("swaps", "last event id goes on from there", "came [49, 48"),
    ("forgets", "what was missed comes before what is new", "did not come"),
    ("gap", "joining while events are published loses nothing", "around position"),
    ("same id", "event has an id of its own", "ids are ['1', '1'"),
    ("late", "every line is of the format", "nothing that is published arrives"),
    ("cut", "big event arrives", "0 characters"),
    ("mangles", "text arrives unharmed", "ends of lines elsewhere"),
]


@pytest.fixture
def faulty() -> Iterator[Callable[[str], Target]]:
    servers = []

    def start(fault: str) -> Target:
        servers.append(server := FaultyServer(fault))
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        place = Place(server.url)
        return Target(stream=place, publish=ByHttp(place), heartbeat=1, promises=frozenset({"ids", "resume"}))

    yield start
    for server in servers:
        server.shutdown()
        server.socket.close()


@pytest.mark.parametrize(("fault", "name", "why"), EVENT_FAULTS)
def test_fault_in_events_is_found(
    fault: str, name: str, why: str, faulty: Callable[[str], Target], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that loses, repeats, swaps or harms events fails the case that is meant."""
    monkeypatch.setattr("tests.conformance.client.SECONDS", 2.0)
    result = judge(named(name), faulty(fault))
    assert result.outcome == "fail"
    assert why in result.why


@pytest.mark.parametrize("name", sorted({name for _, name, _ in EVENT_FAULTS}))
def test_without_the_fault_it_passes(name: str, faulty: Callable[[str], Target]) -> None:
    """So it is the fault that was found."""
    result = judge(named(name), faulty(""))
    assert (result.outcome, result.why) == ("pass", "")


def test_command_line(serve: Callable[[bytes], str], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0 and the rows of what was asked; 1 and the rule where something fails; what cannot be asked is named."""
    good, bad = serve(GOOD), serve(GOOD.replace(b"chunked", b"identity"))
    assert [main([good, "--only", name]) for name in ASKED] == [0, 0, 0, 0]
    assert main([bad, "--only", "length is"]) == 1
    assert "the rule: A stream has no end" in capsys.readouterr().out
    assert main([good, "--only", "resume after"]) == main([good, "--only", "last event id goes on"]) == 1
    assert "needs --publish --expect resume" in capsys.readouterr().out


def test_command_that_publishes(tmp_path: Path) -> None:
    """It finds the data in its environment and on its input; its failure is told."""
    ByCommand(f'cat > "{tmp_path}/input"; printf %s "$DATA" > "{tmp_path}/DATA"')('{"é": 1}')
    assert (tmp_path / "input").read_text() == (tmp_path / "DATA").read_text() == '{"é": 1}'
    with pytest.raises(RuntimeError, match="code 3: sorry"):
        ByCommand("echo sorry >&2; exit 3")("1")


def named(name: str) -> Case:
    return next(case for case in CASES if case.name == name)
