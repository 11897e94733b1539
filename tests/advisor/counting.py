"""Counts what a deployment asks of AWS: functions and hubs -> this proxy -> MiniStack; each call is added up as AWS would bill it.

Writes are what MiniStack says. Reads are computed here, by the rules of DynamoDB, from the items of the answers: MiniStack says
half a unit (one if consistent) whatever their size, and nothing of a BatchGetItem.
"""

import json
import math
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DYNAMODB = "DynamoDB_20120810."
READ_BYTES = 4096
FRAME_BYTES = 32 * 1024

Item = dict[str, Any]


class Proxy(ThreadingHTTPServer):
    """Listens on a port of its own. `counted`: quantities by billed item, and `posts` to connections, in frames of 32 KB.

    `looking`: seconds that looks at the heads of topics took, all of them together.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, upstream: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = upstream
        self.counted = defaultdict[str, float](float)
        self.looking = 0.0
        self._lock = threading.Lock()

    def add(self, item: str, quantity: float) -> None:
        with self._lock:
            self.counted[item] += quantity


class _Handler(BaseHTTPRequestHandler):
    """One client's connection, kept alive; each request gets a new one to MiniStack."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Proxy

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        target = self.headers.get("X-Amz-Target", "")
        asked = json.loads(body) | {"ReturnConsumedCapacity": "TOTAL"} if target.startswith(DYNAMODB) else None
        began = time.monotonic()
        status, headers, answer = self._answer(json.dumps(asked).encode() if asked else body)
        if asked:
            self.server.add(*capacity(target.removeprefix(DYNAMODB), asked, json.loads(answer)))
            self.server.looking += time.monotonic() - began if target.endswith("BatchGetItem") else 0.0
        elif "/@connections/" in self.path:
            self.server.add("posts", math.ceil(len(body) / FRAME_BYTES))
        elif self.path.startswith("/_aws/execute-api/"):
            self.server.add("http-api-requests", 1)
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_PUT = do_DELETE = _pass_on  # noqa: N815 - as http.server calls them

    def _answer(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = HTTPConnection("127.0.0.1", self.server.upstream, timeout=60)
        try:
            connection.request(self.command, self.path, body or None, dict(_kept(self.headers.items())))
            response = connection.getresponse()
            return response.status, _kept(response.getheaders()), response.read()
        finally:
            connection.close()

    def log_message(self, *_: object) -> None:
        """Nothing."""


def capacity(operation: str, asked: Item, answer: Item) -> tuple[str, float]:
    """The billed item of a call of DynamoDB, and the units."""
    match operation:
        case "GetItem":
            return "dynamodb-reads", _read([answer.get("Item", {})], asked)
        case "Query":
            return "dynamodb-reads", _read(answer.get("Items", []), asked)
        case "BatchGetItem":
            return "dynamodb-reads", sum(_batch(table, answer["Responses"].get(name, [])) for name, table in asked["RequestItems"].items())
        case _:
            return "dynamodb-writes", _written(answer)


def _written(answer: Item) -> float:
    """A write whose condition failed is billed too: a unit, since the items of our conditions have at most 1 KB."""
    if "ConditionalCheckFailed" in answer.get("__type", ""):
        return 1.0
    consumed = answer.get("ConsumedCapacity", [])  # a batch has a list: one entry per table
    return sum(float(table["CapacityUnits"]) for table in (consumed if isinstance(consumed, list) else [consumed]))


def _batch(table: Item, found: Sequence[Item]) -> float:
    """Each item by itself, and the least for each that is not there."""
    missing: list[Item] = [{}] * (len(table["Keys"]) - len(found))
    return sum(_read([item], table) for item in [*found, *missing])


def _read(items: Sequence[Item], asked: Item) -> float:
    """A unit for each 4 KB of all that was found, half of it where the read need not be consistent."""
    size = sum(map(item_bytes, items))
    return max(1, math.ceil(size / READ_BYTES)) * (1.0 if asked.get("ConsistentRead") else 0.5)


def item_bytes(item: Item) -> int:
    """The size of an item as DynamoDB has it: names and values of its attributes."""
    return sum(len(name.encode()) + _value_bytes(value) for name, value in item.items())


def _value_bytes(value: Item) -> int:
    match value:
        case {"S": text}:
            return len(text.encode())
        case {"N": number}:
            return len(number) // 2 + 1
        case {"L": values}:
            return 3 + sum(1 + _value_bytes(each) for each in values)
        case {"M": fields}:
            return 3 + len(fields) + item_bytes(fields)
        case {"SS": texts}:
            return sum(len(text.encode()) for text in texts)
        case _:
            return 1  # BOOL, NULL


def _kept(headers: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Without those of one connection, or that are set anew."""
    return [(name, value) for name, value in headers if name.lower() not in ("connection", "content-length", "transfer-encoding")]


@contextmanager
def counting(port: int) -> Iterator[Proxy]:
    """A proxy before the endpoint on that port."""
    with Proxy(port) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
