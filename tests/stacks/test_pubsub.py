"""PubSubStack: a cache that nobody else reaches, a relay that gives up in time, and the parameter that switches the hubs."""

import json
from typing import Any

import pytest

from realtime.dynamo import HEAD
from realtime.features import load
from stacks.needs import served
from stacks.parts.heads import new_heads
from tests.stacks.conftest import ROOT, Templates, actions, of_type


@pytest.fixture(scope="module")
def template(templates: Templates) -> dict[str, Any]:
    return templates["PubSubStack"]


@pytest.fixture(scope="module")
def nodes(certified: Templates) -> dict[str, Any]:
    return certified["PubSubStack"]


def named(template: dict[str, Any], type: str) -> tuple[str, dict[str, Any]]:
    """The one resource of the type, with its logical id."""
    (found,) = [(name, resource) for name, resource in template["Resources"].items() if resource["Type"] == type]
    return found


def test_hubs_are_switched_by_a_parameter_that_both_stacks_name(templates: Templates, template: dict[str, Any]) -> None:
    """Its value is the URL that the relay publishes to, with TLS."""
    (parameter,), (relay,) = of_type(template, "AWS::SSM::Parameter"), of_type(template, "AWS::Lambda::Function")
    (task,) = of_type(templates["SseServiceStack"], "AWS::ECS::TaskDefinition")
    variables = {entry["Name"]: entry["Value"] for entry in task["ContainerDefinitions"][0]["Environment"]}
    assert variables["BUS_PARAMETER"] == parameter["Name"] == templates["NetworkStack"]["Outputs"]["BusParameter"]["Value"]
    assert parameter["Value"] == relay["Environment"]["Variables"]["VALKEY_URL"]
    assert parameter["Value"] == {"Fn::Join": ["", ["rediss://", {"Fn::GetAtt": ["Serverless", "Endpoint.Address"]}, ":6379"]]}


def test_hubs_change_over_when_the_relay_listens(template: dict[str, Any]) -> None:
    """The parameter comes after the relay's event source, and so goes before it: no hub is on a bus that nobody publishes to."""
    source, _ = named(template, "AWS::Lambda::EventSourceMapping")
    _, parameter = named(template, "AWS::SSM::Parameter")
    assert source in parameter["DependsOn"]


def test_relay_gives_up_on_a_poison_record(template: dict[str, Any]) -> None:
    """By default it would block its shard for a day."""
    (source,) = of_type(template, "AWS::Lambda::EventSourceMapping")
    assert source["BisectBatchOnFunctionError"]
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert (source["MaximumRetryAttempts"], source["MaximumRecordAgeInSeconds"]) == (3, 300)
    letters, queue = named(template, "AWS::SQS::Queue")
    assert source["DestinationConfig"] == {"OnFailure": {"Destination": {"Fn::GetAtt": [letters, "Arn"]}}}
    assert queue["Properties"]["MessageRetentionPeriod"] == 1_209_600


def test_relay_is_invoked_for_streams_alone(template: dict[str, Any]) -> None:
    """New heads of features that are served as streams; everything else is filtered, and so costs nothing."""
    (source,) = of_type(template, "AWS::Lambda::EventSourceMapping")
    (entry,) = source["FilterCriteria"]["Filters"]
    assert json.loads(entry["Pattern"]) == {"dynamodb": {"NewImage": {"entry": {"S": [HEAD]}, "topic": {"S": ["alerts", "orders"]}}}}
    chat = served(load(ROOT / "features.toml"), "WebSocketStack")
    assert new_heads(chat)["dynamodb"]["NewImage"]["topic"] == {"S": ["orders", {"prefix": "chat/"}]}


def test_relay_has_no_internet_and_needs_none(template: dict[str, Any]) -> None:
    """It is in the isolated subnets, in the group of the cache's clients, and may do nothing but read the stream, log and give up."""
    (relay,) = of_type(template, "AWS::Lambda::Function")
    assert all("IsolatedSubnet" in json.dumps(subnet) for subnet in relay["VpcConfig"]["SubnetIds"])
    assert "CacheClients" in json.dumps(relay["VpcConfig"]["SecurityGroupIds"])
    reading = {f"dynamodb:{name}" for name in ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams")}
    giving_up = {"sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:SendMessage"}
    assert actions(template) == reading | giving_up | {"logs:CreateLogStream", "logs:PutLogEvents"}


def test_relay_reads_the_stream_of_the_log_and_no_table(template: dict[str, Any]) -> None:
    """No statement is for any resource at all."""
    statements = [s for policy in of_type(template, "AWS::IAM::Policy") for s in policy["PolicyDocument"]["Statement"]]
    assert all(statement["Resource"] != "*" for statement in statements)
    assert all("StreamArn" in json.dumps(s["Resource"]) for s in statements if "dynamodb" in json.dumps(s["Action"]))


def test_cache_admits_its_clients_alone(template: dict[str, Any], nodes: dict[str, Any]) -> None:
    """One rule, from a group, for one port; and the cache is where no route leads out."""
    for made in (template, nodes):
        (rule,) = of_type(made, "AWS::EC2::SecurityGroupIngress")
        assert (rule["FromPort"], rule["ToPort"], "CidrIp" in rule) == (6379, 6379, False)
        assert "CacheClients" in json.dumps(rule["SourceSecurityGroupId"])
    (cache,) = of_type(template, "AWS::ElastiCache::ServerlessCache")
    (group,) = of_type(nodes, "AWS::ElastiCache::SubnetGroup")
    assert all("IsolatedSubnet" in json.dumps(subnet) for subnet in cache["SubnetIds"] + group["SubnetIds"])


def test_serverless_cache_has_a_bound_on_its_bill(template: dict[str, Any]) -> None:
    """It grows by itself, up to here."""
    (cache,) = of_type(template, "AWS::ElastiCache::ServerlessCache")
    limits = cache["CacheUsageLimits"]
    assert (cache["Engine"], limits["DataStorage"], limits["ECPUPerSecond"]) == (
        "valkey",
        {"Maximum": 1, "Unit": "GB"},
        {"Maximum": 10_000},
    )


def test_nodes_speak_tls_and_survive_the_loss_of_one(nodes: dict[str, Any]) -> None:
    """Two, in two zones, as a cluster, as serverless is one; the parameter has the cluster's own address."""
    (group,) = of_type(nodes, "AWS::ElastiCache::ReplicationGroup")
    assert group["TransitEncryptionEnabled"]
    assert group["AtRestEncryptionEnabled"]
    assert (group["ReplicasPerNodeGroup"], group["MultiAZEnabled"], group["AutomaticFailoverEnabled"]) == (1, True, True)
    (parameter,) = of_type(nodes, "AWS::SSM::Parameter")
    assert parameter["Value"]["Fn::Join"][1] == ["rediss://", {"Fn::GetAtt": ["Nodes", "ConfigurationEndPoint.Address"]}, ":6379"]
