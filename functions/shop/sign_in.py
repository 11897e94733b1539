"""Login of the demo page, where it is switched on: HTTP API -> a guest's token."""

import base64
import json
import math
import os
import random
from typing import Any

from functions.shop.guests import Guests
from realtime.aws import StoredSecret
from realtime.errors import RealtimeError

RETRY_JITTER = 0.5
guests = Guests(StoredSecret(os.environ["SECRET_ARN"]))


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """201 and the token, or the problem."""
    body = event.get("body") or ""
    raw = base64.b64decode(body) if event.get("isBase64Encoded") else body.encode()
    try:
        return _answer(201, guests.admit(raw, event["headers"].get("authorization")), "application/json")
    except RealtimeError as error:
        answer = _answer(error.code.value.status, error.problem(), "application/problem+json")
        if error.retry_after is not None:
            spread = 1 + random.uniform(0, RETRY_JITTER)  # noqa: S311 - so that not everybody comes back at once
            answer["headers"]["Retry-After"] = str(math.ceil(error.retry_after * spread))
        return answer


def _answer(status: int, body: dict[str, object], type: str) -> dict[str, Any]:
    return {"statusCode": status, "headers": {"Content-Type": type, "Cache-Control": "no-store"}, "body": json.dumps(body)}
