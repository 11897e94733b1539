"""The log, tickets, counters and directions in DynamoDB: what stands in which item, and what each call costs.

The log table has the keys `topic` and `entry`; `entry` is `head`, `<epoch>#<last seq, 16 digits>` for history, or
`key#<hash>` for what an idempotency key left behind. TTL (`expires`, Unix seconds) clears history and keys, days late;
heads have none: they stay, so that an old cursor is never taken for a new one. The access table has the key `id`.
"""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import ClientError

from realtime.aws import call
from realtime.direct import Direction, direction_of
from realtime.errors import Code, RealtimeError
from realtime.event import NewEvent
from realtime.log import KEY_WINDOW_SECONDS, Append, Receipt, Swapped
from realtime.policy import Principal
from realtime.tickets import Grant, Use

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Item = dict[str, Any]

HEAD = "head"

PUBLISHER, STREAM = "publisher", "stream"
"""Who pushes an append to subscribers: text, which the stream's event filter compares safely."""


class DynamoStore:
    """The log's items in one table."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def head(self, topic: str, *, consistent: bool) -> Append | None:
        key = {"topic": {"S": topic}, "entry": {"S": HEAD}}
        answer = call(self._client.get_item, TableName=self._table, Key=key, ConsistentRead=consistent)
        return to_append(answer["Item"]) if "Item" in answer else None

    def heads(self, topics: Sequence[str]) -> Mapping[str, Append]:
        if not topics:
            return {}
        keys = [{"topic": {"S": topic}, "entry": {"S": HEAD}} for topic in topics]
        answer = call(self._client.batch_get_item, RequestItems={self._table: {"Keys": keys}})
        if answer.get("UnprocessedKeys"):  # throttled, or more than 16 MB
            raise RealtimeError(Code.UNAVAILABLE, "the log is too busy to say where topics end", retry_after=1)
        return {item["topic"]["S"]: to_append(item) for item in answer["Responses"].get(self._table, [])}

    def history(
        self, topic: str, epoch: str, first: int, last: int, *, limit: int, consistent: bool, backward: bool = False
    ) -> Sequence[Append]:
        answer = call(
            self._client.query,
            TableName=self._table,
            KeyConditionExpression="topic = :topic AND entry BETWEEN :first AND :last",
            ExpressionAttributeValues={
                ":topic": {"S": topic},
                ":first": {"S": _entry(epoch, first)},
                ":last": {"S": _entry(epoch, last)},
            },
            Limit=limit,
            ConsistentRead=consistent,
            ScanIndexForward=not backward,
        )
        return [to_append(item) for item in answer["Items"]]

    def receipt(self, topic: str, id: str) -> Receipt | None:
        key = {"topic": {"S": topic}, "entry": {"S": f"key#{id}"}}
        answer = call(self._client.get_item, TableName=self._table, Key=key, ConsistentRead=True)
        item = answer.get("Item")
        return Receipt(item["epoch"]["S"], int(item["first"]["N"]), int(item["at"]["N"]), item["digest"]["S"]) if item else None

    def retire(self, head: Append, *, history: bool, receipt: bool) -> None:
        items = ([_history_item(head)] if history else []) + ([_receipt_item(head)] if receipt else [])
        if len(items) == 1:
            call(self._client.put_item, TableName=self._table, Item=items[0])
        elif items:
            left: dict[str, Any] = {self._table: [{"PutRequest": {"Item": item}} for item in items]}
            left = call(self._client.batch_write_item, RequestItems=left).get("UnprocessedItems", {})
            for request in left.get(self._table, []):
                call(self._client.put_item, TableName=self._table, Item=request["PutRequest"]["Item"])

    def swap(self, expected: Append | None, new: Append) -> Swapped:
        condition: Item = {"ConditionExpression": "attribute_not_exists(topic)"}
        if expected:
            condition = {
                "ConditionExpression": "epoch = :epoch AND #last = :last",
                "ExpressionAttributeNames": {"#last": "last"},
                "ExpressionAttributeValues": {":epoch": {"S": expected.epoch}, ":last": {"N": str(expected.last)}},
            }
        try:
            call(
                self._client.put_item,
                TableName=self._table,
                Item=to_item(new, HEAD),
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **condition,
            )
        except ClientError as error:
            item = cast("Item | None", error.response.get("Item"))
            repeated = error.response["ResponseMetadata"].get("RetryAttempts", 0) > 0
            return Swapped(done=False, head=to_append(item) if item else None, repeated=repeated)
        return Swapped(done=True, head=new)


class DynamoTickets:
    """Tickets in the access table: one write unit to put, one to take."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def put(self, hashed: str, grant: Grant, expires: int) -> None:
        principal = grant.principal
        item: Item = {
            "id": {"S": f"ticket#{hashed}"},
            "use": {"S": grant.use},
            "topics": {"L": [{"S": topic} for topic in grant.topics]},
            "sub": {"S": principal.sub},
            "until": {"N": str(int(principal.expires))},
            "claims": {"S": json.dumps(principal.claims)},
            "expires": {"N": str(expires)},
        }
        call(self._client.put_item, TableName=self._table, Item=item)

    def take(self, hashed: str, use: Use, now: int) -> Grant | None:
        try:
            answer = call(
                self._client.delete_item,
                TableName=self._table,
                Key={"id": {"S": f"ticket#{hashed}"}},
                ConditionExpression="#use = :use AND expires > :now",
                ExpressionAttributeNames={"#use": "use"},
                ExpressionAttributeValues={":use": {"S": use}, ":now": {"N": str(now)}},
                ReturnValues="ALL_OLD",
            )
        except ClientError:
            return None
        item = answer["Attributes"]
        principal = Principal(item["sub"]["S"], float(item["until"]["N"]), json.loads(item["claims"]["S"]))
        return Grant(use, tuple(topic["S"] for topic in item["topics"]["L"]), principal)


class DynamoCounters:
    """Counters in the access table: one write unit a count, refused or not."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def count(self, name: str, limit: int, expires: int) -> bool:
        try:
            call(
                self._client.update_item,
                TableName=self._table,
                Key={"id": {"S": f"rate#{name}"}},
                UpdateExpression="ADD #n :one SET expires = :expires",
                ConditionExpression="attribute_not_exists(#n) OR #n < :limit",
                ExpressionAttributeNames={"#n": "n"},
                ExpressionAttributeValues={":one": {"N": "1"}, ":limit": {"N": str(limit)}, ":expires": {"N": str(expires)}},
            )
        except ClientError:
            return False
        return True


class DynamoDirections:
    """What features are directed to, in the access table: half a read unit to look, one write unit to change."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def direction(self, feature: str) -> Direction | None:
        item = call(self._client.get_item, TableName=self._table, Key=_direction_key(feature)).get("Item")
        return direction_of(item["transport"]["S"], item["poll_after"]["N"], item["expires"]["N"]) if item else None

    def put(self, feature: str, direction: Direction) -> None:
        item: Item = {
            **_direction_key(feature),
            "transport": {"S": direction.transport},
            "poll_after": {"N": str(direction.poll_after)},
            "expires": {"N": str(int(direction.until))},
        }
        call(self._client.put_item, TableName=self._table, Item=item)

    def remove(self, feature: str) -> None:
        call(self._client.delete_item, TableName=self._table, Key=_direction_key(feature))


def to_item(append: Append, entry: str) -> Item:
    """An append as a DynamoDB item."""
    item: Item = {
        "topic": {"S": append.topic},
        "entry": {"S": entry},
        "epoch": {"S": append.epoch},
        "first": {"N": str(append.first)},
        "last": {"N": str(append.last)},
        "events": {"L": [{"M": {"type": {"S": e.type}, "data": {"S": e.data_json}}} for e in append.events]},
        "at": {"N": str(append.at_ms)},
        "id": {"S": append.id},
        "keyed": {"BOOL": append.keyed},
        "digest": {"S": append.digest},
        "pushed_by": {"S": PUBLISHER if append.claimed else STREAM},
    }
    if append.expires is not None:
        item["until" if entry == HEAD else "expires"] = {"N": str(append.expires)}  # a head must not be under TTL
        if append.passing:
            item["expires"] = {"N": str(append.expires)}
    return item


def to_append(item: Item) -> Append:
    """The append that an item of the log holds: a head, a history row, or the image of one in the table's stream."""
    expires = item.get("until") or item.get("expires")
    return Append(
        topic=item["topic"]["S"],
        epoch=item["epoch"]["S"],
        first=int(item["first"]["N"]),
        events=tuple(NewEvent(e["M"]["type"]["S"], e["M"]["data"]["S"]) for e in item["events"]["L"]),
        at_ms=int(item["at"]["N"]),
        id=item["id"]["S"],
        keyed=item["keyed"]["BOOL"],
        digest=item["digest"]["S"],
        expires=int(expires["N"]) if expires else None,
        claimed=item.get("pushed_by") == {"S": PUBLISHER},
        passing="until" in item and "expires" in item,
    )


def _history_item(head: Append) -> Item:
    return to_item(head, _entry(head.epoch, head.last))


def _receipt_item(head: Append) -> Item:
    return {
        "topic": {"S": head.topic},
        "entry": {"S": f"key#{head.id}"},
        "epoch": {"S": head.epoch},
        "first": {"N": str(head.first)},
        "at": {"N": str(head.at_ms)},
        "digest": {"S": head.digest},
        "expires": {"N": str(head.at_ms // 1000 + KEY_WINDOW_SECONDS)},
    }


def _direction_key(feature: str) -> Item:
    return {"id": {"S": f"direct#{feature}"}}


def _entry(epoch: str, seq: int) -> str:
    return f"{epoch}#{seq:016d}"
