"""A MiniStack of the bench's own, on free ports, with an empty log table and access table."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bench.sandbox import SCRATCH
from local import endpoint
from local.places import Places
from local.progress import step
from local.tables import make_access_table, make_log_table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

LOG_TABLE, ACCESS_TABLE = "log", "access"


@contextmanager
def ministack() -> Iterator[Places]:
    """Where it listens, while it runs."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    with step("starting MiniStack"):
        endpoint.install()
    with (
        tempfile.TemporaryDirectory(dir=SCRATCH, prefix="ministack-", ignore_cleanup_errors=True) as folder,
        endpoint.running(Path(folder)) as places,
    ):
        make_log_table(client(places), LOG_TABLE)
        make_access_table(client(places), ACCESS_TABLE)
        yield places


def client(places: Places) -> "DynamoDBClient":
    """A DynamoDB client for it."""
    made: DynamoDBClient = endpoint.client(places, "dynamodb")
    return made
