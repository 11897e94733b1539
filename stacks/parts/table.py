"""A DynamoDB table with what every one of ours has: text keys, on-demand capacity, TTL on `expires`, recovery to any second."""

from aws_cdk import RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb
from constructs import Construct


class Table(dynamodb.TableV2):
    """`partition` and `sort` are the names of its keys."""

    def __init__(
        self, scope: Construct, id: str, *, partition: str, sort: str | None = None, stream: dynamodb.StreamViewType | None = None
    ) -> None:
        text = dynamodb.AttributeType.STRING
        super().__init__(
            scope,
            id,
            partition_key=dynamodb.Attribute(name=partition, type=text),
            sort_key=dynamodb.Attribute(name=sort, type=text) if sort else None,
            time_to_live_attribute="expires",
            dynamo_stream=stream,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(point_in_time_recovery_enabled=True),
            removal_policy=RemovalPolicy.DESTROY,  # DynamoDB keeps a backup of the deleted table for 35 days, since recovery is on
        )
