"""Our service: every case is one test, and none is skipped."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local.process import Child, free_port, port_is_free, stop
from realtime.sessions import COOKIE
from tests.conformance.case import Case, Run
from tests.conformance.cases import CASES
from tests.conformance.client import Place
from tests.conformance.target import PROMISES, ByHttp, Target
from tests.helpers import SECRET
from tests.services.sse.conftest import bearer

ROOT = Path(__file__).parents[2]
ROTATE_SECONDS = 0.5
BODY = '{"type":"note","data":DATA}'
FEATURES = """
[features.news]
pattern = "sse"
latency = "1s"
rooms = true
access = { read = "public", publish = "service" }
limits = { bytes = 32768 }

[features.alerts]
pattern = "sse"
latency = "1s"
"""


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Target]]:
    """Start a service of its own, with these additions to its environment."""
    children: list[Child] = []

    def begin(**environment: str) -> Target:
        folder, port = tmp_path_factory.mktemp("service"), free_port()
        (folder / "features.toml").write_text(FEATURES)
        command: list[str | Path] = [
            sys.executable,
            "-m",
            "tests.conformance.service",
            "--port",
            str(port),
            "--features",
            folder / "features.toml",
        ]
        settings = {"REALTIME_LOG": "memory", "REALTIME_SECRET": SECRET, "HEARTBEAT": "1"} | environment
        child = Child.start("service", command, os.environ | settings, folder / "service.log", ROOT)
        children.append(child)
        child.wait_until(lambda: not port_is_free(port))
        return target(port, child, float(environment["ROTATE"]) if "ROTATE" in environment else None)

    yield begin
    stop([child.process for child in children])


@pytest.fixture(scope="module")
def steady(start: Callable[..., Target]) -> Target:
    return start()


@pytest.fixture(scope="module")
def rotating(start: Callable[..., Target]) -> Target:
    return start(ROTATE=str(ROTATE_SECONDS))


@pytest.fixture
def stopping(start: Callable[..., Target]) -> Target:
    return start()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_service(case: Case, request: pytest.FixtureRequest) -> None:
    """The service does what the case's source says."""
    server = "rotating" if "rotation" in case.needs else "stopping" if "stop" in case.needs else "steady"
    asked: Target = request.getfixturevalue(server)
    assert not case.missing(asked)
    with Run(asked) as run:
        case.check(run)


def target(port: int, child: Child, earliest: float | None) -> Target:
    """What the suite is told of the service."""
    url = f"http://127.0.0.1:{port}"
    publishers = [ByHttp(Place(f"{url}/topics/news/{room}/events", bearer("job", role="service")), BODY) for room in ("one", "two")]
    return Target(
        stream=Place(f"{url}/topics/news/one/stream"),
        publish=publishers[0],
        several=Place(f"{url}/stream?topic=news/one&topic=news/two"),
        publish_other=publishers[1],
        unknown=Place(f"{url}/topics/nobody/stream"),
        private=Place(f"{url}/topics/alerts/stream"),
        over=Place(f"{url}/topics/alerts/stream", {"Cookie": f"{COOKIE}=ended", "Last-Event-ID": "a-1"}),
        stop=lambda: os.kill(child.process.pid, signal.SIGTERM),
        rotation=2 * earliest if earliest else None,
        heartbeat=1,
        size=32_768,
        promises=frozenset(PROMISES),
    )
