"""`python -m services.sse` as its container runs it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from local.process import Child, free_port, port_is_free, stop
from tests.helpers import SECRET
from tests.services.sse.conftest import Client, bearer

ROOT = Path(__file__).parents[3]
STREAM = "/topics/alerts/stream"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[tuple[Child, int]]:
    """The process, and its port."""
    features, port = tmp_path / "features.toml", free_port()
    features.write_text('[features.alerts]\npattern = "sse"\nlatency = "1s"\n')
    command = [sys.executable, "-m", "services.sse", "--port", str(port), "--features", str(features)]
    environment = os.environ | {"REALTIME_LOG": "memory", "REALTIME_SECRET": SECRET}
    child = Child.start("services.sse", command, environment, tmp_path / "service.log", ROOT)
    try:
        child.wait_until(lambda: not port_is_free(port))
        yield child, port
    finally:
        stop([child.process])


def publish(port: int, data: object) -> str:
    body = {"type": "note", "data": data}
    answer = httpx2.post(f"http://127.0.0.1:{port}/topics/alerts/events", json=body, headers=bearer("job", role="service"))
    assert answer.status_code == 201, answer.text
    return f"{answer.json()['epoch']}-{answer.json()['seq']}"


def test_published_event_arrives(service: tuple[Child, int]) -> None:
    """Live, with its id; and again for a client that has missed it."""
    _, port = service
    client = Client(port, STREAM, bearer())
    client.until(b"retry: ")
    time.sleep(0.2)
    first, second = publish(port, "one"), publish(port, "two")
    assert f"id: {first}\nevent: note\n".encode() in client.until(b'"two"')
    back = Client(port, STREAM, bearer() | {"Last-Event-ID": first}).until(b'"two"')
    assert f"id: {second}\n".encode() in back
    assert b'"one"' not in back


@pytest.mark.parametrize("most", ["0", "many"])
def test_wrong_number_of_streams_is_said_at_start(tmp_path: Path, most: str) -> None:
    """In a sentence."""
    environment = os.environ | {"REALTIME_LOG": "memory", "REALTIME_MAX_STREAMS": most}
    features = tmp_path / "features.toml"
    features.write_text('[features.alerts]\npattern = "sse"\nlatency = "1s"\n')
    command = [sys.executable, "-m", "services.sse", "--features", str(features)]
    ended = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert (ended.returncode, ended.stderr) == (1, f"error: REALTIME_MAX_STREAMS is {most}: it must be a whole number of at least 1\n")


def test_sigterm_sends_open_streams_elsewhere_and_ends(service: tuple[Child, int]) -> None:
    """Within 3 s, also with a client that reads nothing; every stream ends as HTTP, with a time to come back."""
    child, port = service
    clients = [Client(port, STREAM, bearer()) for _ in range(20)]
    for client in clients:
        client.until(b"retry: ")
    began = time.monotonic()
    os.kill(child.process.pid, signal.SIGTERM)
    assert child.popen.wait(5) in (0, -signal.SIGTERM)
    assert time.monotonic() - began < 3
    for client in clients:
        assert b"event: reconnect\n" in client.until(b"0\r\n\r\n")
    assert child.log.read_text() == ""
