"""Connections and subscriptions in DynamoDB: what stands in which item, and what each call costs.

The table has the keys `id` and `entry`. A connection is `@<connection id>` and `connection`; a subscription
`<topic>#<shard>` and the connection's id. TTL is `expires`, in Unix seconds; it clears rows days late, so readers filter.
"""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import ClientError

from realtime.aws import call
from realtime.connections import BURST_MS, MESSAGE_MS, Connection, Subscriber
from realtime.policy import Principal

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Item = dict[str, Any]

_EXISTS = "attribute_exists(id)"
_CLAIMS = "#sub = :sub, #until = :until, claims = :claims, #scope = :scope"
_CLAIM_NAMES = {"#sub": "sub", "#until": "until", "#scope": "scope"}


class DynamoConnections:
    """Every conditional write returns the row that stood in its way: no read is needed to say why it failed."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def put(self, connection: Connection) -> None:
        principal = {key.removeprefix(":"): value for key, value in _principal(connection).items()}
        times = {"connected": _number(connection.connected_ms), "due": _number(connection.due_ms), "expires": _number(connection.expires)}
        call(self._client.put_item, TableName=self._table, Item={**_key(connection.id), **principal, **times})

    def count(self, id: str, now_ms: int, *, rested: bool) -> tuple[bool, Connection | None]:
        values = {":cost": _number(MESSAGE_MS), ":now": _number(now_ms)}
        if rested:
            return self._update(id, "SET due = :now + :cost", "due <= :now", values)
        values[":most"] = _number(now_ms + BURST_MS)
        return self._update(id, "SET due = due + :cost", "due > :now AND due <= :most", values)

    def charge(self, id: str, cost_ms: int) -> int | None:
        done, row = self._update(id, "SET due = due + :cost", _EXISTS, {":cost": _number(cost_ms)})
        return row.due_ms if done and row else None

    def join(self, id: str, key: str) -> Connection | None:
        done, row = self._update(id, "ADD subscriptions :key", _EXISTS, {":key": {"SS": [key]}})
        return row if done else None

    def enrol(self, key: str, subscriber: Subscriber) -> None:
        item = {
            **_key(key, subscriber.connection),
            "until": _number(int(subscriber.until)),
            "rule": {"S": subscriber.rule},
            "expires": _number(subscriber.expires),
            **({"batch": {"BOOL": True}} if subscriber.batch else {}),
        }
        call(self._client.put_item, TableName=self._table, Item=item)

    def subscriber(self, id: str, key: str) -> Subscriber | None:
        answer = call(self._client.get_item, TableName=self._table, Key=_key(key, id), ConsistentRead=True)
        return _subscriber(answer["Item"]) if "Item" in answer else None

    def leave(self, id: str, key: str, rule: str | None) -> None:
        condition: Item = {}
        if rule is not None:
            condition = {
                "ConditionExpression": "#rule = :rule",
                "ExpressionAttributeNames": {"#rule": "rule"},
                "ExpressionAttributeValues": {":rule": {"S": rule}},
            }
        try:
            call(self._client.delete_item, TableName=self._table, Key=_key(key, id), **condition)
        except ClientError:
            return
        self._update(id, "DELETE subscriptions :key", _EXISTS, {":key": {"SS": [key]}})

    def renew(self, connection: Connection) -> Connection | None:
        done, row = self._update(connection.id, f"SET {_CLAIMS}", _EXISTS, _principal(connection), _CLAIM_NAMES)
        return row if done else None

    def remove(self, id: str, key: str | None) -> None:
        answer = call(self._client.delete_item, TableName=self._table, Key=_key(id), ReturnValues="ALL_OLD")
        keys = {*answer.get("Attributes", {}).get("subscriptions", {"SS": []})["SS"], *([key] if key else [])}
        requests = [{"DeleteRequest": {"Key": _key(subscription, id)}} for subscription in sorted(keys)]
        for start in range(0, len(requests), 25):
            left: dict[str, Any] = {self._table: requests[start : start + 25]}
            left = call(self._client.batch_write_item, RequestItems=left).get("UnprocessedItems", {})
            for request in left.get(self._table, []):
                call(self._client.delete_item, TableName=self._table, Key=request["DeleteRequest"]["Key"])

    def page(self, key: str, after: str | None) -> tuple[Sequence[Subscriber], str | None]:
        start = {} if after is None else {"ExclusiveStartKey": _key(key, after)}
        answer = call(
            self._client.query,
            TableName=self._table,
            KeyConditionExpression="id = :id",
            ExpressionAttributeValues={":id": {"S": key}},
            ConsistentRead=True,
            **start,
        )
        last = answer.get("LastEvaluatedKey")
        return [_subscriber(item) for item in answer["Items"]], last["entry"]["S"] if last else None

    def _update(
        self, id: str, change: str, condition: str, values: Item, names: dict[str, str] | None = None
    ) -> tuple[bool, Connection | None]:
        """Change a connection's row on a condition: whether it was done, and the row, as it then is or as it stood in the way."""
        try:
            answer = call(
                self._client.update_item,
                TableName=self._table,
                Key=_key(id),
                UpdateExpression=change,
                ConditionExpression=condition,
                ExpressionAttributeValues=values,
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **({"ExpressionAttributeNames": names} if names else {}),
            )
        except ClientError as error:
            item = error.response.get("Item")
            return False, _connection(item) if item else None
        return True, _connection(answer["Attributes"])


def _key(id: str, entry: str | None = None) -> Item:
    return {"id": {"S": f"@{id}"}, "entry": {"S": "connection"}} if entry is None else {"id": {"S": id}, "entry": {"S": entry}}


def _number(value: int) -> dict[Literal["N"], str]:
    return {"N": str(value)}


def _principal(connection: Connection) -> Item:
    scope: Item = {"NULL": True} if connection.scope is None else {"L": [{"S": topic} for topic in connection.scope]}
    principal = connection.principal
    return {
        ":sub": {"S": principal.sub},
        ":until": _number(int(principal.expires)),
        ":claims": {"S": json.dumps(principal.claims)},
        ":scope": scope,
    }


def _connection(item: Any) -> Connection:
    scope = item["scope"]
    return Connection(
        id=item["id"]["S"].removeprefix("@"),
        principal=Principal(item["sub"]["S"], float(item["until"]["N"]), json.loads(item["claims"]["S"])),
        scope=None if "NULL" in scope else tuple(topic["S"] for topic in scope["L"]),
        connected_ms=int(item["connected"]["N"]),
        subscriptions=frozenset(item.get("subscriptions", {"SS": []})["SS"]),
        due_ms=int(item["due"]["N"]),
    )


def _subscriber(item: Any) -> Subscriber:
    return Subscriber(
        connection=item["entry"]["S"],
        until=float(item["until"]["N"]),
        rule=item["rule"]["S"],
        batch="batch" in item,
        expires=int(item["expires"]["N"]),
    )
