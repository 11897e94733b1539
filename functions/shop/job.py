"""The figures job, as any backend job of yours might be: with the library, straight to the log."""

import random
import time

from functions.shop.day import Publication, publications
from realtime.errors import Code, RealtimeError
from realtime.policy import Principal
from realtime.runtime import Runtime

ATTEMPTS = 3
AGAIN = (Code.UNAVAILABLE, Code.TOO_MANY_REQUESTS, Code.INTERNAL)
JOB = Principal("orders-job", float("inf"), {"role": "service"})


def publish(runtime: Runtime, step: int, run: str) -> None:
    """Publish what happens at a step to those topics that there are. The same step of the same run, repeated, adds nothing.

    One topic's refusal does not keep the others from being published; it is raised at the end.
    """
    refusals = list[RealtimeError]()
    for number, publication in enumerate(publications(step)):
        feature = runtime.features.get(publication.topic)
        if feature and not feature.rooms:
            try:
                _publish(runtime, publication, f"{run}-{step}-{number}")
            except RealtimeError as refusal:
                refusals.append(refusal)
    if refusals:
        raise refusals[0]


def _publish(runtime: Runtime, publication: Publication, key: str) -> None:
    """Where waiting may help, again with the same key, three times in all; then it is for the caller to go on or to fail."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            topic = runtime.publisher.authorize(publication.topic, JOB)
            runtime.publisher.publish(topic, JOB, publication.type, publication.data, key=key)
        except RealtimeError as refusal:
            if attempt == ATTEMPTS or refusal.code not in AGAIN:
                raise
            time.sleep(random.uniform(0, 2**attempt))  # noqa: S311 - jitter
        else:
            return
