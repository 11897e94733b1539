"""A rate that is kept in any second: a token bucket."""


class Bucket:
    """Admits at most `per_second` in any second, or one: 97 % of it evenly, 2 % as a burst; 1 % is for what bunches up on its way."""

    def __init__(self, per_second: float) -> None:
        self._refill = 0.97 * per_second
        self._burst = max(1.0, 0.02 * per_second)
        self._tokens = self._burst
        self._filled = 0.0

    def ready(self, now: float) -> bool:
        """Whether one more is admitted; `now` is in seconds and never goes back."""
        self._tokens = min(self._burst, self._tokens + (now - self._filled) * self._refill)
        self._filled = now
        return self._tokens >= 1.0

    def take(self) -> None:
        """Count one that was admitted."""
        self._tokens -= 1.0
