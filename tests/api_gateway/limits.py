"""What AWS documents as the limits of a WebSocket API. Each says where; KB is 1,024 bytes.

[quotas] is "Quotas for configuring and running a WebSocket in API Gateway",
docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html;
[account] is "Amazon API Gateway quotas", docs.aws.amazon.com/apigateway/latest/developerguide/limits.html.
"""

from typing import NamedTuple


class Rate(NamedTuple):
    """A token bucket's size, and how fast it fills."""

    per_second: float
    burst: float


CONNECTION_RATE = Rate(500, 500)
"""[quotas]: 500 new connections per second per account and Region. The page names no burst: as much again is taken."""

ACCOUNT_RATE = Rate(10_000, 5_000)
"""[account]: 10,000 requests per second, bucket 5,000, for connections, messages and @connections calls together.

Some Regions have 2,500 and 1,250.
"""

FRAME_BYTES = 32 * 1024
"""[quotas]: WebSocket frame size 32 KB; "if a larger frame size is received, the connection is closed with code 1009"."""

MESSAGE_BYTES = 128 * 1024
"""[quotas]: message payload size 128 KB, also of @connections; a larger one from the client closes with 1009."""

IDLE_SECONDS = 10 * 60
"""[quotas]: idle connection timeout, 10 minutes."""

LIFETIME_SECONDS = 2 * 3600
"""[quotas]: connection duration, 2 hours."""

INTEGRATION_SECONDS = 29
"""[quotas]: integration timeout, at most 29 seconds. Taken for the authorizer too, for which the page names none."""

AUTHORIZER_RESULT_BYTES = 8 * 1024
"""[quotas]: AWS Lambda authorizer result size, 8 KB."""

URL_CHARACTERS = 4096
"""[quotas]: length, in characters, of the URL for a WebSocket API."""
