"""Figures job: EventBridge, every minute -> what the shop has to tell -> event log."""

from datetime import datetime
from typing import Any

from functions.shop.job import publish
from realtime.runtime import Runtime

RUN = "minute"
runtime = Runtime.from_env()


def handler(event: dict[str, Any], _context: object) -> None:
    """The step is the minute that the event is of: EventBridge may deliver it twice, which adds nothing."""
    minute = datetime.fromisoformat(event["time"])
    publish(runtime, int(minute.timestamp()) // 60, RUN)
