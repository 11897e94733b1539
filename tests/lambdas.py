"""The streaming function's asset on this machine, as Lambda and the adapter run it, in a process of its own; over a real endpoint."""

import json
import secrets
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from local.deploy import target
from local.places import ROOT
from local.process import Child, free_port, port_is_free, stop
from realtime.dynamo import DynamoStore
from realtime.features import Features
from realtime.log import Log
from realtime.tokens import issue
from stacks.assets import install, stage
from stacks.parts.web_adapter import ENVIRONMENT
from stacks.sse_lambda import ASSET, HANDLER
from tests.endpoint import Endpoint
from tests.helpers import SECRET


@dataclass(frozen=True, slots=True)
class Lambdas:
    """Where the function is; its log; and the port as a list, for readers that choose among hubs."""

    port: int
    features: Features
    log: Log
    rows: str
    endpoint: Endpoint

    @property
    def targets(self) -> list[int]:
        return [self.port]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def appends(self, topic: str) -> int:
        """How many appends a topic has seen: each has left one row."""
        asked = {"TableName": self.rows, "KeyConditionExpression": "topic = :t", "ExpressionAttributeValues": {":t": {"S": topic}}}
        return int(self.endpoint.client("dynamodb").query(Select="COUNT", **asked)["Count"])


@contextmanager
def lambdas(endpoint: Endpoint, folder: Path, features: Features, environment: Mapping[str, str], timeout: float) -> Iterator[Lambdas]:
    """The asset with these features, until the end of the context."""
    name, port = f"lambdas-{secrets.token_hex(4)}", free_port()
    client = endpoint.tables(name)
    arn = endpoint.client("secretsmanager").create_secret(Name=name, SecretString=SECRET)["ARN"]
    tables = {"LOG_TABLE": f"{name}-log", "ACCESS_TABLE": f"{name}-access", "SECRET_ARN": arn, "FEATURES": "features.json", "ORIGINS": ""}
    install(target())
    asset, _ = stage(target(), ASSET, features)
    function = {
        "folder": str(asset),
        "handler": HANDLER,
        "environment": {**ENVIRONMENT, **tables, **environment},
        "timeout": timeout,
        "memory": 512,
    }
    (folder / "function.json").write_text(json.dumps(function))
    where = ["--folder", str(folder), "--endpoint-port", str(endpoint.places.endpoint_port), "--port", str(port)]
    command = [sys.executable, "-m", "local.environments", *where, "--configuration", str(folder / "function.json")]
    child = Child.start("lambdas", command, endpoint.places.environment(), folder / "lambdas.log", ROOT)
    try:
        child.wait_until(lambda: not port_is_free(port))
        yield Lambdas(port, features, Log(DynamoStore(client, tables["LOG_TABLE"])), tables["LOG_TABLE"], endpoint)
    finally:
        stop([child.process])


def bearer(sub: str, **claims: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {issue(SECRET, sub, 3600, **claims)}"}


def stopped(where: Lambdas, id: str, sub: str) -> int:
    return httpx2.delete(f"{where.url}/answers/{id}", headers=bearer(sub), timeout=30).status_code
