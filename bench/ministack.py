"""A MiniStack of the bench's own, on free ports, with an empty log table and access table."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import boto3

from bench.ports import free_port
from bench.sandbox import SCRATCH
from local import endpoint
from local.places import REGION, Places
from local.process import stop
from local.progress import step

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

LOG_TABLE, ACCESS_TABLE = "log", "access"


@contextmanager
def ministack() -> Iterator[str]:
    """Its URL, while it runs."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=SCRATCH, prefix="ministack-", ignore_cleanup_errors=True) as folder:
        places = Places(Path(folder), free_port(), free_port())
        with step("starting MiniStack"):
            endpoint.install()
            child = endpoint.start(places)
        try:
            child.wait_until(lambda: endpoint.ready(places))
            _make_tables(client(places.endpoint))
            yield places.endpoint
        finally:
            stop([child.popen.pid])


def client(url: str) -> "DynamoDBClient":
    """A DynamoDB client for it."""
    return boto3.client(
        "dynamodb",
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106 - the endpoint of this machine
    )


def _make_tables(dynamodb: "DynamoDBClient") -> None:
    """The tables of CoreStack, without stream and TTL."""
    dynamodb.create_table(
        TableName=LOG_TABLE,
        KeySchema=[{"AttributeName": "topic", "KeyType": "HASH"}, {"AttributeName": "entry", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": "topic", "AttributeType": "S"}, {"AttributeName": "entry", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.create_table(
        TableName=ACCESS_TABLE,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
