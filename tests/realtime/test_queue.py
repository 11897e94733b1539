"""The fan-out queue over SQS."""

import boto3
import pytest
from moto import mock_aws

from realtime.errors import RealtimeError
from realtime.event import Event
from realtime.fanout import Push
from realtime.queue import SqsQueue

PUSH = Push((Event("chat/lobby", "e1", 7, "any", "1", 5),), 0)


def test_pushes_of_many_shards_are_sent() -> None:
    """Ten a call."""
    with mock_aws():
        client = boto3.client("sqs", region_name="us-east-1")
        url = client.create_queue(QueueName="fanout")["QueueUrl"]
        SqsQueue(url).send([PUSH] * 64)
        count = client.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])["Attributes"]
    assert count == {"ApproximateNumberOfMessages": "64"}


def test_large_pushes_are_sent_in_several_calls() -> None:
    """A batch holds 1 MiB at most."""
    large = Push((Event("chat/lobby", "e1", 7, "any", f'"{"x" * 240_000}"', 5),), 0)
    with mock_aws():
        client = boto3.client("sqs", region_name="us-east-1")
        url = client.create_queue(QueueName="fanout", Attributes={"MaximumMessageSize": "262144"})["QueueUrl"]
        SqsQueue(url).send([large] * 5)
        count = client.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])["Attributes"]
    assert count == {"ApproximateNumberOfMessages": "5"}


def test_queue_that_is_not_there_is_told() -> None:
    """`unavailable`: the publisher gets no ack, and repeats."""
    with mock_aws(), pytest.raises(RealtimeError, match="does not answer"):
        SqsQueue("https://sqs.us-east-1.amazonaws.com/123456789012/none").send([PUSH])
