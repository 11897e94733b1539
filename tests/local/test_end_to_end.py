"""`python -m local`, whole: deploy, publish, poll, 304, edit, redeploy, destroy, end; on ports of its own.

The tests of the module share one deployment and run in the order in which they stand: the last of them end it.
"""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from functions.shop.day import publications
from local import deploy, endpoint, supervisor
from local.places import LocalError, Places
from local.process import Process, port_is_free
from realtime.tokens import issue
from tests.helpers import free_ports

ROOT = Path(__file__).parents[2]
MINUTES = 60
EXTRA = '\n[features.news]\npattern = "polling"\nlatency = "10s"\naccess = { read = "public", publish = "service" }\n'
EXTRA += '\n[features.notes]\npattern = "polling"\nlatency = "10s"\n'
LEFT_OUT = {"ApiGatewayV2", "ApplicationAutoScaling", "CloudFront", "CloudWatch", "EC2", "ElastiCache"}
LEFT_OUT |= {"Events", "CDKBucketDeployment", "Lambda", "S3"}  # of the shop, which the orders process and the page's server stand in for


@dataclass(frozen=True)
class Local:
    """The command line, on a folder, ports and a features file of the test's own."""

    places: Places
    features: Path

    def run(self, *arguments: str, fails: bool = False) -> str:
        command = [sys.executable, "-m", "local", "--folder", str(self.places.folder), *arguments]
        done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=5 * MINUTES)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout

    def up(self, *, bus: str = "log", fails: bool = False) -> str:
        ports = ["--port", str(self.places.page_port), "--endpoint-port", str(self.places.endpoint_port)]
        return self.run("up", "--detach", "--features", str(self.features), "--bus", bus, *ports, fails=fails)

    @property
    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run("status", "--json"))
        return found

    @property
    def secret(self) -> str:
        """What the deployment signs its tokens with."""
        arn = self.status["outputs"]["CoreStack"]["SecretArn"]
        found: str = endpoint.client(self.places, "secretsmanager").get_secret_value(SecretId=arn)["SecretString"]
        return found

    @property
    def everything_is_gone(self) -> bool:
        ports = self.places.endpoint_port, self.places.page_port
        return all(port_is_free(port) for port in ports)


def make(folder: Path) -> Local:
    shutil.copytree(ROOT / "schemas", folder / "schemas")
    (folder / "features.toml").write_text((ROOT / "features.toml").read_text() + EXTRA)
    return Local(Places(folder / "run", *free_ports(2)), folder / "features.toml")


@contextmanager
def running(local: Local, *, bus: str = "log") -> Iterator[Local]:
    """Deployed, and taken down with the block."""
    try:
        local.up(bus=bus)
        yield local
    finally:
        local.run("down")


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    with running(make(tmp_path_factory.mktemp("local"))) as local:
        yield local


@pytest.fixture(scope="module")
def door(local: Local) -> Iterator[httpx2.Client]:
    """The deployed front door, with a service's token that the deployed secret signed."""
    headers = {"Authorization": f"Bearer {issue(local.secret, 'job', 600, role='service')}"}
    with httpx2.Client(base_url=local.status["endpoints"]["front_door"], headers=headers, timeout=30) as client:
        yield client


def publish(door: httpx2.Client, data: object, topic: str = "news") -> dict[str, Any]:
    answer = door.post(f"/topics/{topic}/events", json={"type": "note", "data": data})
    assert answer.status_code == 201, answer.text
    event: dict[str, Any] = answer.json()
    return event


def test_status_names_what_runs_and_what_was_left_out(local: Local) -> None:
    """For programs: endpoints, processes, and the list of resources that the local endpoint did not get."""
    status = local.status
    assert status["running"]
    running = {"supervisor", "ministack", "valkey", "page", "environments", "hubs", "orders"}
    assert {p["name"] for p in status["processes"] if p["alive"]} == running
    assert set(status["endpoints"]) == {"page", "aws", "front_door", "websocket", "streams"}
    assert {left["type"].split("::")[1] for left in status["left_out"]} == LEFT_OUT


def test_published_event_is_polled_and_then_304(door: httpx2.Client) -> None:
    """Through the deployed Lambdas: publish, read, and nothing new."""
    event = publish(door, {"text": "é"})
    page = door.get("/topics/news", params={"after": "0-0"})
    assert page.json()["events"][-1] == {**event, "prev": page.json()["events"][-1]["prev"]}
    again = door.get("/topics/news", params={"after": page.json()["cursor"]}, headers={"If-None-Match": page.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_page_shows_figures_that_come_from_the_lambda(local: Local) -> None:
    """The page's own origin serves it and passes the front door on; the orders job has published."""
    with httpx2.Client(base_url=local.places.page, timeout=30) as page:
        assert "<html" in page.get("/").text
        deadline = time.monotonic() + 30
        while (figures := page.get("/topics/metrics").json())["data"] is None and time.monotonic() < deadline:
            time.sleep(0.2)
        assert {"at", "orders", "cds", "revenue"} == set(figures["data"])


def test_deployed_job_publishes_a_minute_once(local: Local, door: httpx2.Client) -> None:
    """The function that EventBridge would invoke; the process does its work here, so only the orders of this minute are looked at."""
    function = local.status["outputs"]["ShopStack"]["ShopFunction"]
    for _ in range(2):
        answer = endpoint.client(local.places, "lambda").invoke(FunctionName=function, Payload=json.dumps({"time": "1970-01-01T05:00:00Z"}))
        assert "FunctionError" not in answer
    told = [publication.data for publication in publications(300) if publication.topic == "orders"]
    events = door.get("/topics/orders", params={"after": "0-0"}).json()["events"]
    assert [event["data"] for event in events if event["data"] in told] == told


def test_answer_comes_piece_by_piece(local: Local) -> None:
    """Page -> what stands in for Lambda and its adapter -> the function's own asset: each piece as it is written, no lump."""
    with httpx2.Client(base_url=local.places.page, timeout=30) as page:
        guest = page.post("/guests", json={"name": "Ann"}).json()["token"]
        body = {"messages": [{"role": "user", "content": "What is a cursor?"}], "max_tokens": 100}
        with page.stream("POST", "/answers", json=body, headers={"Authorization": f"Bearer {guest}"}) as answer:
            arrived = [(line, time.monotonic()) for line in answer.iter_lines() if line.startswith("event: ")]
    previews = [moment for line, moment in arrived if line == "event: preview"]
    assert arrived[-1][0] == "event: done"
    assert previews[-1] - previews[0] > 0.5 * (len(previews) - 1) / 50  # the model's pace; in a lump it would take no time
    assert max(after - before for before, after in itertools.pairwise(previews)) < 1


def test_streaming_function_has_the_deployed_environment_and_no_other(local: Local) -> None:
    """What Lambda and the adapter set, and what the stack says: nothing of this machine."""
    name = local.status["outputs"]["SseLambdaStack"]["SseLambdaFunction"]
    deployed = endpoint.client(local.places, "lambda").get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    runner = next(p["pid"] for p in local.status["processes"] if p["name"] == "environments")
    (process,) = [child for child in psutil.Process(runner).children() if "services.sse.bounded" in child.cmdline()]
    found = process.environ()
    assert {name: found[name] for name in deployed if name != "PORT"} == {n: v for n, v in deployed.items() if n != "PORT"}
    assert found["MODEL"] == "ngram"
    assert not {"HOME", "USER", "VIRTUAL_ENV", "CI"} & set(found)
    assert process.status() == psutil.STATUS_STOPPED


def test_browser_of_another_origin_is_answered(door: httpx2.Client) -> None:
    """CORS as the template has it."""
    asked = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "GET"}
    answer = door.request("OPTIONS", "/topics/news", headers=asked)
    assert "if-none-match" in answer.headers["access-control-allow-headers"]
    assert "etag" in door.get("/topics/news", headers=asked).headers["access-control-expose-headers"].lower()


def test_ttl_is_on_as_in_the_template(local: Local) -> None:
    """The local endpoint drops it from the template; it is put back."""
    client = endpoint.client(local.places, "dynamodb")
    for table in (local.status["outputs"]["CoreStack"][name] for name in ("LogTable", "AccessTable")):
        assert client.describe_time_to_live(TableName=table)["TimeToLiveDescription"]["AttributeName"] == "expires"


def test_wrong_requests_get_the_table_s_errors(door: httpx2.Client) -> None:
    """Deployed as in the unit tests: problems, never a 500."""
    assert door.get("/topics/nothing").json()["code"] == "unknown_topic"
    assert door.get("/topics/notes", headers={"Authorization": "Bearer x"}).json()["code"] == "unauthorized"
    assert door.post("/topics/news/events", content=b"[" * 100_000).json()["code"] == "invalid"
    assert door.post("/topics/news/events", content=b"x" * 1_000_000).json()["code"] == "too_large"


def test_edit_is_redeployed_and_the_log_stays(local: Local, door: httpx2.Client) -> None:
    """A second `up` deploys what changed, a third finds nothing to do; cursors go on."""
    before = publish(door, "before")
    local.features.write_text(local.features.read_text().replace('latency = "10s"', 'latency = "20s"'))
    assert "what changed was deployed" in local.up()
    assert door.get("/topics/news").headers["poll-after"] == "20"
    page = door.get("/topics/news", params={"after": f"{before['epoch']}-{before['seq']}"}).json()
    assert page["recovered"]
    local.up()
    log = (local.places.folder / "logs/cdk-deploy.log").read_text()
    assert log.count("(no changes)") == 7


def test_destroy_leaves_nothing(local: Local) -> None:
    """`cdk destroy` removes stacks and tables."""
    deploy.destroy(local.places)
    assert endpoint.client(local.places, "dynamodb").list_tables()["TableNames"] == []
    assert {s["StackName"] for s in endpoint.client(local.places, "cloudformation").describe_stacks()["Stacks"]} == {"CDKToolkit"}


def test_dead_child_ends_everything_with_a_sentence(local: Local) -> None:
    """When the page's process dies, the rest does not linger, and the log says which and why."""
    page = next(p["pid"] for p in local.status["processes"] if p["name"] == "page")
    ended = Process.of(next(p["pid"] for p in local.status["processes"] if p["name"] == "supervisor"))
    os.kill(page, signal.SIGKILL)
    ended.wait(seconds=30)
    assert local.everything_is_gone
    assert "page ended with code -9" in (local.places.folder / "logs/up.log").read_text()
    assert not local.status["running"]


@pytest.mark.parametrize("moment", ["while it starts", "when it is up"])
def test_ctrl_c_ends_everything(tmp_path: Path, moment: str) -> None:
    """In the foreground, SIGINT stops every process that was started and leaves no port open, and exits with 0."""
    local = make(tmp_path)
    ports = ["--port", str(local.places.page_port), "--endpoint-port", str(local.places.endpoint_port)]
    command = [sys.executable, "-m", "local", "--folder", str(local.places.folder), "up", "--features", str(local.features), *ports]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 200
    awaited = local.places.endpoint_port if moment == "while it starts" else local.places.page_port
    while port_is_free(awaited) or len(psutil.Process(process.pid).children(recursive=True)) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(1)  # in the first case: into the synth
    started = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 0
    assert local.everything_is_gone
    assert not [child for child in started if child.is_running()]


def test_taken_port_is_told(local: Local) -> None:
    """Which port, and what to do; nothing is started."""
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", local.places.page_port))
        taken.listen()
        told = local.up(fails=True)
    assert f"port {local.places.page_port} is taken" in told
    assert port_is_free(local.places.endpoint_port)


def test_wrong_features_file_is_told_before_anything_starts(tmp_path: Path) -> None:
    """Each mistake with its cure, brackets and all."""
    local = make(tmp_path)
    local.features.write_text("[feature.a]\n[features.a]\npatern = 'polling'\n")
    told = local.up(fails=True)
    assert "unknown table [feature]: only [features.<name>] is known" in told
    assert "unknown key: did you mean pattern?" in told
    assert local.everything_is_gone


def test_failed_deploy_stops_cleanly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real CDK CLI fails (here: its bootstrap went to another endpoint): one sentence with its reason, and nothing runs after it."""
    local = make(tmp_path)
    monkeypatch.setattr(deploy, "bootstrap", lambda _: None)
    with pytest.raises(LocalError, match=r"cdk deploy failed: .*bootstrap"):
        supervisor.up(local.places, supervisor.Wanted(local.features))
    assert local.everything_is_gone
    assert not local.places.state.exists()


def test_state_of_a_dead_deployment_harms_nobody(tmp_path: Path) -> None:
    """After a reboot the state names pids that are somebody else's by now: they are not ours to end, and up begins anew."""
    local = make(tmp_path)
    innocent = subprocess.Popen(["sleep", "60"])
    processes = [{"name": "supervisor", "pid": innocent.pid, "started": 1.0}]
    local.places.save({"ready": True, "processes": processes, "endpoint_port": 1, "page_port": 2})
    assert not local.status["running"]
    assert "nothing runs" in local.run("down")
    assert innocent.poll() is None
    innocent.kill()
    innocent.wait()


def test_two_starts_in_one_folder_do_not_meet(tmp_path: Path) -> None:
    """The second says that the first is at work."""
    local = make(tmp_path)
    with supervisor._alone_in(local.places):
        assert "another up is at work in this folder" in local.up(fails=True)


def test_killed_supervisor_s_processes_are_cleared_away(tmp_path: Path) -> None:
    """What it left running is ended by the next up, or by down."""
    local = make(tmp_path)
    left = subprocess.Popen(["sleep", "60"])
    orphan = {"name": "ministack", "pid": left.pid, "started": psutil.Process(left.pid).create_time()}
    dead = {"name": "supervisor", "pid": 1, "started": 1.0}
    local.places.save({"ready": True, "processes": [dead, orphan], "endpoint_port": 1, "page_port": 2})
    assert "left behind" in local.run("down")
    assert left.wait(timeout=10) != 0
