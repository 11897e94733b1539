"""Records of the log's stream, as Lambda hands them over -> events. Without boto3, since consumers make no call for it."""

from collections.abc import Mapping
from typing import Any

from realtime.event import Event


def events_of(record: Mapping[str, Any]) -> tuple[Event, ...]:
    """The events of the append that this record put into the log; `ValueError` where it holds none."""
    try:
        item = record["dynamodb"]["NewImage"]
        topic, epoch, first, at = item["topic"]["S"], item["epoch"]["S"], int(item["first"]["N"]), int(item["at"]["N"])
        events = tuple(
            Event(topic, epoch, seq, event["M"]["type"]["S"], event["M"]["data"]["S"], at)
            for seq, event in enumerate(item["events"]["L"], first)
        )
    except (LookupError, TypeError) as wrong:
        raise ValueError(f"a record without an append: {wrong!r}") from wrong
    if not events:
        raise ValueError("a record of an append without events")
    return events
