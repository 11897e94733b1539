"""What an authorizer's answer means.

"Output from an API Gateway Lambda authorizer",
docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-output.html, and for the context
"API Gateway WebSocket API mapping template reference", .../apigateway-websocket-api-mapping-template-reference.html.
"""

import json
import re
from typing import Any

from .limits import AUTHORIZER_RESULT_BYTES

ACTION = "execute-api:Invoke"


class Malformed(ValueError):
    """AWS answers the client with 500."""


def decide(answer: object, method_arn: str) -> dict[str, str] | None:
    """`requestContext.authorizer` of the connection: the principal and the context as text. None: denied."""
    if not isinstance(answer, dict) or not isinstance(answer.get("principalId"), str):
        raise Malformed("the answer is an object with a principalId")
    if len(json.dumps(answer, ensure_ascii=False).encode()) > AUTHORIZER_RESULT_BYTES:
        raise Malformed(f"the answer has more than {AUTHORIZER_RESULT_BYTES} bytes")
    context = {key: _text(key, value) for key, value in _object(answer.get("context") or {}).items()}
    statements = _list(_object(answer.get("policyDocument")).get("Statement"))
    effects = {_effect(statement, method_arn) for statement in statements}
    if "Deny" in effects or "Allow" not in effects:
        return None
    return {**context, "principalId": answer["principalId"]}


def _text(key: str, value: object) -> str:
    """The stringified value: "value", "1", "true"."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    raise Malformed(f"context.{key} is neither a string nor a number nor a boolean")


def _effect(statement: object, arn: str) -> str | None:
    """Allow, Deny, or None where the statement is about something else."""
    parts = _object(statement)
    unknown = parts.keys() - {"Sid", "Effect", "Action", "Resource"}
    if unknown:
        raise NotImplementedError(f"this double does not evaluate {', '.join(sorted(unknown))}")
    if parts.get("Effect") not in {"Allow", "Deny"}:
        raise Malformed("Effect is Allow or Deny")
    acts = [_matches(pattern, ACTION, re.IGNORECASE) for pattern in _list(parts.get("Action"))]
    meets = [_matches(pattern, arn) for pattern in _list(parts.get("Resource"))]
    return str(parts["Effect"]) if any(acts) and any(meets) else None


def _matches(pattern: object, text: str, flags: int = 0) -> bool:
    """IAM's wildcards: * and ?."""
    if not isinstance(pattern, str):
        raise Malformed("Action and Resource are strings")
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), text, flags) is not None


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Malformed("policyDocument, its statements and context are objects")
    return value


def _list(value: object) -> list[Any]:
    if value is None:
        raise Malformed("Statement, Action and Resource must not be left out")
    return value if isinstance(value, list) else [value]
