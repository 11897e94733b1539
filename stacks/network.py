"""Where the SSE service and its cache live: a VPC that needs no NAT gateway (which would cost more than the service)."""

from typing import Any

from aws_cdk import CfnOutput, Stack
from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from stacks.parts.nag import accept

CIDR = "10.0.0.0/16"
"""Only ever seen inside the VPC: nothing is peered with it."""

CACHE_PORT = 6379


class NetworkStack(Stack):
    """Public subnets for tasks, isolated ones for the load balancer, the cache and its relay; the group of the cache's clients."""

    def __init__(self, scope: Construct, id: str, **stack: Any) -> None:
        super().__init__(scope, id, **stack)
        self.bus_parameter = f"/realtime/{self.stack_name}/bus"
        """Name of the SSM parameter that says which bus hubs use; it exists while PubSubStack does."""
        self.vpc = self._vpc()
        self._clients = ec2.SecurityGroup(
            self, "CacheClients", vpc=self.vpc, description="Who may use the cache: admits nothing itself", allow_all_outbound=False
        )
        self._clients.add_egress_rule(ec2.Peer.ipv4(CIDR), ec2.Port.tcp(CACHE_PORT), "The cache")
        self._share()

    def cache_clients(self, scope: Construct) -> ec2.ISecurityGroup:
        """The group, for another stack, which adds no rule to it: a rule here for a group there would be a cycle."""
        return ec2.SecurityGroup.from_security_group_id(scope, "CacheClients", self._clients.security_group_id, mutable=False)

    def _vpc(self) -> ec2.Vpc:
        vpc = ec2.Vpc(
            self,
            "Vpc",
            ip_addresses=ec2.IpAddresses.cidr(CIDR),
            max_azs=2,
            nat_gateways=0,
            subnet_configuration=[
                ec2.SubnetConfiguration(name="Public", subnet_type=ec2.SubnetType.PUBLIC, map_public_ip_on_launch=False),
                ec2.SubnetConfiguration(name="Isolated", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED),
            ],
            restrict_default_security_group=False,  # it takes a custom resource; nothing is ever in the default group
        )
        vpc.add_gateway_endpoint("DynamoDb", service=ec2.GatewayVpcEndpointAwsService.DYNAMODB)  # free, and the log's shortest way
        accept(vpc, "VPC7", "the load balancer alone can be reached, and logs every request; flow logs are billed by volume")
        return vpc

    def _share(self) -> None:
        """Export whatever other stacks may use, used or not: taking a feature off a pattern then never meets an export in use."""
        subnets = [*self.vpc.public_subnets, *self.vpc.isolated_subnets]
        for value in (self.vpc.vpc_id, self._clients.security_group_id, *[subnet.subnet_id for subnet in subnets]):
            self.export_value(value)
        CfnOutput(self, "VpcId", value=self.vpc.vpc_id, description="VPC of the SSE service and its cache")
        CfnOutput(self, "BusParameter", value=self.bus_parameter, description="SSM parameter that names the hubs' bus; none: the log")
