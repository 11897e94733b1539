"""The real local AWS endpoint, for tests that need more than moto: capacity figures, many processes, real HTTP."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3

from local import endpoint
from local.places import Places
from local.process import stop
from tests.helpers import make_access_table, make_log_table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where it listens, and fresh tables on it."""

    url: str

    def client(self, service: str) -> Any:
        return boto3.client(  # type: ignore[call-overload]
            service, endpoint_url=self.url, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
        )

    def tables(self, name: str) -> "DynamoDBClient":
        """Make the tables <name>-log and <name>-access."""
        client: DynamoDBClient = self.client("dynamodb")
        make_log_table(client, f"{name}-log")
        make_access_table(client, f"{name}-access")
        return client


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(folder: Path) -> Iterator[Endpoint]:
    """MiniStack on a free port, ended with the block."""
    places = Places(folder, free_port(), free_port())
    endpoint.install()
    child = endpoint.start(places)
    try:
        child.wait_until(lambda: endpoint.ready(places))
        yield Endpoint(places.endpoint)
    finally:
        stop([child.popen.pid])
