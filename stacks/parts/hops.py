"""How long the hops between a client and our code bear silence, against the heartbeats of a stream."""

from aws_cdk import Duration

from realtime.hub import HEARTBEAT_SECONDS
from stacks.config import ConfigError

IDLE_SECONDS = {
    "regional": ("the regional REST API's idle limit", 300),
    "function-url": ("CloudFront's read time-out", 60),
}
"""The hop that waits least on each way to a streaming function. API Gateway's are fixed; CloudFront's is set, up to 120 s.

Lambda itself waits for as long as the function may run.
"""


def idle_limit(endpoint: str) -> Duration:
    """How long that way bears silence."""
    return above_heartbeat(*IDLE_SECONDS[endpoint])


def above_heartbeat(name: str, seconds: int) -> Duration:
    """That many seconds; `ConfigError` where an idle stream would be cut although one heartbeat came late."""
    if seconds <= 2 * HEARTBEAT_SECONDS:
        raise ConfigError(f"{name} is {seconds} s: streams are silent for {HEARTBEAT_SECONDS} s, and twice that if a heartbeat is late")
    return Duration.seconds(seconds)
