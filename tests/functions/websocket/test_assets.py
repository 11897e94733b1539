"""The asset of the WebSocket functions in clean processes: complete in itself, and killed between append and push."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.deploy import target as this_machine
from local.lambda_like import provided
from local.tables import make_connections_table
from realtime.dynamo import HEAD, DynamoStore, DynamoTickets, to_item
from realtime.features import load
from realtime.log import Log
from realtime.policy import Principal
from realtime.tickets import Tickets
from stacks.assets import install, stage
from tests.endpoint import Endpoint
from tests.helpers import SECRET, event
from tests.lambda_runtime import RuntimeApi, function
from tests.posts import Posts, posts

ROOT = Path(__file__).parents[3]
LOBBY = "chat/lobby"
KILLED = """
import os, signal
from functions.websocket import handler as deployed
from realtime.fanout import Fanout
Fanout.deliver = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
handler = deployed.handler
"""


@pytest.fixture(scope="module")
def asset() -> Path:
    install(this_machine())
    return stage(this_machine(), "websocket", load(ROOT / "features.toml"))[0]


@pytest.fixture
def gateway() -> Iterator[Posts]:
    with posts() as made:
        yield made


@pytest.fixture
def environment(endpoint: Endpoint, gateway: Posts, request: pytest.FixtureRequest) -> dict[str, str]:
    """The variables that the stack sets, for tables and a queue on the local endpoint."""
    name = f"websocket-{request.node.name}"
    make_connections_table(endpoint.tables(name), f"{name}-connections")
    return {
        "LOG_TABLE": f"{name}-log",
        "ACCESS_TABLE": f"{name}-access",
        "CONNECTIONS_TABLE": f"{name}-connections",
        "FANOUT_QUEUE_URL": endpoint.client("sqs").create_queue(QueueName=name)["QueueUrl"],
        "SECRET_ARN": endpoint.client("secretsmanager").create_secret(Name=name, SecretString=SECRET)["ARN"],
        "WEBSOCKET_ENDPOINT": gateway.url,
        "POSTS_PER_SECOND": "1000",
        "FEATURES": "features.json",
        "AWS_ENDPOINT_URL": endpoint.url,
    }


def sample(name: str, **context: object) -> dict[str, Any]:
    made: dict[str, Any] = json.loads((ROOT / f"tests/events/websocket_{name}.json").read_text())
    made["requestContext"] |= context
    return made


def connect(messages: RuntimeApi, id: str) -> None:
    """As the gateway does after the authorizer has admitted somebody."""
    authorizer = {"sub": id, "until": "4000000000", "claims": "{}", "scope": "", "principalId": id}
    connected = sample("connect", connectionId=id, authorizer=authorizer, connectedAt=int(time.time() * 1000))
    assert messages.invoke(connected)["statusCode"] == 200


def say(messages: RuntimeApi, id: str, /, **frame: object) -> dict[str, Any]:
    answer = messages.invoke(sample("message", connectionId=id) | {"body": json.dumps(frame)})
    return json.loads(answer["body"]) if "body" in answer else {}


def chat(number: int) -> dict[str, Any]:
    return {"action": "publish", "topic": LOBBY, "type": "message", "data": {"name": "ann", "text": "hi"}, "id": f"k{number}"}


def test_functions_run_from_their_own_folder_alone(asset: Path, environment: dict[str, str], gateway: Posts, endpoint: Endpoint) -> None:
    """Authorizer, messages, broadcaster and queue, each in a clean process: a ticket is spent, a message and an append are pushed."""
    tickets = Tickets(DynamoTickets(endpoint.client("dynamodb"), environment["ACCESS_TABLE"]))
    ticket = tickets.issue("websocket", (LOBBY,), Principal("ann", 4e9, {}))
    with function(asset, "functions.authorizer.handler.handler", environment) as authorizer:
        asked = sample("authorizer") | {"queryStringParameters": {"ticket": ticket}}
        effects = [authorizer.invoke(asked)["policyDocument"]["Statement"][0]["Effect"] for _ in range(2)]
    assert effects == ["Allow", "Deny"]
    with function(asset, "functions.websocket.handler.handler", environment) as messages:
        for name in ("ann", "bob"):
            connect(messages, name)
            assert say(messages, name, action="subscribe", topic=LOBBY)["action"] == "subscribed"
        assert say(messages, "ann", **chat(1))["action"] == "ack"
        assert messages.invoke(sample("disconnect", connectionId="ann"))["statusCode"] == 200
    topic = load(ROOT / "features.toml").topic(LOBBY)
    Log(DynamoStore(endpoint.client("dynamodb"), environment["LOG_TABLE"])).append(topic, [event("from a job")])
    head = DynamoStore(endpoint.client("dynamodb"), environment["LOG_TABLE"]).head(LOBBY, consistent=True)
    assert head
    record = {"eventSource": "aws:dynamodb", "dynamodb": {"SequenceNumber": "1", "NewImage": to_item(head, HEAD)}}
    with function(asset, "functions.broadcaster.handler.stream", environment) as broadcaster:
        assert broadcaster.invoke({"Records": [record]}) == {"batchItemFailures": []}
    assert (gateway.events("ann"), gateway.events("bob")) == ([1], [1, 2])


def test_kill_between_append_and_push(asset: Path, environment: dict[str, str], gateway: Posts, tmp_path: Path) -> None:
    """SIGKILL: the event is in the log, claimed and not pushed. The publisher's repeat pushes it; without one, the head check finds it."""
    (tmp_path / "killed.py").write_text(KILLED)
    deadly = environment | {"PYTHONPATH": os.pathsep.join(map(str, (tmp_path, asset, provided())))}
    with function(asset, "functions.websocket.handler.handler", environment) as messages:
        for name in ("ann", "bob"):
            connect(messages, name)
            cursor = say(messages, name, action="subscribe", topic=LOBBY)["cursor"]
        for number in (1, 2):
            with function(asset, "killed.handler", deadly) as killed, pytest.raises(RuntimeError, match="ended with code -9"):
                say(killed, "ann", **chat(number))
        assert gateway.frames == {}
        assert say(messages, "ann", **chat(1))["cursor"].endswith("-1")
        assert (gateway.events("ann"), gateway.events("bob")) == ([1], [1])
        head = say(messages, "bob", action="ping", cursors={LOBBY: cursor})["heads"][LOBBY]
        assert head.endswith("-2")
        assert say(messages, "bob", action="subscribe", topic=LOBBY, after=head.replace("-2", "-1"))["recovered"]
        assert gateway.events("bob") == [1, 2]
