"""The WebSocket pattern's parts, put together from the environment of a function."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from realtime.aws import dynamodb
from realtime.connections import Connections
from realtime.dynamo_connections import DynamoConnections
from realtime.fanout import Fanout
from realtime.management import ManagementApi
from realtime.queue import SqsQueue
from realtime.runtime import Runtime
from realtime.websocket import WebSocket

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def websocket(env: Mapping[str, str] = os.environ) -> WebSocket:
    """The server's side of the conversation."""
    client = dynamodb()
    runtime, (connections, gateway, fan_out) = Runtime.from_env(env, client), _parts(env, client)
    core = (runtime.features, runtime.log, runtime.publisher, runtime.verifier)
    return WebSocket(*core, connections, gateway, fan_out, directions=runtime.directions)


def fanout(env: Mapping[str, str] = os.environ) -> Fanout:
    """The fan-out alone."""
    return _parts(env, dynamodb())[2]


def _parts(env: Mapping[str, str], client: "DynamoDBClient") -> tuple[Connections, ManagementApi, Fanout]:
    connections = Connections(DynamoConnections(client, env["CONNECTIONS_TABLE"]))
    gateway = ManagementApi(env["WEBSOCKET_ENDPOINT"], per_second=float(env["POSTS_PER_SECOND"]))
    return connections, gateway, Fanout(connections, gateway, SqsQueue(env["FANOUT_QUEUE_URL"]))
