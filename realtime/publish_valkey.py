"""Publishing over Valkey: events that are in the log -> PUBLISH events:<topic> -> every hub that follows the topic."""

from collections.abc import Sequence

from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from realtime.bus import CHANNEL, messages
from realtime.errors import Code, RealtimeError
from realtime.event import Event

SECONDS = 1.0
"""For connecting, and for an answer."""


class ValkeyPublisher:
    """For any number of threads. It connects with the first event, and tries once: hubs find what is lost by themselves."""

    def __init__(self, url: str) -> None:
        self._client = Redis.from_url(
            url,
            protocol=2,
            driver_info=None,
            socket_connect_timeout=SECONDS,
            socket_timeout=SECONDS,
            retry=Retry(NoBackoff(), 0),
        )

    def publish(self, events: Sequence[Event]) -> None:
        """Tell every hub of the events of one append; `unavailable` where Valkey does not take them."""
        try:
            for message in messages(events):
                self._client.publish(CHANNEL + events[0].topic, message)
        except RedisError as error:
            raise RealtimeError(Code.UNAVAILABLE, f"Valkey did not take the events: {type(error).__name__}", retry_after=1) from error

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()
