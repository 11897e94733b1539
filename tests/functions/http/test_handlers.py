"""The Lambda handlers over moto: they translate HTTP API events, and no more."""

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from realtime.tokens import issue
from tests.helpers import SECRET
from tests.lambda_runtime import http_event

ROOT = Path(__file__).parents[3]
FIGURES = {"type": "figures", "data": {"at": "1997-01-05", "orders": 1, "cds": 2, "revenue": 3.5}}

Handler = Callable[[dict[str, Any], object], dict[str, Any]]


@pytest.fixture
def handlers(aws: None) -> tuple[Handler, Handler]:
    """Front door and reads, imported anew with the environment of the stacks."""
    modules = [importlib.import_module(f"functions.http.{name}") for name in ("front_door", "reads")]
    front_door, reads = (importlib.reload(module).handler for module in modules)
    return front_door, reads


def post(handler: Handler, path: str, body: object, **claims: object) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {issue(SECRET, 'job', 60, **claims)}"}  # type: ignore[arg-type]
    return handler(http_event("POST", path, headers=headers, body=json.dumps(body)), None)


def test_event_is_published_and_read(handlers: tuple[Handler, Handler]) -> None:
    """Through both functions: 201, 200, and 304 for the one who has it."""
    front_door, reads = handlers
    assert post(front_door, "/topics/metrics/events", FIGURES, role="service")["statusCode"] == 201
    answer = reads(http_event("GET", "/topics/metrics"), None)
    assert json.loads(answer["body"])["data"] == FIGURES["data"]
    known = {"If-None-Match": answer["headers"]["etag"]}
    assert reads(http_event("GET", "/topics/metrics", headers=known), None)["statusCode"] == 304


def test_each_function_serves_its_part_only(handlers: tuple[Handler, Handler]) -> None:
    """The function that may only read has no route that writes, and the other none that reads."""
    front_door, reads = handlers
    assert post(reads, "/topics/metrics/events", FIGURES, role="service")["statusCode"] == 405
    assert front_door(http_event("GET", "/topics/metrics"), None)["statusCode"] == 404


def test_base64_body_is_understood(handlers: tuple[Handler, Handler]) -> None:
    """API Gateway encodes a body whose content type it takes for binary."""
    import base64

    headers = {"Authorization": f"Bearer {issue(SECRET, 'job', 60, role='service')}"}
    event = http_event("POST", "/topics/metrics/events", headers=headers, body=base64.b64encode(json.dumps(FIGURES).encode()).decode())
    assert handlers[0](event | {"isBase64Encoded": True}, None)["statusCode"] == 201


def test_cookies_and_problems_are_passed_on(handlers: tuple[Handler, Handler]) -> None:
    """Set-Cookie in the field of its own, problems with their type."""
    assert post(handlers[0], "/sessions", None)["cookies"][0].startswith("__Host-realtime=")
    refused = post(handlers[0], "/topics/metrics/events", FIGURES)
    assert (refused["statusCode"], refused["headers"]["content-type"]) == (403, "application/problem+json")
