"""Tables of connections, their streams, and who may read them."""

import re
from collections.abc import Iterator

from guardrails.finding import Finding
from guardrails.iam import may, may_push
from guardrails.template import Resource, Template
from guardrails.values import objects

KAFKA_AND_DOCUMENTS = ("Topics", "DocumentDBEventSourceConfig")
_CONNECTION_ID = re.compile(r"connection[-_]?id", re.IGNORECASE)


def endless_retries(template: Template) -> Iterator[Finding]:
    """MaximumRetryAttempts and MaximumRecordAgeInSeconds are -1 by default, which is infinite (Lambda API reference).

    DynamoDB keeps a record for 24 hours, Kinesis for up to a year.
    """
    for mapping in template.of_type("AWS::Lambda::EventSourceMapping"):
        bounds = [mapping.get(key, default=-1) for key in ("MaximumRetryAttempts", "MaximumRecordAgeInSeconds")]
        if _reads_stream(mapping) and all(template.number(bound) == -1 for bound in bounds):
            yield template.finding(
                "endless-retries",
                mapping,
                "MaximumRetryAttempts",
                "one record that fails is tried again until it expires, and its shard waits behind it, for a day and longer",
                "set MaximumRetryAttempts or MaximumRecordAgeInSeconds, with BisectBatchOnFunctionError and a destination for failures",
            )


def scan_fan_out(template: Template) -> Iterator[Finding]:
    """A Scan reads, and bills, the whole table, 1 MB a page (DynamoDB developer guide): fan-out by it grows with all connections."""
    for role in template.of_type("AWS::IAM::Role"):
        if may_push(template, role) and may(template, role, "dynamodb:Scan"):
            yield template.finding(
                "scan-fan-out",
                role,
                "Policies",
                "what pushes to connections may find them by Scan, which reads and bills the whole table for every message",
                "key the table by topic, and allow dynamodb:Query instead of dynamodb:Scan (which grant_read_data and DynamoDBCrudPolicy "
                "contain)",
            )


def connections_without_ttl(template: Template) -> Iterator[Finding]:
    """$disconnect is best effort (API Gateway developer guide); a connection lasts at most 2 hours.

    Recognized by a key named like connectionId. Whether the attribute is written, and in seconds rather than in the milliseconds of
    `requestTimeEpoch`, is not in a template.
    """
    for table in template.of_type("AWS::DynamoDB::Table", "AWS::DynamoDB::GlobalTable"):
        keys = " ".join(str(key.get("AttributeName")) for key in objects(table.get("KeySchema")))
        if _CONNECTION_ID.search(keys) and table.get("TimeToLiveSpecification", "Enabled") not in (True, "true"):
            yield template.finding(
                "connections-without-ttl",
                table,
                "TimeToLiveSpecification",
                "$disconnect often never comes, so rows of dead connections stay for ever and every broadcast posts to them",
                "set TimeToLiveSpecification, and write 2 h 10 min after $connect into its attribute, in seconds",
            )


def _reads_stream(mapping: Resource) -> bool:
    """Only streams have a starting position: those of DynamoDB and Kinesis, of Kafka and of DocumentDB."""
    return mapping.get("StartingPosition") is not None and not any(mapping.get(key) for key in KAFKA_AND_DOCUMENTS)
