"""What only DynamoDB can do wrong: tickets and counters in a table, throttling, lost answers, unprocessed writes."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from local.tables import make_access_table, make_log_table
from realtime.cursor import START
from realtime.dynamo import DynamoCounters, DynamoStore, DynamoTickets, to_append, to_item
from realtime.errors import Code, RealtimeError
from realtime.log import Log
from realtime.policy import Principal
from realtime.tickets import Grant
from tests.helpers import event, topic

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

GRANT = Grant("sse", ("alerts",), Principal("ann", 1_800_000_600.0, {"sub": "ann", "teams": ["a"]}))


@pytest.fixture
def client() -> "Iterator[DynamoDBClient]":
    with mock_aws():
        made = boto3.client("dynamodb")
        make_log_table(made)
        make_access_table(made)
        yield made


def test_ticket_comes_back_whole_and_once(client: "DynamoDBClient") -> None:
    """Taking it removes it, in one step."""
    tickets = DynamoTickets(client, "access")
    tickets.put("h", GRANT, 100)
    assert tickets.take("h", "sse", 50) == GRANT
    assert tickets.take("h", "sse", 50) is None


@pytest.mark.parametrize(("use", "now"), [("websocket", 50), ("sse", 100)])
def test_ticket_that_is_not_meant_or_expired_stays(client: "DynamoDBClient", use: Any, now: int) -> None:
    """A refused attempt changes nothing."""
    tickets = DynamoTickets(client, "access")
    tickets.put("h", GRANT, 100)
    assert tickets.take("h", use, now) is None
    assert tickets.take("h", "sse", 50) == GRANT


def test_counter_stops_at_its_limit(client: "DynamoDBClient") -> None:
    """Two of a limit of two, then no more; another counter is not touched."""
    counters = DynamoCounters(client, "access")
    assert [counters.count("a", 2, 100) for _ in range(3)] == [True, True, False]
    assert counters.count("b", 2, 100)


@pytest.mark.parametrize("entry", ["head", "e#1"])
def test_item_holds_the_whole_append(entry: str) -> None:
    """to_append is the inverse of to_item, for heads and history."""
    log, store = Log(kept := _Kept()), kept
    log.append(topic(), [event({"a": "é"}), event(None, "other")], key="k")
    assert to_append(to_item(store.made, entry)) == store.made


def test_head_is_not_under_ttl() -> None:
    """A head that TTL deleted would make old cursors look new: only history and keys carry `expires`."""
    Log(kept := _Kept()).append(topic(), [event()])
    assert "expires" not in to_item(kept.made, "head")
    assert "expires" in to_item(kept.made, "e#1")


def test_head_of_an_answer_goes_with_it() -> None:
    """Each answer is a topic of its own, and its text the answer's: nothing of it stays for ever."""
    Log(kept := _Kept()).append(topic("answers/ann/a", pattern="sse", host="lambda", rooms=True), [event()])
    assert to_item(kept.made, "head")["expires"] == {"N": str(kept.made.expires)}
    assert to_append(to_item(kept.made, "head")) == kept.made


def test_history_and_keys_expire_in_seconds(client: "DynamoDBClient") -> None:
    """TTL is in Unix seconds; milliseconds would keep rows for fifty thousand years."""
    log, news = Log(DynamoStore(client, "log")), topic(retain="1h")
    made = [log.append(news, [event(n)], key=f"k{n}")[0] for n in range(2)]
    items = {i["entry"]["S"].partition("#")[0]: i for i in client.scan(TableName="log")["Items"] if "expires" in i}
    seconds = made[0].at_ms // 1000
    assert int(items.pop("key")["expires"]["N"]) == seconds + 300
    assert [int(i["expires"]["N"]) for i in items.values()] == [seconds + 3600]


def test_throttled_call_is_unavailable() -> None:
    """When the SDK has given up, the caller gets 503 and when to come back."""
    client = boto3.client("dynamodb", region_name="us-east-1")
    with Stubber(client) as stub:
        stub.add_client_error("get_item", "ProvisionedThroughputExceededException", http_status_code=400)
        with pytest.raises(RealtimeError) as refused:
            DynamoStore(client, "log").head("news", consistent=False)
    assert (refused.value.code, refused.value.retry_after) == (Code.UNAVAILABLE, 1)


def test_endpoint_that_does_not_answer_is_unavailable() -> None:
    """No connection: the same answer, within the SDK's time-outs."""
    client = boto3.client("dynamodb", region_name="us-east-1", endpoint_url="http://127.0.0.1:9")
    with pytest.raises(RealtimeError) as refused:
        DynamoStore(client, "log").head("news", consistent=False)
    assert refused.value.code is Code.UNAVAILABLE


def test_unprocessed_writes_are_written_before_the_head(client: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch) -> None:
    """BatchWriteItem may leave items over: history is complete before the head moves."""
    log, news = Log(DynamoStore(client, "log")), topic()
    log.append(news, [event(0)], key="k0")
    monkeypatch.setattr(client, "batch_write_item", lambda RequestItems: {"UnprocessedItems": RequestItems})  # noqa: N803
    log.append(news, [event(1)])
    assert [e.data for e in log.read(news, START).events] == [0, 1]
    assert log.append(news, [event(0)], key="k0")[0].seq == 1


class _Kept:
    """A store that remembers the append it was given."""

    def head(self, topic: str, *, consistent: bool) -> None:
        return None

    def heads(self, topics: Sequence[str]) -> dict[str, Any]:
        return {}

    def receipt(self, topic: str, id: str) -> None:
        return None

    def history(self, *_: object, **__: object) -> list[Any]:
        return []

    def retire(self, *_: object, **__: object) -> None:
        pass

    def swap(self, expected: object, new: Any) -> Any:
        from realtime.log import Swapped

        self.made = new
        return Swapped(done=True, head=new)
