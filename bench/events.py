"""Requests as API Gateway hands them to a function: HTTP API, payload format 2.0."""

from typing import Any


def get(path: str, query: str = "", **headers: str) -> dict[str, Any]:
    """A GET with these headers (underscores become hyphens)."""
    return {
        "version": "2.0",
        "routeKey": "GET /topics/{topic+}",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {"host": "bench.execute-api.us-east-1.amazonaws.com", "accept": "*/*"}
        | {name.replace("_", "-"): value for name, value in headers.items()},
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "bench",
            "domainName": "bench.execute-api.us-east-1.amazonaws.com",
            "http": {"method": "GET", "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "bench"},
            "requestId": "bench",
            "routeKey": "GET /topics/{topic+}",
            "stage": "$default",
            "time": "01/Jan/2026:00:00:00 +0000",
            "timeEpoch": 1_767_225_600_000,
        },
        "isBase64Encoded": False,
    }
