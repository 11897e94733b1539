"""The figures job, as any backend job of yours might be: with the library, straight to the log."""

import random
import time

from functions.shop.day import Publication, publications
from realtime.errors import RealtimeError
from realtime.policy import Principal
from realtime.runtime import Runtime

ATTEMPTS = 3
JOB = Principal("orders-job", float("inf"), {"role": "service"})


def publish(runtime: Runtime, step: int, run: str) -> None:
    """Publish what happens at a step to those topics that there are. The same step of the same run, repeated, adds nothing."""
    for number, publication in enumerate(publications(step)):
        feature = runtime.features.get(publication.topic)
        if feature and not feature.rooms:
            _publish(runtime, publication, f"{run}-{step}-{number}")


def _publish(runtime: Runtime, publication: Publication, key: str) -> None:
    """Where the log does not answer, again with the same key, three times in all; then it is for the caller to go on or to fail."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            topic = runtime.publisher.authorize(publication.topic, JOB)
            runtime.publisher.publish(topic, JOB, publication.type, publication.data, key=key)
        except RealtimeError:
            if attempt == ATTEMPTS:
                raise
            time.sleep(random.uniform(0, 2**attempt))  # noqa: S311 - jitter
        else:
            return
