"""A token bucket, as "Protect your WebSocket APIs in API Gateway" says that requests are throttled.

docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-protect.html. AWS's is best effort; this one is exact.
"""

from collections.abc import Callable

from .limits import Rate


class TokenBucket:
    """One token a request. Not safe for threads by itself."""

    def __init__(self, rate: Rate, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._clock = clock
        self._tokens = float(rate.burst)
        self._at = clock()

    def take(self) -> bool:
        """Whether there was a token left."""
        now = self._clock()
        self._tokens = min(self._rate.burst, self._tokens + (now - self._at) * self._rate.per_second)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
