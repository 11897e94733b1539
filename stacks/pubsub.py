"""Many hubs, one stream of events: log's stream -> relay -> Valkey -> hubs. The parameter that it writes switches their bus."""

from typing import Any, cast

from aws_cdk import CfnOutput, Duration, RemovalPolicy, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticache as elasticache
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from stacks.core import CoreStack
from stacks.network import CACHE_PORT, NetworkStack
from stacks.parts.function import Function
from stacks.parts.heads import new_heads
from stacks.parts.nag import accept

ENGINE, MAJOR_VERSION = "valkey", "8"
NODE_TYPE = "cache.t4g.micro"
NODE_FAMILY = "default.valkey8.cluster.on"
"""Cluster mode, as serverless always has it: a message reaches every node, whichever of them it was sent to."""

MAX_ECPU_PER_SECOND = 10_000
MAX_GIGABYTES = 1
"""Bounds on the bill, since serverless grows by itself: a message takes one ECPU per KB and node; nothing is stored."""

ASSET = "relay"
RELAY_SECONDS = 15
RETRIES = 3
MAX_AGE = Duration.minutes(5)
"""A message that late is of no use: hubs compare their cursors with the heads every 5 s."""

_ENI_POLICY = "service-role/AWSLambdaENIManagementAccess"


class PubSubStack(Stack):
    """Owns the cache. While it is deployed hubs use it; when it goes, they go back to the log."""

    def __init__(self, scope: Construct, id: str, *, core: CoreStack, network: NetworkStack, **stack: Any) -> None:
        super().__init__(scope, id, **stack)
        self._core, self._network = core, network
        self._clients = network.cache_clients(self)
        self._subnets = [subnet.subnet_id for subnet in network.vpc.isolated_subnets]
        self._group = self._cache_group()
        address = self._node_based() if core.config.cache == "node" else self._serverless()
        url = f"rediss://{address}:{CACHE_PORT}"
        relay = self._relay(url)
        self._listen(relay)
        bus = ssm.StringParameter(self, "Bus", parameter_name=network.bus_parameter, string_value=url, description="The hubs' bus")
        bus.node.add_dependency(relay)  # hubs change over when somebody publishes there, and back before nobody does
        CfnOutput(self, "CacheUrl", value=url, description="Valkey, from within the VPC's group of clients")

    def _cache_group(self) -> ec2.SecurityGroup:
        group = ec2.SecurityGroup(self, "Cache", vpc=self._network.vpc, description="The cache", allow_all_outbound=False)
        group.add_ingress_rule(self._clients, ec2.Port.tcp(CACHE_PORT), "Clients of the cache")
        return group

    def _serverless(self) -> str:
        cache = elasticache.CfnServerlessCache(
            self,
            "Serverless",
            engine=ENGINE,
            major_engine_version=MAJOR_VERSION,
            serverless_cache_name=f"{self.stack_name}-bus".lower(),
            description="Pub/sub between relay and hubs: nothing is stored",
            security_group_ids=[self._group.security_group_id],
            subnet_ids=self._subnets,
            cache_usage_limits=elasticache.CfnServerlessCache.CacheUsageLimitsProperty(
                data_storage=elasticache.CfnServerlessCache.DataStorageProperty(unit="GB", maximum=MAX_GIGABYTES),
                ecpu_per_second=elasticache.CfnServerlessCache.ECPUPerSecondProperty(maximum=MAX_ECPU_PER_SECOND),
            ),
        )
        return cache.attr_endpoint_address

    def _node_based(self) -> str:
        subnets = elasticache.CfnSubnetGroup(self, "Subnets", description="Isolated subnets", subnet_ids=self._subnets)
        group = elasticache.CfnReplicationGroup(
            self,
            "Nodes",
            replication_group_description="Pub/sub between relay and hubs: nothing is stored",
            engine=ENGINE,
            engine_version=f"{MAJOR_VERSION}.0",
            cache_node_type=NODE_TYPE,
            cache_parameter_group_name=NODE_FAMILY,
            num_node_groups=1,
            replicas_per_node_group=1,
            automatic_failover_enabled=True,
            multi_az_enabled=True,
            at_rest_encryption_enabled=True,
            transit_encryption_enabled=True,
            cache_subnet_group_name=subnets.ref,
            security_group_ids=[self._group.security_group_id],
        )
        accept(group, "AEC5", "another port hides nothing: the security group admits the clients' group alone")
        accept(group, "AEC6", "no password, as in serverless: TLS, and a security group that admits the clients' group alone")
        return group.attr_configuration_end_point_address

    def _relay(self, url: str) -> Function:
        """It makes no AWS call at all, so it needs neither NAT nor endpoints."""
        vpc = self._network.vpc
        function = Function(
            self,
            "Relay",
            config=self._core.config,
            asset=ASSET,
            handler="functions.relay.handler.handler",
            description="Publishes what is appended to the log",
            environment={"VALKEY_URL": url},
            timeout=Duration.seconds(RELAY_SECONDS),
            vpc=vpc,
            vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED),
            security_groups=[self._clients],
        )
        role = cast("iam.Role", function.role)
        role.add_managed_policy(iam.ManagedPolicy.from_aws_managed_policy_name(_ENI_POLICY))
        accept(role, f"IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/{_ENI_POLICY}]", "Lambda's own, to put a function into a VPC")
        return function

    def _listen(self, relay: Function) -> None:
        """Retries of a stream are endless by default: one bad record would block its shard for a day."""
        letters = sqs.Queue(
            self,
            "DeadLetters",
            enforce_ssl=True,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            retention_period=Duration.days(14),
            removal_policy=RemovalPolicy.DESTROY,
        )
        accept(letters, "SQS3", "it is the dead-letter queue")
        relay.add_event_source(
            sources.DynamoEventSource(
                self._core.log,
                starting_position=lambda_.StartingPosition.LATEST,
                filters=[lambda_.FilterCriteria.filter(new_heads(self._core.config.served("PubSubStack")))],
                batch_size=100,
                bisect_batch_on_error=True,
                report_batch_item_failures=True,
                retry_attempts=RETRIES,
                max_record_age=MAX_AGE,
                on_failure=sources.SqsDlq(letters),
            )
        )
