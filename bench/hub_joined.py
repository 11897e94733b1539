"""Two hubs joined by Valkey: publish at one -> log (MiniStack) -> its own readers, and over Valkey those of the other.

The log is in DynamoDB's place, so a request takes what MiniStack takes for an append, some 10 ms; the difference between
the two hubs is what Valkey and the second hub add. Seven processes share the cores here: it shows that nothing is lost on
the way, and no more than the order of the times.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path

from bench import hub_servers
from bench.hub_client import Load, Publisher, Tally, publish
from bench.hub_servers import Server
from bench.ministack import ACCESS_TABLE, LOG_TABLE, ministack
from bench.report import Figure
from local import endpoint, valkey
from local.process import free_port, stop
from local.progress import step

SECRET = "a-secret-of-the-bench-0123456789abcdef"  # noqa: S105 - of two processes that live for a minute


def run(folder: Path, load: Path, readers: int) -> tuple[Figure, ...]:
    """Half of the readers at each hub."""
    each = readers // 2
    with step(f"hub: two hubs joined by Valkey, {each} readers each"), _joined(folder) as (here, there):
        own, other = _measure(load, here, there, each)
    return (*_figures(f"joined hubs, {each} readers of the one with the publisher", own), *_figures(f"{each} of the other", other))


def _measure(load: Path, here: Server, there: Server, each: int) -> tuple[Tally, Tally]:
    with closing(Publisher(here)) as publisher, Load(load, here, each) as own, Load(load, there, each) as other:
        here.settle()
        there.settle()
        publish(publisher, [own, other])
        return own.end(), other.end()


def _figures(where: str, tally: Tally) -> Iterator[Figure]:
    yield Figure(f"{where}, p50", tally.p50_ms, "ms")
    yield Figure("  p95", tally.p95_ms, "ms")
    yield Figure("  p99", tally.p99_ms, "ms")
    yield Figure("  lost, repeated, out of order", tally.wrong, "", f"{tally.delivered} deliveries", 0)


@contextmanager
def _joined(folder: Path) -> Iterator[tuple[Server, Server]]:
    """MiniStack, Valkey and two hubs, while they run."""
    with ExitStack() as running:
        places = running.enter_context(ministack())
        arn = endpoint.client(places, "secretsmanager").create_secret(Name="bench", SecretString=SECRET)["ARN"]
        port = free_port()
        child = valkey.start(port, folder / "valkey.log")
        running.callback(stop, [child.process])
        variables = {
            **places.environment(),
            "LOG_TABLE": LOG_TABLE,
            "ACCESS_TABLE": ACCESS_TABLE,
            "SECRET_ARN": arn,
            "VALKEY_URL": f"redis://127.0.0.1:{port}",
        }
        hubs = [running.enter_context(hub_servers.hub(_made(folder / name), variables, SECRET)) for name in ("here", "there")]
        for hub in hubs:
            hub.child.wait_until(lambda hub=hub: _bus(hub.port) == "valkey")  # type: ignore[misc] # mypy does not see the default
        yield hubs[0], hubs[1]


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _bus(port: int) -> str:
    """Which bus a hub that is ready has; none: it is not ready."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        said: dict[str, str] = json.load(answer)
    return said.get("bus", "") if answer.status == 200 else ""
