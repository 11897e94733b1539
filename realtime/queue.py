"""The fan-out queue in SQS: what one invocation leaves over, or splits up, others do."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from realtime.aws import call, client
from realtime.errors import Code, RealtimeError
from realtime.fanout import Push

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

BATCH_MESSAGES = 10
BATCH_BYTES = 1_000_000
"""SQS takes 10 messages and 1 MiB at once (developer guide, "Amazon SQS message quotas")."""

TRIES = 2


class SqsQueue:
    """Sends pushes, ten a call: 0.40 USD per million of them and as much for their receipt."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client: SQSClient | None = None

    def send(self, pushes: Sequence[Push]) -> None:
        """Hand them over; `unavailable` where SQS does not take them all."""
        self._client = self._client or client("sqs")
        for entries in _batches([push.encode() for push in pushes]):
            left = entries
            for _ in range(TRIES):
                failed = {f["Id"] for f in call(self._client.send_message_batch, QueueUrl=self._url, Entries=left).get("Failed", [])}
                left = [entry for entry in left if entry["Id"] in failed]
                if not left:
                    break
            if left:
                raise RealtimeError(Code.UNAVAILABLE, "the fan-out queue does not take the event just now", retry_after=1)


def _batches(bodies: Sequence[str]) -> Iterator[list["SendMessageBatchRequestEntryTypeDef"]]:
    batch, size = list["SendMessageBatchRequestEntryTypeDef"](), 0
    for number, body in enumerate(bodies):
        weight = len(body.encode())
        if batch and (len(batch) == BATCH_MESSAGES or size + weight > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append({"Id": str(number), "MessageBody": body})
        size += weight
    if batch:
        yield batch
