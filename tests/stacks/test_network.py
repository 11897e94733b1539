"""NetworkStack: a network that costs nothing while nothing is in it."""

from typing import Any

import pytest

from tests.stacks.conftest import Templates, of_type


@pytest.fixture(scope="module")
def template(templates: Templates) -> dict[str, Any]:
    return templates["NetworkStack"]


def test_no_nat_gateway(template: dict[str, Any]) -> None:
    """Nothing that is billed by the hour: no NAT gateway, no address, no endpoint but DynamoDB's, which is free."""
    assert not of_type(template, "AWS::EC2::NatGateway")
    assert not of_type(template, "AWS::EC2::EIP")
    (endpoint,) = of_type(template, "AWS::EC2::VPCEndpoint")
    assert endpoint["VpcEndpointType"] == "Gateway"


def test_isolated_subnets_have_no_way_out(template: dict[str, Any]) -> None:
    """Only the tables of the public subnets, one in each of two zones, lead to the internet."""
    routes = of_type(template, "AWS::EC2::Route")
    assert len(routes) == 2
    assert all("PublicSubnet" in route["RouteTableId"]["Ref"] for route in routes)
    assert len(of_type(template, "AWS::EC2::Subnet")) == 4


def test_nothing_gets_an_address_by_itself(template: dict[str, Any]) -> None:
    """Whoever wants a public address asks for it."""
    assert not any(subnet["MapPublicIpOnLaunch"] for subnet in of_type(template, "AWS::EC2::Subnet"))


def test_clients_of_the_cache_reach_the_cache_alone(template: dict[str, Any]) -> None:
    """The group admits nobody, and lets out what goes to the cache's port within the VPC."""
    (group,) = of_type(template, "AWS::EC2::SecurityGroup")
    assert "SecurityGroupIngress" not in group
    (rule,) = group["SecurityGroupEgress"]
    assert (rule["CidrIp"], rule["FromPort"], rule["ToPort"]) == ("10.0.0.0/16", 6379, 6379)


def test_stack_is_there_for_streams_only(templates: Templates, private: Templates) -> None:
    """One feature that is served as a stream makes it, `fallback` included, and what needs it."""
    for made in (templates, private):
        assert {"NetworkStack", "SseServiceStack", "PubSubStack"} <= set(made)
