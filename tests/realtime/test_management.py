"""The gateway of AWS against a TLS server on this machine that does what the first word of a connection's id says."""

import asyncio
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import botocore.session
import pytest
from botocore.credentials import Credentials
from botocore.exceptions import NoCredentialsError

from bench.certificate import self_signed
from bench.fanout_endpoint import MESSAGE_BYTES, Endpoint, Request, peak
from local.process import free_port
from realtime.bucket import Bucket
from realtime.gateway import Job, Outcome
from realtime.management import ManagementApi
from realtime.posting import SOCKETS, TRIES

FRAME = b'{"action":"event"}'
KEYS = Credentials("AKID", "secret", "token")
SENT, GONE, FAILED, UNSENT = Outcome.SENT, Outcome.GONE, Outcome.FAILED, Outcome.UNSENT

Make = Callable[..., ManagementApi]


class Server:
    """The endpoint in a thread of its own."""

    def __init__(self, certificate: Path | None) -> None:
        self.endpoint = Endpoint()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._listener = self._do(self.endpoint.listen(0, certificate))
        self.url = f"http{'s' if certificate else ''}://localhost:{self._listener.sockets[0].getsockname()[1]}/live"

    def requests(self, connection: str) -> list[Request]:
        return [request for request in self.endpoint.requests if request.connection == connection]

    def drop(self) -> None:
        """End all connections, as a server does while a Lambda is frozen."""
        self._do(self._drop())

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._listener.close)
        self.drop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def _do(self, what: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(5)

    async def _drop(self) -> None:
        for transport in self.endpoint.sockets:
            transport.abort()
        await asyncio.sleep(0.05)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("tls") / "certificate.pem")


@pytest.fixture
def server(certificate: Path) -> Iterator[Server]:
    made = Server(certificate)
    yield made
    made.stop()


@pytest.fixture
def make(certificate: Path) -> Iterator[Make]:
    """Makes gateways that trust the server, and closes them."""
    made = list[ManagementApi]()

    def build(url: str, **options: Any) -> ManagementApi:
        usual: dict[str, Any] = {"per_second": 1e6, "credentials": KEYS, "context": ssl.create_default_context(cafile=certificate)}
        made.append(ManagementApi(url, **usual | options))
        return made[-1]

    yield build
    for api in made:
        api.close()


def jobs(word: str, count: int, *frames: bytes) -> list[Job]:
    return [Job(f"{word}-{number}", frames or (FRAME,)) for number in range(count)]


def test_frames_arrive_in_order_and_then_the_connection_is_closed(server: Server, make: Make) -> None:
    """Each frame after the one before was taken, however many jobs run side by side."""
    many = [Job(f"ok-{n}=", (b"1", b"2", b"3"), close=True) for n in range(300)]
    assert make(server.url).run(many, seconds=20) == [SENT] * 300
    for job in many:
        seen = [(request.method, request.body) for request in server.requests(job.connection)]
        assert seen == [("POST", b"1"), ("POST", b"2"), ("POST", b"3"), ("DELETE", b"")]


@pytest.mark.parametrize(
    ("word", "outcome", "requests"),
    [
        ("ok", SENT, 1),
        ("chunked", SENT, 1),
        ("closing", SENT, 1),
        ("endless", SENT, 1),
        ("early", SENT, 1),
        ("gone", GONE, 1),
        ("moved", FAILED, 1),
        ("forbidden", FAILED, 1),
        ("throttled", FAILED, TRIES),
        ("broken", FAILED, TRIES),
        ("cut", FAILED, TRIES + 1),
        ("garbage", FAILED, TRIES + 1),
        ("twice", SENT, 3),
    ],
)
def test_answer_decides(server: Server, make: Make, word: str, outcome: Outcome, requests: int) -> None:
    """Taken, gone, refused, or tried again a bounded number of times; and the same again over the sockets that are left."""
    api = make(server.url)
    for name in (f"{word}-first", f"{word}-second"):
        assert api.run([Job(name, (FRAME,))], seconds=20) == [outcome]
        assert len(server.requests(name)) == requests


def test_nothing_follows_a_frame_that_was_not_taken(server: Server, make: Make) -> None:
    """Neither the next frame nor the close."""
    assert make(server.url).run([Job("gone-1", (b"1", b"2"), close=True)], seconds=20) == [GONE]
    assert [request.body for request in server.requests("gone-1")] == [b"1"]


def test_job_without_frames_does_nothing(server: Server, make: Make) -> None:
    """Above all it does not close the connection."""
    assert make(server.url).run([Job("ok-1", ())], seconds=20) == [SENT]
    assert make(server.url).run([], seconds=20) == []
    assert server.endpoint.requests == []


def test_sockets_are_few_and_used_again(server: Server, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than the bound, no more than there are jobs, and a later run needs no new ones."""
    monkeypatch.setattr("realtime.posting.SLOW_SECONDS", 20.0)  # a busy machine's answers may be slow, and those do not count
    api = make(server.url)
    api.run(jobs("ok", 2), seconds=20)
    assert len(server.endpoint.sockets) <= 2
    for _ in range(2):  # the first may be over while its last socket is being opened
        api.run(jobs("ok", 1000), seconds=20)
    opened = len(server.endpoint.sockets)
    assert api.run(jobs("ok", opened), seconds=20) == [SENT] * opened
    assert len(server.endpoint.sockets) == opened <= SOCKETS


def test_socket_that_died_unnoticed_is_no_failure(server: Server, make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """After a freeze every request goes out again at once, on a new socket."""
    api = make(server.url)
    api.run(jobs("ok", 500), seconds=20)
    server.drop()
    assert api.run(jobs("ok", 500), seconds=20) == [SENT] * 500
    assert not caplog.records


def test_later_handshake_resumes_the_session(server: Server, make: Make) -> None:
    """It costs half as much."""
    api = make(server.url)
    for _ in range(2):
        api.run(jobs("ok", 1), seconds=20)
        server.drop()
    assert [transport.get_extra_info("ssl_object").session_reused for transport in server.endpoint.sockets] == [False, True]


def test_deadline_ends_what_hangs(server: Server, make: Make) -> None:
    """What is under way has failed; the run does not wait for the time-out, and the socket is dropped."""
    started = time.monotonic()
    assert make(server.url).run([*jobs("hang", 2), *jobs("ok", 2)], seconds=1) == [FAILED, FAILED, SENT, SENT]
    assert time.monotonic() - started < 2.5


def test_deadline_leaves_the_rest_to_others(server: Server, make: Make) -> None:
    """What was never begun is unsent, in the order of the jobs, and was indeed not sent."""
    outcomes = make(server.url, per_second=20).run(jobs("ok", 100), seconds=1)
    begun = outcomes.index(UNSENT)
    assert 0 < begun <= 21
    assert outcomes[begun:] == [UNSENT] * (100 - begun)
    deadline = time.monotonic() + 5
    while len(server.endpoint.requests) < begun and time.monotonic() < deadline:
        time.sleep(0.01)  # the last one may be under way
    assert len(server.endpoint.requests) == begun


def test_no_time_no_post(server: Server, make: Make) -> None:
    """A deadline that has passed leaves everything unsent."""
    assert make(server.url).run(jobs("ok", 3), seconds=0) == [UNSENT] * 3
    assert server.endpoint.requests == []


def test_answer_that_does_not_come(server: Server, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waited for 3 s (here less), and not asked for again: the frame may have been taken."""
    monkeypatch.setattr("realtime.posting.ANSWER_SECONDS", 0.5)
    started = time.monotonic()
    assert make(server.url).run(jobs("hang", 1), seconds=60) == [FAILED]
    assert 0.5 <= time.monotonic() - started < 20
    assert len(server.requests("hang-0")) == 1


def test_those_that_hang_hold_up_nobody(server: Server, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """More of them than there are sockets; the others are served long before the time-out (here 60 s: 150 handshakes take their time)."""
    monkeypatch.setattr("realtime.posting.ANSWER_SECONDS", 60.0)
    outcomes = make(server.url).run([*jobs("hang", SOCKETS + 50), *jobs("ok", 300)], seconds=30, patience=2)
    assert Counter(outcomes) == {FAILED: SOCKETS + 50, SENT: 300}


def test_rate_is_kept(server: Server, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over several runs and with repeats: in any second as they are admitted, and by and large as the busy server sees them."""
    admitted, take = list[float](), Bucket.take

    def noted(bucket: Bucket) -> None:
        admitted.append(bucket._filled)
        take(bucket)

    monkeypatch.setattr(Bucket, "take", noted)
    api = make(server.url, per_second=100)
    for _ in range(2):
        api.run([*jobs("ok", 100), *jobs("throttled", 10)], seconds=20)
    seen = [request.at for request in server.endpoint.requests]
    assert len(seen) == len(admitted) == 2 * (100 + 10 * TRIES)
    assert peak(admitted) <= 100
    assert seen[-1] - admitted[0] > len(seen) / 100 - 0.05


@pytest.mark.parametrize(("size", "outcome"), [(MESSAGE_BYTES, SENT), (MESSAGE_BYTES + 1, FAILED)])
def test_big_frames(server: Server, make: Make, size: int, outcome: Outcome) -> None:
    """128 KB pass whole, on many sockets at once; beyond, the API refuses and nobody tries again."""
    frame = os.urandom(size)
    assert make(server.url).run(jobs("ok", 30, frame), seconds=20) == [outcome] * 30
    assert [request.body == frame for request in server.endpoint.requests] == [True] * 30


def test_threads_take_turns(server: Server, make: Make) -> None:
    """Every job of every thread is done once."""
    api = make(server.url)
    with ThreadPoolExecutor(8) as threads:
        runs = [threads.submit(api.run, jobs(f"ok-{n}", 50), seconds=20) for n in range(8)]
        assert [run.result() for run in runs] == [[SENT] * 50] * 8
    assert Counter(Counter(request.connection for request in server.endpoint.requests).values()) == {1: 400}


def test_waiting_for_a_turn_ends_at_the_deadline(server: Server, make: Make) -> None:
    """A thread that does not get its turn in time leaves its jobs to others."""
    api = make(server.url)
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(api.run, jobs("hang", 1), seconds=1)
        while not server.requests("hang-0"):
            time.sleep(0.01)
        assert api.run(jobs("ok", 2), seconds=0.2) == [UNSENT] * 2
        assert slow.result() == [FAILED]


def test_certificate_that_is_not_trusted(server: Server, make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is sent, and the log says why."""
    assert make(server.url, context=None).run(jobs("ok", 20), seconds=20) == [FAILED] * 20
    assert server.endpoint.requests == []
    assert "certificate verify failed" in caplog.text


def test_endpoint_that_is_down(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """Its jobs fail after a few tries, long before the deadline."""
    assert make(f"https://localhost:{free_port()}/live").run(jobs("ok", 50), seconds=30) == [FAILED] * 50
    assert "ConnectionRefusedError" in caplog.text or "OSError" in caplog.text


def test_endpoint_that_says_nothing(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The handshake hangs: the deadline holds, and what was not sent is left to others; with more time, it has failed."""
    monkeypatch.setattr("realtime.sockets.CONNECT_SECONDS", 0.7)
    with socket.create_server(("127.0.0.1", 0), backlog=100) as silent:
        started = time.monotonic()
        api = make(f"https://127.0.0.1:{silent.getsockname()[1]}/live")
        assert api.run(jobs("ok", 5), seconds=0.5) == [UNSENT] * 5
        assert time.monotonic() - started < 2
        assert api.run(jobs("ok", 1), seconds=30) == [FAILED]


def test_plain_http_of_a_local_endpoint(make: Make) -> None:
    """The same without TLS."""
    server = Server(None)
    try:
        api = make(server.url)
        assert api.run([*jobs("ok", 200), *jobs("gone", 1)], seconds=20) == [SENT] * 200 + [GONE]
        server.drop()
        assert api.run(jobs("ok", 200), seconds=20) == [SENT] * 200
    finally:
        server.stop()


@pytest.mark.parametrize("url", ["https://abc.execute-api.eu-west-1.amazonaws.com/live", "http://localhost:4566/_aws/execute-api/abc/live"])
def test_requests_are_those_of_boto3(url: str) -> None:
    """Same line, same host, same signature, same body."""
    job = Job("L0SM9cOFvHcCIhw=", (FRAME,), close=True)
    api = ManagementApi(url, per_second=1, credentials=KEYS)
    for number, (operation, arguments) in enumerate([("post_to_connection", {"Data": FRAME}), ("delete_connection", {})]):
        head, _, body = api._requests()(job, number).partition(b"\r\n\r\n")
        line, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (entry.partition(": ") for entry in lines)}
        expected = _by_boto3(url, headers["x-amz-date"], operation, ConnectionId=job.connection, **arguments)
        assert line == f"{expected.method} {expected.url.partition(headers['host'])[2]} HTTP/1.1"
        assert headers["authorization"] == expected.headers["Authorization"].decode()
        assert headers["x-amz-security-token"] == "token"
        assert (body, headers["content-length"]) == (expected.body or b"", str(len(body)))


def test_credentials_are_looked_up_for_each_run() -> None:
    """botocore renews those that expire: the next run signs with the new ones."""
    keys = Credentials("OLD", "secret", "token")
    api = ManagementApi("https://abc.execute-api.eu-west-1.amazonaws.com/live", per_second=1, credentials=keys)
    assert b"Credential=OLD/" in api._requests()(Job("a", (FRAME,)), 0)
    keys.access_key = "NEW"
    assert b"Credential=NEW/" in api._requests()(Job("a", (FRAME,)), 0)


def test_without_credentials_a_run_raises(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the deployment that is wrong, not a connection; and the next thread gets its turn all the same."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    api = make("https://localhost:9/live", credentials=None)
    for _ in range(2):
        with pytest.raises(NoCredentialsError):
            api.run(jobs("ok", 1), seconds=5)


def test_import_is_light() -> None:
    """A cold start pays neither for botocore nor for an HTTP client before there is something to post."""
    heavy = {"boto3", "botocore", "aiohttp", "urllib3", "pydantic"}
    command = "import sys, realtime.management; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", command], check=True, capture_output=True, text=True, timeout=60)
    assert not heavy & set(done.stdout.split())


class _Caught(Exception):
    """The request that the SDK was about to send."""


def _by_boto3(url: str, stamp: str, operation: str, **arguments: Any) -> Any:
    """The request that the SDK would send at that time."""

    def catch(request: Any, **_: Any) -> None:
        raise _Caught(request)

    session = botocore.session.get_session()
    session.set_credentials("AKID", "secret", "token")
    client: Any = session.create_client("apigatewaymanagementapi", region_name="us-east-1", endpoint_url=url)
    client.meta.events.register("before-send", catch)
    now = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    with patch("botocore.auth.get_current_datetime", lambda: now), pytest.raises(_Caught) as caught:
        getattr(client, operation)(**arguments)
    return caught.value.args[0]


def test_caller_without_patience_does_not_wait_for_those_who_hang(server: Server, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A publisher's ack must not wait for one dead reader; all others are done, and retries are waited for."""
    monkeypatch.setattr("realtime.posting.ANSWER_SECONDS", 60.0)
    many = [*jobs("ok", 50), *jobs("hang", 1), *jobs("ok", 50)]
    started = time.monotonic()
    outcomes = make(server.url).run(many, seconds=60, patience=0.5)
    assert time.monotonic() - started < 20
    assert Counter(outcomes) == {SENT: 100, FAILED: 1}
