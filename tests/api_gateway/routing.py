"""Which route a message takes.

"Create routes for WebSocket APIs in API Gateway",
docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-develop-routes.html: the selection expression names
a property of the JSON body; what is not JSON, or matches no route, goes to $default.
"""

import json
import re
from collections.abc import Container

PREDEFINED = frozenset({"$connect", "$disconnect", "$default"})
"""AWS calls these itself. That a message cannot name them is assumed: it is not documented."""


def property_path(expression: str) -> tuple[str, ...]:
    """`$request.body.action` or `${request.body.action}`: where the route key is in the body."""
    found = re.fullmatch(r"\$\{request\.body\.([\w.]+)\}|\$request\.body\.([\w.]+)", expression)
    if found is None:
        raise ValueError(f"only $request.body.<property> is known here, not {expression}")
    return tuple((found[1] or found[2]).split("."))


def select(body: str, path: tuple[str, ...], routes: Container[str]) -> str | None:
    """The route key; None where there is neither the route nor a $default."""
    key = _value(body, path)
    if isinstance(key, str) and key in routes and key not in PREDEFINED:
        return key
    return "$default" if "$default" in routes else None


def _value(body: str, path: tuple[str, ...]) -> object:
    try:
        value: object = json.loads(body)
    except (ValueError, RecursionError):  # not JSON, or nested a hundred thousand deep
        return None
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value
