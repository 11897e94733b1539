"""Relay: the log's stream -> Valkey -> every hub. It makes no AWS call at all, so its network needs no way out."""

import logging
import os
from typing import Any

from realtime.errors import RealtimeError
from realtime.publish_valkey import ValkeyPublisher
from realtime.stream_records import events_of

publisher = ValkeyPublisher(os.environ["VALKEY_URL"])
logger = logging.getLogger("realtime.relay")


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Publish record by record. Lambda tries again from the one that failed; one that nobody can read is left out."""
    for record in event["Records"]:
        try:
            publisher.publish(events_of(record))
        except ValueError as wrong:
            logger.error("a record was left out: %s", wrong)  # noqa: TRY400 - where it happened says nothing
        except RealtimeError as error:
            logger.warning("%s: %s", error.code.wire, error.detail)
            return {"batchItemFailures": [{"itemIdentifier": record["dynamodb"]["SequenceNumber"]}]}
    return {"batchItemFailures": []}
