"""What `make up` deploys, where functions and hubs call AWS through a proxy that counts: tests/advisor/counting.py."""

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import httpx2

from local import endpoint
from local.environments import Deployed
from local.hubs import targets
from local.places import ROOT, Places
from local.process import Child, free_port, port_is_free, stop
from realtime.features import load
from realtime.tokens import issue
from tests.advisor.counting import Proxy, counting
from tests.local.test_end_to_end import Local, make, running

FEATURES = """
[features.figures]
pattern = "polling"
latency = "2s"

[features.newest]
pattern = "polling"
latency = "2s"
keep = "latest"

[features.alerts]
pattern = "sse"
latency = "1s"
rooms = true
access = { read = "public", publish = "service" }

[features.progress]
pattern = "sse"
host = "lambda"
latency = "1s"
stream = "30s"
access = { read = "public", publish = "service" }

[features.chat]
pattern = "websocket"
direction = "both"
rooms = true
access = { read = "user", publish = "user" }
limits = { publish = "100/s" }

[features.match]
pattern = "websocket"
readers = 5000
access = { read = "user", publish = "service" }
"""

QUIET_SECONDS = 1.5
"""Nothing is under way any more when nothing was counted for so long: MiniStack looks at the table's stream every second."""

CALL_SECONDS = 60.0


class Deployment:
    """It has a backend that publishes at the front door."""

    def __init__(self, local: Local, proxy: Proxy) -> None:
        self.features = load(local.features)
        self._local, self._proxy, self._invoked, self._events = local, proxy, 0, 0
        self._status, self._secret = local.status, local.secret
        self._via = Places(local.places.folder / "counted", proxy.server_port, 0)
        self.websocket: str = self._status["endpoints"]["websocket"]
        self.door = httpx2.Client(base_url=endpoint.execute_api(self._via, self._output("CoreStack", "ApiId")), timeout=30)
        self._point_functions()

    def _output(self, stack: str, name: str) -> str:
        found: str = self._status["outputs"][stack][name]
        return found

    def headers(self, sub: str = "ann", **claims: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {issue(self._secret, sub, 3600, **claims)}"}

    def publish(self, topic: str) -> None:
        """An event with 100 bytes of data, and a key."""
        self._events += 1
        headers = self.headers("job", role="service") | {"Idempotency-Key": f"event-{self._events}"}
        answer = self.door.post(f"/topics/{topic}/events", json={"type": "note", "data": "x" * 98}, headers=headers)
        assert answer.status_code == 201, answer.text

    # Counting

    def begin(self) -> None:
        """Count from zero."""
        self._proxy.counted.clear()
        self._proxy.looking, self._invoked = 0.0, self._invocations()

    def warm(self, topic: str, calls: int = 1) -> None:
        """Publish, wait until all functions that this calls have done their work, and begin."""
        self.begin()
        self.publish(topic)
        deadline = time.monotonic() + CALL_SECONDS
        while self._invocations() - self._invoked < calls:
            assert time.monotonic() < deadline, f"{topic}: there should be {calls} calls"
            time.sleep(0.2)
        self.settle()
        self.begin()

    def settle(self) -> None:
        """Return when nothing is under way any more."""
        seen, since = -1.0, time.monotonic()
        while time.monotonic() - since < QUIET_SECONDS:
            if seen != (seen := sum([*self._proxy.counted.values()])):
                since = time.monotonic()
            time.sleep(0.05)

    def measured(self) -> dict[str, float]:
        """By billed item, since it began; and `posts`, to connections."""
        return {**self._proxy.counted, "lambda-requests": float(self._invocations() - self._invoked)}

    def looked(self) -> tuple[float, float]:
        """Read units since it began, and the seconds in which looks at the log were waited for."""
        return self._proxy.counted["dynamodb-reads"], self._proxy.looking

    def _invocations(self) -> int:
        """What Lambda has logged: a START line a call. MiniStack logs none of the calls for WebSocket messages."""
        logs = endpoint.client(self._local.places, "logs")
        groups = [group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]]
        pages = [logs.get_paginator("filter_log_events").paginate(logGroupName=group) for group in groups]
        return sum(line["message"].startswith("START ") for each in pages for page in each for line in page["events"])

    # What calls AWS

    def _point_functions(self) -> None:
        functions = endpoint.client(self._local.places, "lambda")
        stage = endpoint.execute_api(self._via, self._output("WebSocketStack", "WebSocketApiId"), "live")
        for function in functions.list_functions()["Functions"]:
            variables = function["Environment"]["Variables"] | {"AWS_ENDPOINT_URL": self._via.endpoint}
            if "WEBSOCKET_ENDPOINT" in variables:
                variables["WEBSOCKET_ENDPOINT"] = stage
            functions.update_function_configuration(FunctionName=function["FunctionName"], Environment={"Variables": variables})

    @contextmanager
    def hubs(self, count: int) -> Iterator[list[int]]:
        """So many hubs beside the deployed one, as its task definition has them; their ports."""
        cluster = ["--cluster", self._output("SseServiceStack", "SseCluster")]
        folders = [self._folder(f"hubs-{number}") for number in range(count)]
        with ExitStack() as stack:
            for folder in folders:
                stack.enter_context(self._child("hubs", folder, cluster, partial(targets, folder)))
            yield [port for folder in folders for port in targets(folder)]

    @contextmanager
    def streams(self, seconds: float) -> Iterator[str]:
        """The deployed streaming function, whose streams live `seconds` at most: 30 are the least that features.toml allows."""
        folder, port = self._folder("streams"), free_port()
        function = Deployed(self._local.places, self._output("SseLambdaStack", "SseLambdaFunction"))()
        assert function
        asset = Path(shutil.copytree(function.folder, folder / "asset"))
        tables = json.loads((asset / "features.json").read_text())
        (asset / "features.json").write_text(json.dumps({name: table | {"stream": seconds} for name, table in tables.items()}))
        configured = {"folder": str(asset), "handler": function.handler, "timeout": function.timeout, "environment": function.environment}
        (folder / "function.json").write_text(json.dumps(configured))
        options = ["--configuration", str(folder / "function.json"), "--port", str(port)]
        with self._child("environments", folder, options, lambda: not port_is_free(port)):
            yield f"http://127.0.0.1:{port}"

    def _folder(self, name: str) -> Path:
        folder = self._via.folder / name
        folder.mkdir(parents=True)
        (folder / "cdk.out").symlink_to(self._local.places.folder / "cdk.out")
        return folder

    @contextmanager
    def _child(self, module: str, folder: Path, options: list[str], ready: Callable[[], object]) -> Iterator[None]:
        where = ["--folder", str(folder), "--endpoint-port", str(self._via.endpoint_port)]
        command = [sys.executable, "-m", f"local.{module}", *where, *options]
        child = Child.start(module, command, self._via.environment(), folder / "log", ROOT)
        try:
            child.wait_until(lambda: bool(ready()))
            yield
        finally:
            stop([child.process])


@contextmanager
def deployment(folder: Path) -> Iterator[Deployment]:
    """Deployed, and taken down with the block."""
    local = make(folder)
    local.features.write_text(FEATURES)
    with running(local), counting(local.places.endpoint_port) as proxy:
        yield Deployment(local, proxy)
