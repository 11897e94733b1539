"""The stacks' tables, made by hand: for tests and benches that deploy no stack. Without stream and TTL."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def make_log_table(client: "DynamoDBClient", name: str = "log") -> None:
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "topic", "KeyType": "HASH"}, {"AttributeName": "entry", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": "topic", "AttributeType": "S"}, {"AttributeName": "entry", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )


def make_access_table(client: "DynamoDBClient", name: str = "access") -> None:
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )


def make_connections_table(client: "DynamoDBClient", name: str = "connections") -> None:
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}, {"AttributeName": "entry", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}, {"AttributeName": "entry", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
