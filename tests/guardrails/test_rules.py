"""Each rule finds its defect in a template where nothing else is wrong, and nothing but it."""

from pathlib import Path
from typing import Any

import pytest

from guardrails import RULES, check
from tests.guardrails.sound import (
    GONE,
    NOT_FOUND,
    TO_HTTPS,
    URL_DOMAIN,
    Body,
    allow,
    arn,
    awslogs,
    changed,
    forward,
    ref,
    resource,
    sound,
    with_more,
)

ROOT = Path(__file__).parents[2]
IDLE = "idle_timeout.timeout_seconds"
DYNAMODB_FULL = {"Fn::Join": ["", ["arn:", ref("AWS::Partition"), ":iam::aws:policy/AmazonDynamoDBFullAccess"]]}
INTEGRATION = {"responseTransferMode": "STREAM", "uri": {"Fn::Sub": "arn:aws:apigateway:${AWS::Region}:lambda:path/${Asked.Arn}"}}
OPENAPI = {"paths": {"/ask": {"post": {"x-amazon-apigateway-integration": INTEGRATION}}}}

DEFECTS: list[tuple[str, str, str, str, Any]] = [  # rule, where it is found, what is changed there or elsewhere
    ("open-connect", "Connect", "Connect", "AuthorizationType", "NONE"),
    ("open-connect", "Connect", "Connect", "AuthorizationType", GONE),
    ("open-connect", "Connect", "Connect", "AuthorizationType", ref("AWS::NoValue")),
    ("open-connect", "Api", "Connect", "RouteKey", "join"),
    ("unthrottled-stage", "Stage", "Stage", "DefaultRouteSettings", GONE),
    ("unthrottled-stage", "Stage", "Stage", "DefaultRouteSettings", {"DataTraceEnabled": False}),
    ("idle-timeout", "Balancer", "Balancer", "LoadBalancerAttributes", [{"Key": IDLE, "Value": "30"}]),
    ("plain-http", "Http", "Http", "DefaultActions", [forward("Hubs")]),
    ("plain-http", "Http", "ToHubs", "ListenerArn", ref("Http")),
    ("open-push", "ToPushers", "ToPushers", "Actions", [forward("Pushers")]),
    ("open-push", "Https", "Https", "DefaultActions", [forward("Pushers")]),
    ("open-push", "ToHubs", "Hubs", "Targets", [{"Id": arn("Pusher")}]),
    ("edge-optimized-stream", "StreamsApi", "StreamsApi", "EndpointConfiguration", GONE),
    ("edge-optimized-stream", "StreamsApi", "StreamsApi", "EndpointConfiguration", {"Types": ["EDGE"]}),
    ("unbounded-streams", "Streams", "Streams", "ReservedConcurrentExecutions", GONE),
    ("open-stream", "StreamsUrl", "StreamsUrl", "AuthType", "NONE"),
    (
        "cloudfront-read-timeout",
        "Edge",
        "Edge",
        "DistributionConfig",
        {"Origins": [{"DomainName": URL_DOMAIN, "CustomOriginConfig": {"OriginProtocolPolicy": "https-only"}}]},
    ),
    ("endless-retries", "Records", "Records", "MaximumRetryAttempts", GONE),
    ("endless-retries", "Records", "Records", "MaximumRetryAttempts", -1),
    ("scan-fan-out", "PusherRole", "PusherPolicy", "PolicyDocument", {"Statement": allow("dynamodb:Query", "dynamodb:Scan")}),
    ("scan-fan-out", "PusherRole", "PusherPolicy", "PolicyDocument", {"Statement": allow("DynamoDB:S*")}),
    ("scan-fan-out", "PusherRole", "PusherPolicy", "PolicyDocument", {"Statement": allow("*")}),
    ("scan-fan-out", "PusherRole", "PusherPolicy", "PolicyDocument", {"Statement": {"Effect": "Allow", "NotAction": "iam:*"}}),
    ("scan-fan-out", "PusherRole", "PusherRole", "ManagedPolicyArns", [DYNAMODB_FULL]),
    ("connections-without-ttl", "Connections", "Connections", "TimeToLiveSpecification", GONE),
    ("connections-without-ttl", "Connections", "Connections", "TimeToLiveSpecification", {"AttributeName": "ttl", "Enabled": False}),
    ("endless-logs", "PusherLogs", "PusherLogs", "RetentionInDays", GONE),
    ("endless-logs", "Pusher", "Pusher", "LoggingConfig", {"LogFormat": "JSON"}),
    ("endless-logs", "PushTask", "PushTask", "ContainerDefinitions", awslogs("pushers")),
    ("endless-logs", "PushTask", "PushTask", "ContainerDefinitions", awslogs({"Fn::Sub": "${AWS::StackName}-pushers"})),
]
SILENT: dict[str, Body] = {
    "no change": sound(),
    "an API whose routes are elsewhere": with_more(Other=resource("ApiGatewayV2::Api", ProtocolType="WEBSOCKET")),
    "a route by a parameter": changed("Connect", "RouteKey", ref("Key")),
    "a task's group that nobody can tell": changed("PushTask", "ContainerDefinitions", awslogs(ref("Group"))),
    "internal load balancer": changed("Balancer", "Scheme", "internal"),
    "idle time-out by a condition": changed("Balancer", "LoadBalancerAttributes", [{"Key": IDLE, "Value": {"Fn::If": ["Dev", "5", "60"]}}]),
    "network load balancer": changed("Balancer", "Type", "network"),
    "a secret header": changed("ToPushers", "Conditions", [{"Field": "http-header"}]),
    "private API": changed("StreamsApi", "EndpointConfiguration", {"Types": ["PRIVATE"]}),
    "an age instead of attempts": {
        "Resources": changed("Records", "MaximumRetryAttempts", GONE)["Resources"]
        | {"Records": resource("Lambda::EventSourceMapping", StartingPosition="LATEST", MaximumRecordAgeInSeconds=300)}
    },
    "a queue": changed("Records", "StartingPosition", GONE),
    "Kafka": with_more(Kafka=resource("Lambda::EventSourceMapping", StartingPosition="LATEST", Topics=["t"])),
    "Scan is denied": changed(
        "PusherPolicy", "PolicyDocument", {"Statement": [allow("dynamodb:*"), allow("dynamodb:Scan", effect="Deny")]}
    ),
    "a role that deploys": with_more(Deploy=resource("IAM::Role", ManagedPolicyArns=["arn:aws:iam::aws:policy/AdministratorAccess"])),
    "edge-optimized without streams": with_more(Plain=resource("ApiGateway::RestApi", Name="plain")),
    "function of the CDK": with_more(
        CustomS3AutoDeleteObjectsCustomResourceProviderHandler9D90184F=resource("Lambda::Function", Handler="index.handler")
    ),
}


@pytest.mark.parametrize(("rule", "found", "id", "property", "value"), DEFECTS)
def test_defect_is_found_and_nothing_else(rule: str, found: str, id: str, property: str, value: Any) -> None:
    """One change makes one finding, where it is to be mended."""
    assert [(finding.rule, finding.logical_id) for finding in check(changed(id, property, value))] == [(rule, found)]


@pytest.mark.parametrize("case", SILENT)
def test_sound_is_silent(case: str) -> None:
    """What is right, and what is right in another way."""
    assert check(SILENT[case]) == []


def test_every_rule_has_a_defect_and_a_line_in_the_docs() -> None:
    """None is untested, none is unexplained."""
    text = (ROOT / "docs/guard-rails.md").read_text()
    assert {rule for rule, *_ in DEFECTS} | {"stale-deployment"} == set(RULES)
    assert all(f"| `{rule}` |" in text for rule in RULES)
    assert all(rule.__doc__ for rule in RULES.values())


@pytest.mark.parametrize(
    ("id", "path"),
    [
        ("Deployment", None),
        ("WebSocketDeploymentV2", None),
        ("Deployment", "Chat/Deployment"),
        ("ApiDeployment84C9F6B5", None),  # the hash is of the path, by its look
        ("ApiDeploymentBA294793", "Chat/Api/Deployment"),
        ("ApiDeploymentBA294793", "Prod/Chat/Api/Deployment"),
    ],
)
def test_deployment_that_keeps_its_id_is_found(id: str, path: str | None) -> None:
    """Its stage serves the routes of the first deploy for ever."""
    (finding,) = check(deployed(id, path))
    assert (finding.rule, finding.logical_id, finding.path) == ("stale-deployment", id, path)


@pytest.mark.parametrize(
    ("id", "path"),
    [
        ("Deployment1f0c9a3be7", "Chat/Deployment"),
        ("ApiDeploymentBA294793d02f6b1c44e58a90", "Chat/Api/Deployment"),
        ("Deployment1764000000", None),
        ("WebsocketsDeploymentkq3S0vTJ8fXb2LwZr1yNc7PdQhGm5uAe9oKi4VtBx6U", None),  # the Serverless Framework's
    ],
)
def test_deployment_named_by_its_content_is_silent(id: str, path: str | None) -> None:
    """Other routes, another id, another snapshot."""
    assert check(deployed(id, path)) == []


def test_stage_that_deploys_itself_needs_no_deployment() -> None:
    """So one that is left over does no harm."""
    template = deployed("Deployment", None)
    template["Resources"]["Stage"]["Properties"] |= {"AutoDeploy": True}
    assert check(template) == []


def deployed(id: str, path: str | None) -> Body:
    template = sound()
    template["Resources"][id] = template["Resources"].pop("Deployment1f0c9a3be7") | ({"Metadata": {"aws:cdk:path": path}} if path else {})
    return template


@pytest.mark.parametrize(("heartbeat", "found"), [(29, []), (30, ["idle-timeout", "cloudfront-read-timeout"])])
def test_hops_are_held_against_the_heartbeat(heartbeat: float, found: list[str]) -> None:
    """60 s bear a heartbeat every 29 s, one of which is late; not one every 30 s."""
    assert [finding.rule for finding in check(sound(), heartbeat_seconds=heartbeat)] == found


def test_parameter_with_a_default_is_known() -> None:
    """A template that asks is judged by what it suggests."""
    template = changed("Balancer", "LoadBalancerAttributes", [{"Key": IDLE, "Value": ref("Idle")}])
    assert check(template) == []
    assert [f.rule for f in check(template | {"Parameters": {"Idle": {"Type": "Number", "Default": "20"}}})] == ["idle-timeout"]


def test_stream_of_an_openapi_document_is_seen() -> None:
    """A REST API may have its methods in its Body, and there the function that streams."""
    api = resource("ApiGateway::RestApi", Body=OPENAPI)
    asked = resource("Lambda::Function", LoggingConfig={"LogGroup": ref("PusherLogs")})
    found = [(f.rule, f.logical_id) for f in check(with_more(Ask=api, Asked=asked))]
    assert found == [("edge-optimized-stream", "Ask"), ("unbounded-streams", "Asked")]


@pytest.mark.parametrize("target", [arn("Version"), ref("Alias")])
def test_stream_is_followed_to_its_function(target: Body) -> None:
    """By an alias or a version; and an alarm on its concurrency is a bound, too."""
    more = {
        "Other": resource("Lambda::Function", LoggingConfig={"LogGroup": ref("PusherLogs")}),
        "Version": resource("Lambda::Version", FunctionName=ref("Other")),
        "Alias": resource("Lambda::Alias", FunctionName=ref("Other")),
        "OtherUrl": resource("Lambda::Url", TargetFunctionArn=target, InvokeMode="RESPONSE_STREAM", AuthType="AWS_IAM"),
    }
    alarm = resource("CloudWatch::Alarm", MetricName="ConcurrentExecutions", Dimensions=[{"Name": "FunctionName", "Value": ref("Other")}])
    assert [(f.rule, f.logical_id) for f in check(with_more(**more))] == [("unbounded-streams", "Other")]
    assert check(with_more(**more, Alarm=alarm)) == []


@pytest.mark.parametrize(
    "group",
    [
        resource("Logs::LogGroup", LogGroupName={"Fn::Sub": "/aws/lambda/${Pusher}"}, RetentionInDays=7),
        resource("Logs::LogGroup", LogGroupName="/aws/lambda/pusher", RetentionInDays=7),
        {
            "Type": "Custom::LogRetention",
            "Properties": {"LogGroupName": {"Fn::Join": ["", ["/aws/lambda/", ref("Pusher")]]}, "RetentionInDays": 7},
        },
    ],
)
def test_log_group_may_be_found_by_its_name(group: Body) -> None:
    """The name that Lambda would give it, as SAM, the Serverless Framework and the CDK's log_retention do it."""
    template = changed("Pusher", "LoggingConfig", GONE)
    template["Resources"]["Pusher"]["Properties"]["FunctionName"] = "pusher"
    template["Resources"]["Group"] = group
    assert check(template) == []


SUB = {"Fn::Sub": "/aws/lambda/${AWS::StackName}-${Stage}"}
SUB_WITH_VARIABLES = {"Fn::Sub": ["/aws/lambda/${Stack}-${Stage}", {"Stack": ref("AWS::StackName")}]}
JOIN = {"Fn::Join": ["-", [{"Fn::Sub": "/aws/lambda/${AWS::StackName}"}, ref("Stage")]]}


@pytest.mark.parametrize("parameter", [{}, {"Default": "dev"}])
@pytest.mark.parametrize("group", [SUB, SUB_WITH_VARIABLES, JOIN])
def test_log_group_may_have_a_name_that_is_put_together(group: Body, parameter: Body) -> None:
    """By whichever function of CloudFormation; another name is none of the function's."""
    template = changed("Pusher", "LoggingConfig", GONE) | {"Parameters": {"Stage": {"Type": "String"} | parameter}}
    properties = template["Resources"]["Pusher"]["Properties"]
    template["Resources"]["Group"] = resource("Logs::LogGroup", LogGroupName=group, RetentionInDays=7)
    properties["FunctionName"] = {"Fn::Sub": "${AWS::StackName}-${Stage}"}
    assert check(template) == []
    properties["FunctionName"] = {"Fn::Sub": "${AWS::StackName}-other"}
    assert [(f.rule, f.logical_id) for f in check(template)] == [("endless-logs", "Pusher")]


def test_log_group_of_a_task_may_be_found_by_its_name() -> None:
    """One that is there is not made."""
    template = changed("PushTask", "ContainerDefinitions", awslogs({"Fn::Join": ["", [ref("AWS::StackName"), "-pushers"]]}))
    name = {"Fn::Sub": "${AWS::StackName}-pushers"}
    template["Resources"]["Group"] = resource("Logs::LogGroup", LogGroupName=name, RetentionInDays=7)
    assert check(template) == []


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), 0, -5])
def test_heartbeat_that_is_none_is_refused(seconds: float) -> None:
    """It would switch rules off without a word."""
    with pytest.raises(ValueError, match="give a finite number of seconds above 0"):
        check(sound(), heartbeat_seconds=seconds)


@pytest.mark.parametrize("odd", [None, "text", [], {"Stream": "text"}, {"Stream": {"Type": "Kinesis", "Properties": None}}])
def test_odd_values_of_sam_are_no_crash(odd: Any) -> None:
    """Wherever SAM wants an object."""
    function = {"Type": "AWS::Serverless::Function", "Properties": {"Events": odd, "FunctionUrlConfig": odd, "Policies": odd}}
    bare = {"Type": "AWS::Serverless::Function", "Properties": odd}
    assert check({"Globals": odd, "Resources": {"Made": function, "Bare": bare}})
    assert check({"Globals": {"Function": odd}, "Resources": odd}) == []


def test_odd_values_are_no_crash() -> None:
    """What other tools write, conditions, and mistakes: CloudFormation is there to refuse them."""
    odd: list[Any] = [None, "text", 7, [], ["text"], {}, {"Fn::If": ["Dev", [forward("Hubs")], ref("AWS::NoValue")]}]
    places = [(name, key) for name, body in sound()["Resources"].items() for key in body["Properties"]]
    assert all(isinstance(check(changed(name, key, value)), list) for name, key in places for value in odd)
    assert check({"Resources": {"Fn::ForEach::Topics": ["T", ["a"], {}], "Empty": {"Type": "AWS::Logs::LogGroup", "Properties": None}}})


def test_template_can_acknowledge() -> None:
    """In the resource's Metadata, rule by rule, with the reason."""
    template = changed("Connect", "AuthorizationType", "NONE")
    template["Resources"]["Connect"]["Metadata"] = {"RealtimeGuardRails": {"open-connect": "the handler checks a ticket"}}
    template["Resources"]["Http"]["Properties"]["DefaultActions"] = [forward("Hubs"), TO_HTTPS, NOT_FOUND]
    assert [finding.rule for finding in check(template)] == ["plain-http"]


def test_finding_says_where_what_breaks_and_how_to_mend_it() -> None:
    """One sentence each."""
    template = changed("Connect", "AuthorizationType", "NONE")
    template["Resources"]["Connect"]["Metadata"] = {"aws:cdk:path": "Chat/Api/$connect-Route/Resource"}
    (finding,) = check(template, stack="Chat")
    assert str(finding) == (
        "Chat Connect (Chat/Api/$connect-Route/Resource): open-connect: "
        "anyone may connect, and API Gateway asks an authorizer on $connect alone, so nobody is asked later. "
        "Fix: give the $connect route an authorizer (AuthorizationType CUSTOM with AuthorizerId, or AWS_IAM)."
    )
