"""The local Lambda that streams: one request per environment, frozen in between, and no mercy at the time-out."""

import io
import json
import os
import secrets
import shutil
import statistics
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from local import adapter, environments
from local.adapter import Function
from local.environments import Environments, Server
from local.lambda_like import provided
from local.places import Places
from local.process import free_port, port_is_free
from tests.endpoint import Endpoint

RUN = '#!/bin/sh\nexec python "$LAMBDA_TASK_ROOT/server.py"\n'
SERVER = """
import json, os, subprocess, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.body = self.rfile.read(int(self.headers.get("content-length") or 0))
        name, _, self.argument = self.path.partition("?")[0].strip("/").partition("/")
        self.begin()
        for piece in getattr(self, name)():
            self.wfile.write(b"%x\\r\\n%b\\r\\n" % (len(piece), piece))
        self.wfile.write(b"0\\r\\n\\r\\n")

    do_POST = do_GET

    def begin(self):
        if self.path == "/crash/first":
            os._exit(3)
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def healthz(self): yield b"ok"
    def pid(self): yield b"%d" % os.getpid()
    def environment(self): yield json.dumps(dict(os.environ)).encode()
    def echo(self): yield json.dumps([self.command, self.path, self.headers.items(), self.body.decode()]).encode()
    def child(self): yield b"%d" % subprocess.Popen(["sleep", "60"]).pid

    def crash(self):
        yield b"begun"
        os._exit(3)

    def sleep(self):
        yield b"%d" % os.getpid()
        time.sleep(float(self.argument))
        Path(os.environ["DONE"]).write_text("done")

    def times(self):
        for _ in range(int(self.argument)):
            yield b"%f\\n" % time.time()
            time.sleep(0.05)

    def flood(self):
        for megabyte in range(64):
            yield b"x" * 1_000_000
            Path(os.environ["DONE"]).write_text(str(megabyte + 1))

    def log_message(self, *_): pass

ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


@dataclass
class Running:
    """A function, and the server in front of its environments."""

    function: Function
    places: Places
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def text(self, path: str, **headers: str) -> str:
        answer = httpx2.get(self.url + path, headers=headers, timeout=10)
        assert answer.status_code == 200, answer.text
        return answer.text

    def status(self, path: str) -> tuple[int, str]:
        answer = httpx2.get(self.url + path, timeout=10)
        return answer.status_code, answer.json()["message"]

    def at_once(self, path: str, count: int) -> list[str]:
        with ThreadPoolExecutor(count) as threads:
            return list(threads.map(self.text, [path] * count))

    @property
    def done(self) -> str:
        """What the function wrote when it came to its end."""
        file = Path(self.function.environment["DONE"])
        return file.read_text() if file.exists() else ""


def until(holds: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come to hold"
        time.sleep(0.01)


def running(pid: int | str) -> bool:
    try:
        return psutil.Process(int(pid)).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def frozen(pid: int | str) -> bool:
    return psutil.Process(int(pid)).status() == psutil.STATUS_STOPPED


@pytest.fixture
def function(tmp_path: Path) -> Function:
    """A server of the standard library, as an asset."""
    folder = tmp_path / "asset"
    folder.mkdir()
    (folder / "run.sh").write_text(RUN)
    (folder / "run.sh").chmod(0o755)
    (folder / "server.py").write_text(SERVER)
    configured = {"AWS_LWA_READINESS_CHECK_PATH": "/healthz", "PORT": "8080", "DONE": str(tmp_path / "done")}
    return Function(folder, "run.sh", configured, timeout=5)


@pytest.fixture
def serve(function: Function, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Running]]:
    """Start it, with other settings if need be. Afterwards no process of it may be there."""
    monkeypatch.setattr(environments, "LOOK_SECONDS", 0.05)
    ends: list[Callable[[], None]] = []

    def start(**settings: Any) -> Running:
        made = Running(replace(function, **settings), Places(tmp_path, 9, 0))
        server = Server(Environments(made.places, lambda: made.function), 0)
        thread = threading.Thread(target=server.run, daemon=True)

        def end() -> None:
            server.should_exit = True
            thread.join(10)

        ends.append(end)
        thread.start()
        until(lambda: server.started)
        made.port = server.servers[0].sockets[0].getsockname()[1]
        return made

    yield start
    for end in ends:
        end()
    assert not [process for process in psutil.process_iter(["cwd"]) if process.info["cwd"] == str(function.folder)]


@pytest.fixture
def local(serve: Callable[..., Running]) -> Running:
    return serve()


def test_chunks_arrive_as_they_are_produced(local: Running) -> None:
    """Not in one lump at the end, a second later."""
    local.text("/pid")
    with httpx2.stream("GET", f"{local.url}/times/20", timeout=30) as answer:
        gaps = [time.time() - float(line) for line in answer.iter_lines()]
    assert len(gaps) == 20
    assert statistics.median(gaps) < 0.15  # not the longest: in a lump it would be half a second, and a busy machine delays one or two


def test_requests_one_after_another_share_an_environment(local: Running) -> None:
    """It is thawed for each."""
    assert len({local.text("/pid") for _ in range(5)}) == 1


def test_requests_at_once_have_an_environment_each(local: Running) -> None:
    """And the next request goes to one of them."""
    pids = set(local.at_once("/sleep/0.5", 3))
    assert len(pids) == 3
    assert local.text("/pid") in pids


def test_environment_is_frozen_between_requests(local: Running) -> None:
    """All its processes are, as Lambda stops a sandbox."""
    pid, child = local.text("/pid"), local.text("/child")
    until(lambda: frozen(pid) and frozen(child))
    assert local.text("/pid") == pid


def test_leaving_client_does_not_stop_the_function(serve: Callable[..., Running]) -> None:
    """Its environment is busy until the end: the one that may be there has no time for anybody else."""
    local = serve(concurrency=1)
    with httpx2.stream("GET", f"{local.url}/sleep/2", timeout=30) as answer:
        pid = next(answer.iter_text())
    assert local.status("/pid") == (500, "Internal server error")
    until(lambda: local.done)
    until(lambda: frozen(pid))
    assert local.text("/pid") == pid


def test_slow_client_slows_the_function(local: Running) -> None:
    """What it does not read is not collected here; when it leaves, the function goes on at once."""
    with httpx2.stream("GET", f"{local.url}/flood", timeout=30) as answer:
        pieces = answer.iter_raw()
        next(pieces)
        time.sleep(0.6)
        assert 0 < int(local.done) < 40
    until(lambda: local.done == "64")


def test_timeout_ends_the_environment_and_the_stream(serve: Callable[..., Running], caplog: pytest.LogCaptureFixture) -> None:
    """As Lambda does, and says so."""
    local = serve(timeout=0.5)
    local.text("/pid")
    started = time.monotonic()
    pid = local.text("/sleep/8")
    assert 0.5 < time.monotonic() - started < 4
    assert "Task timed out after 0.50 seconds" in caplog.text
    assert (running(pid), local.done) == (False, "")


def test_silent_function_loses_its_client(local: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """API Gateway ends the response after five minutes; the invocation goes on."""
    local.text("/pid")
    monkeypatch.setattr(environments, "SILENCE_SECONDS", 0.5)
    assert running(local.text("/sleep/2.5"))
    assert not local.done
    until(lambda: local.done)


def test_crash_is_502(local: Running, caplog: pytest.LogCaptureFixture) -> None:
    """And after the head the end of the stream; the next request has a new environment."""
    assert local.status("/crash/first") == (502, "Internal server error")
    assert local.text("/crash/later") == "begun"
    assert caplog.text.count("broke off") == 2
    assert running(local.text("/pid"))


@pytest.mark.parametrize("run", ["not a program", "#!/bin/sh\nexit 1\n", "#!/bin/sh\nsleep 60\n"], ids=["no program", "ends", "hangs"])
def test_failed_start_is_502(local: Running, monkeypatch: pytest.MonkeyPatch, run: str) -> None:
    """Lambda gives it 10 s, and then ends all that it has started."""
    monkeypatch.setattr(adapter, "READY_SECONDS", 0.3)
    (local.function.folder / "run.sh").write_text(run)
    assert local.status("/pid") == (502, "Internal server error")


def test_function_sees_what_lambda_would_set(local: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own settings, the runtime's and the local endpoint's: nothing of this machine."""
    monkeypatch.setenv("MARKER", "of this machine")
    seen = json.loads(local.text("/environment"))
    access = {name: value for name, value in local.places.environment().items() if name.startswith("AWS_") or name.lower() == "no_proxy"}
    expected = {
        **local.function.environment,
        **access,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
        "AWS_LAMBDA_FUNCTION_NAME": "function",
        "LAMBDA_RUNTIME_DIR": str(provided()),
        "LAMBDA_TASK_ROOT": str(local.function.folder),
        "LANG": "C.UTF-8",
        "PATH": f"{local.places.folder}/programs:{os.defpath}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "_HANDLER": "run.sh",
    }
    assert seen.pop("PORT") != expected.pop("PORT")
    assert {name: value for name, value in seen.items() if name not in ("PWD", "OLDPWD", "SHLVL", "_")} == expected  # those are the shell's


def test_request_arrives_as_it_was_sent(local: Running) -> None:
    """Method, path, query, headers and body; but who calls, and how long there is time, only Lambda says."""
    forged = {"X-Amzn-Request-Context": "forged", "x-amzn-lambda-context": "forged", "X-Own": "mine"}
    answer = httpx2.post(f"{local.url}/echo/a%2Fb?c=%20d", content=b"body", headers=forged, timeout=30)
    method, path, headers, body = answer.json()
    named = {name.lower(): value for name, value in headers}
    assert (method, path, body, named["x-own"], len(named)) == ("POST", "/echo/a%2Fb?c=%20d", "body", "mine", len(headers))
    assert "forged" not in answer.text
    left = json.loads(named["x-amzn-lambda-context"])["deadline"] / 1000 - time.time()
    assert 3 < left <= 5
    assert json.loads(named["x-amzn-request-context"])["httpMethod"] == "POST"


def test_too_large_a_body_is_413(local: Running) -> None:
    """What API Gateway takes is taken."""
    most = b"x" * environments.BODY_BYTES
    assert httpx2.post(f"{local.url}/pid", content=most, timeout=30).status_code == 200
    assert httpx2.post(f"{local.url}/pid", content=most + b"x", timeout=30).status_code == 413


def test_new_revision_takes_over(local: Running) -> None:
    """A free environment of the old one ends, and a busy one when it is done."""
    with ThreadPoolExecutor(1) as thread:
        busy = thread.submit(local.text, "/sleep/0.8")
        time.sleep(0.3)
        free = local.text("/pid")
        local.function = replace(local.function, environment=local.function.environment | {"NEW": "1"})
        until(lambda: not running(free))
        assert json.loads(local.text("/environment"))["NEW"] == "1"
        assert not running(busy.result())


def test_unused_environment_ends(local: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """After some minutes."""
    pid = local.text("/pid")
    monkeypatch.setattr(environments, "IDLE_SECONDS", 0.2)
    until(lambda: not running(pid))


class Deployed(Running):
    """The function in a stack as CDK would deploy it, with room for one environment, and the process that runs it."""

    def __init__(self, function: Function, endpoint: Endpoint, folder: Path) -> None:
        super().__init__(function, endpoint.places, free_port())
        self.name = f"streams-{secrets.token_hex(4)}"
        self._formation, self._assets = endpoint.client("cloudformation"), endpoint.client("s3")
        self._assets.create_bucket(Bucket=self.name)
        self.deploy("first")
        command = [sys.executable, "-m", "local.environments", "--folder", str(folder), "--function", self.name]
        ports = ["--endpoint-port", str(endpoint.places.endpoint_port), "--port", str(self.port)]
        self.runner = subprocess.Popen([*command, *ports])

    def deploy(self, asset: str) -> None:
        zipped = io.BytesIO()
        with zipfile.ZipFile(zipped, "w") as file:
            file.writestr("asset", asset)
        self._assets.put_object(Bucket=self.name, Key=f"{asset}.zip", Body=zipped.getvalue())
        properties = {
            "FunctionName": self.name,
            "Runtime": "python3.13",
            "Handler": self.function.handler,
            "Code": {"S3Bucket": self.name, "S3Key": f"{asset}.zip"},
            "Environment": {"Variables": self.function.environment},
            "Timeout": 9,
            "MemorySize": 512,
            "ReservedConcurrentExecutions": 1,
        }
        resources = {"Function": {"Type": "AWS::Lambda::Function", "Properties": properties}}
        change = self._formation.create_stack if asset == "first" else self._formation.update_stack
        change(StackName=self.name, TemplateBody=json.dumps({"Resources": resources}))

    def variables(self) -> Any:
        return json.loads(self.text("/environment"))


@pytest.fixture
def deployed(endpoint: Endpoint, function: Function, tmp_path: Path) -> Iterator[Deployed]:
    """Of two assets, the first; it runs."""
    for asset in ("first", "second"):
        shutil.copytree(function.folder, tmp_path / "cdk.out" / f"asset.{asset}")
    made = Deployed(function, endpoint, tmp_path)
    try:
        until(lambda: not port_is_free(made.port), 30)
        until(lambda: httpx2.get(f"{made.url}/pid", timeout=30).status_code == 200, 30)
        yield made
    finally:
        made.runner.terminate()
        made.runner.wait(30)


def test_deployed_function_is_the_one_that_runs(deployed: Deployed) -> None:
    """Asset and settings are those of its stack, also after it was deployed anew."""
    seen = deployed.variables()
    assert (seen["AWS_LAMBDA_FUNCTION_NAME"], seen["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]) == (deployed.name, "512")
    assert seen["LAMBDA_TASK_ROOT"].endswith("asset.first")
    deployed.deploy("second")
    until(lambda: deployed.variables()["LAMBDA_TASK_ROOT"].endswith("asset.second"), 30)
    with httpx2.stream("GET", f"{deployed.url}/sleep/60"):
        assert deployed.status("/pid") == (500, "Internal server error")


@pytest.mark.parametrize("path", ["/pid", "/sleep/60"], ids=["frozen", "busy"])
def test_sigterm_leaves_nothing_behind(deployed: Deployed, path: str) -> None:
    """The environment goes with all that it has started, and a client that still reads is not waited for."""
    child = deployed.text("/child")
    with httpx2.stream("GET", deployed.url + path) as answer:
        pieces = answer.iter_text()
        pid = next(pieces)
        assert running(child)
        deployed.runner.terminate()
        deployed.runner.wait(30)
    until(lambda: not (running(pid) or running(child)))
