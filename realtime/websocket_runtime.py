"""The WebSocket pattern's parts, put together from the environment of a function."""

import os
from collections.abc import Mapping

from realtime.aws import dynamodb
from realtime.connections import Connections
from realtime.dynamo_connections import DynamoConnections
from realtime.fanout import Fanout
from realtime.management import ManagementApi
from realtime.queue import SqsQueue
from realtime.runtime import Runtime
from realtime.websocket import WebSocket


def websocket(runtime: Runtime, env: Mapping[str, str] = os.environ) -> WebSocket:
    """The server's side of the conversation, over the core."""
    connections, gateway, fan_out = _parts(env)
    return WebSocket(runtime.features, runtime.log, runtime.publisher, runtime.verifier, connections, gateway, fan_out)


def fanout(env: Mapping[str, str] = os.environ) -> Fanout:
    """The fan-out alone."""
    return _parts(env)[2]


def _parts(env: Mapping[str, str]) -> tuple[Connections, ManagementApi, Fanout]:
    connections = Connections(DynamoConnections(dynamodb(), env["CONNECTIONS_TABLE"]))
    gateway = ManagementApi(env["WEBSOCKET_ENDPOINT"], per_second=float(env["POSTS_PER_SECOND"]))
    return connections, gateway, Fanout(connections, gateway, SqsQueue(env["FANOUT_QUEUE_URL"]))
