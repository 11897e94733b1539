"""The relay: what is appended comes out of Valkey, what fails is tried again from there, what nobody can read is left out."""

import importlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from realtime.bus import decode
from realtime.dynamo import HEAD, to_item
from realtime.errors import Code, RealtimeError
from realtime.event import Event
from realtime.log import Log
from realtime.memory import MemoryStore
from realtime.stream_records import events_of
from tests.helpers import event, topic
from tests.valkey import valkey

NEWS = topic("news")
POISON: list[dict[str, Any]] = [
    {"eventID": "x", "dynamodb": {"SequenceNumber": "9"}},
    {"dynamodb": {"SequenceNumber": "9", "NewImage": {"topic": {"S": "news"}}}},
    {"dynamodb": {"SequenceNumber": "9", "NewImage": None}},
    {},
]


@pytest.fixture
def relay(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The deployed module; nothing connects before there is something to publish."""
    monkeypatch.setenv("VALKEY_URL", "redis://127.0.0.1:1")
    monkeypatch.delitem(sys.modules, "functions.relay.handler", raising=False)
    return importlib.import_module("functions.relay.handler")


@pytest.fixture
def told(relay: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What Valkey was told; it does not take "bad"."""
    taken: list[object] = []

    def publish(events: Sequence[Event]) -> None:
        if events[0].data == "bad":
            raise RealtimeError(Code.UNAVAILABLE, "down")
        taken.extend(event.data for event in events)

    monkeypatch.setattr(relay.publisher, "publish", publish)
    return taken


def record(number: int, *data: object) -> dict[str, Any]:
    """As the log's stream hands over an append."""
    store = MemoryStore()
    Log(store).append(NEWS, [event(each) for each in data])
    head = store.head("news", consistent=True)
    assert head
    return {"eventName": "INSERT", "dynamodb": {"SequenceNumber": str(number), "NewImage": to_item(head, HEAD)}}


@pytest.fixture
def channel(relay: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A subscription to `news` at a real server, which is the relay's."""
    with valkey(tmp_path) as server, server.client as client, client.pubsub(ignore_subscribe_messages=True) as listener:
        monkeypatch.setattr(relay, "publisher", type(relay.publisher)(server.url))
        listener.subscribe("events:news")
        listener.get_message(timeout=2)
        yield listener
        relay.publisher.close()


def test_appends_come_out_of_valkey(relay: ModuleType, channel: Any) -> None:
    """One message for each, with its events as they are in the log."""
    records = [record(1, "a", "b"), record(2, {"c": 'ü"'})]
    assert relay.handler({"Records": records}, None) == {"batchItemFailures": []}
    messages = [decode(channel.get_message(timeout=2)["data"]) for _ in records]
    assert messages == [events_of(each) for each in records]
    assert [event.data for message in messages for event in message] == ["a", "b", {"c": 'ü"'}]


def test_rest_waits_after_a_failure(relay: ModuleType, told: list[object]) -> None:
    """Lambda tries again from the record that failed, so that a topic's events stay in order."""
    records = [record(1, "a"), record(2, "bad"), record(3, "c"), record(4, "bad")]
    assert relay.handler({"Records": records}, None) == {"batchItemFailures": [{"itemIdentifier": "2"}]}
    assert told == ["a"]


@pytest.mark.parametrize("poison", POISON)
def test_record_that_nobody_can_read_blocks_nothing(
    relay: ModuleType, told: list[object], poison: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged and left out: a stream would bring it again and again."""
    records = [record(1, "a"), poison, record(3, "c")]
    assert relay.handler({"Records": records}, None) == {"batchItemFailures": []}
    assert (told, len(caplog.records)) == (["a", "c"], 1)


def test_server_that_is_away_is_a_failure(relay: ModuleType) -> None:
    """Nobody listens at this port: the first record is named."""
    assert relay.handler({"Records": [record(7, "a")]}, None) == {"batchItemFailures": [{"itemIdentifier": "7"}]}


def test_it_imports_little() -> None:
    """Nothing of AWS, no pydantic: it starts fast, and could not make a call."""
    code = "import functions.relay.handler, sys; print(*{'boto3', 'botocore', 'pydantic'} & set(sys.modules))"
    root, environment = Path(__file__).parents[3], {"VALKEY_URL": "redis://127.0.0.1:1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=root, env=environment, check=True, capture_output=True, text=True, timeout=30)
    assert done.stdout.strip() == ""
