"""WebSocketStack: what most public samples get wrong, each held here."""

import json
from typing import Any

import pytest

from realtime.dynamo import HEAD, to_item
from realtime.features import FeaturesError, load
from realtime.log import Append
from stacks.websocket import ACTIONS
from tests.helpers import event
from tests.stacks.conftest import ROOT, Templates, actions, of_type, synthesize

ROUTES = {"$connect", "$disconnect", "$default", *ACTIONS}


@pytest.fixture(scope="module")
def template(templates: Templates) -> dict[str, Any]:
    return templates["WebSocketStack"]


def function(template: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [f for f in of_type(template, "AWS::Lambda::Function") if f["Handler"].endswith(name)]
    return found


def mapping(template: dict[str, Any], key: str) -> dict[str, Any]:
    (found,) = [m for m in of_type(template, "AWS::Lambda::EventSourceMapping") if key in m]
    return found


def test_every_route_is_there_and_may_call_its_function(template: dict[str, Any]) -> None:
    """One integration permission for three routes is how most samples fail."""
    permissions = [json.dumps(p["SourceArn"]) for p in of_type(template, "AWS::Lambda::Permission")]
    routes = {route["RouteKey"] for route in of_type(template, "AWS::ApiGatewayV2::Route")}
    assert routes == ROUTES
    assert all(any(f"/*{route}" in arn for arn in permissions) for route in routes)


def test_connect_alone_is_authorized_by_the_gateway(template: dict[str, Any]) -> None:
    """API Gateway asks an authorizer at $connect only; the function checks every message."""
    kinds = {route["RouteKey"]: route["AuthorizationType"] for route in of_type(template, "AWS::ApiGatewayV2::Route")}
    assert kinds == dict.fromkeys(ROUTES, "NONE") | {"$connect": "CUSTOM"}
    (authorizer,) = of_type(template, "AWS::ApiGatewayV2::Authorizer")
    assert (authorizer["AuthorizerType"], authorizer["IdentitySource"]) == ("REQUEST", [])


def test_answers_reach_the_client(template: dict[str, Any]) -> None:
    """Without a route response API Gateway throws the handler's answer away."""
    answering = {r["RouteKey"] for r in of_type(template, "AWS::ApiGatewayV2::Route") if r.get("RouteResponseSelectionExpression")}
    assert answering == ROUTES - {"$connect", "$disconnect"}
    assert len(of_type(template, "AWS::ApiGatewayV2::RouteResponse")) == len(answering)


def test_api_is_dual_stack_and_routes_by_action(template: dict[str, Any]) -> None:
    """And a change of its routes is deployed by itself."""
    (api,), (stage,) = of_type(template, "AWS::ApiGatewayV2::Api"), of_type(template, "AWS::ApiGatewayV2::Stage")
    assert (api["IpAddressType"], api["RouteSelectionExpression"]) == ("dualstack", "$request.body.action")
    assert (stage["AutoDeploy"], stage["StageName"]) == (True, "live")
    assert stage["DefaultRouteSettings"] == {"ThrottlingBurstLimit": 2000, "ThrottlingRateLimit": 1000}


def test_access_log_has_no_query_and_works_on_a_fresh_account(template: dict[str, Any], tmp_path: Any) -> None:
    """Tickets are in the query. And where the account has no role for API Gateway's logs yet, the stage waits for ours."""
    stages = [r for r in template["Resources"].values() if r["Type"] == "AWS::ApiGatewayV2::Stage"]
    logged = stages[0]["Properties"]["AccessLogSettings"]["Format"]
    assert not [word for word in ("queryString", "header", "authorizer", "requestOverride", "body") if word in logged]
    assert stages[0]["DependsOn"] == ["ApiAccount"]
    for name in ("ApiAccount", next(n for n in template["Resources"] if n.startswith("ApiLogRole"))):
        assert template["Resources"][name]["DeletionPolicy"] == "Retain"
    without = synthesize(tmp_path, ROOT / "features.toml", api_log_role="existing")["WebSocketStack"]
    assert of_type(without, "AWS::ApiGateway::Account") == []


def test_connections_expire_by_themselves(template: dict[str, Any]) -> None:
    """TTL on `expires`; the key is the connection or the shard of a topic, and no index is ever asked."""
    (table,) = of_type(template, "AWS::DynamoDB::GlobalTable")
    assert [key["AttributeName"] for key in table["KeySchema"]] == ["id", "entry"]
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires", "Enabled": True}
    assert "GlobalSecondaryIndexes" not in table


def test_stream_gives_up_on_a_poison_record(template: dict[str, Any]) -> None:
    """By default it would block its shard for a day."""
    source = mapping(template, "FilterCriteria")
    assert source["BisectBatchOnFunctionError"]
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert (source["MaximumRetryAttempts"], source["MaximumRecordAgeInSeconds"]) == (3, 300)
    assert source["DestinationConfig"]["OnFailure"]


def record(topic: str, *, entry: str = HEAD, claimed: bool = False) -> dict[str, Any]:
    append = Append(topic, "e1", 1, (event(),), 1, "k", keyed=True, digest="d", expires=None, claimed=claimed)
    return {"eventName": "MODIFY", "dynamodb": {"NewImage": to_item(append, entry)}}


def matches(pattern: dict[str, Any], value: Any) -> bool:
    """Lambda's event filtering, as far as our pattern uses it: equality and prefix on leaves (Lambda developer guide)."""
    for key, rule in pattern.items():
        found = value.get(key) if isinstance(value, dict) else None
        if isinstance(rule, dict):
            if not matches(rule, found or {}):
                return False
        elif not any(_meets(test, found) for test in rule):
            return False
    return True


def _meets(test: Any, found: Any) -> bool:
    return isinstance(found, str) and (found.startswith(test["prefix"]) if isinstance(test, dict) else found == test)


@pytest.mark.parametrize(
    ("made", "invoked"),
    [
        (record("chat/lobby"), True),
        (record("chat/lobby", claimed=True), False),
        (record("chat/lobby", entry="e1#0000000000000001"), False),
        (record("metrics"), False),
        ({"eventName": "REMOVE", "dynamodb": {"Keys": {}}}, False),
    ],
)
def test_broadcaster_is_invoked_for_what_is_its_business(template: dict[str, Any], made: dict[str, Any], invoked: bool) -> None:
    """New heads of WebSocket features that nobody has claimed; everything else is filtered, and so costs nothing."""
    (entry,) = mapping(template, "FilterCriteria")["FilterCriteria"]["Filters"]
    assert matches(json.loads(entry["Pattern"]), made) == invoked
    assert len(entry["Pattern"]) <= 4096


def test_feature_without_rooms_is_matched_by_its_name(tmp_path: Any) -> None:
    """And not by the names of others that begin like it."""
    (tmp_path / "features.toml").write_text('[features.price]\npattern = "websocket"\n[features.prices]\npattern = "polling"\n')
    made = synthesize(tmp_path / "cdk", tmp_path / "features.toml")["WebSocketStack"]
    pattern = json.loads(mapping(made, "FilterCriteria")["FilterCriteria"]["Filters"][0]["Pattern"])
    assert [matches(pattern, record(topic)) for topic in ("price", "prices")] == [True, False]


def test_fan_out_keeps_to_its_share_of_the_account(template: dict[str, Any], tmp_path: Any) -> None:
    """As many invocations at a time as share the posts a second."""
    source = mapping(template, "ScalingConfig")
    assert source["ScalingConfig"] == {"MaximumConcurrency": 5}
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert function(template, ".queue")["Environment"]["Variables"]["POSTS_PER_SECOND"] == "1000"
    made = synthesize(tmp_path, ROOT / "features.toml", posts_per_second="2000")["WebSocketStack"]
    assert function(made, ".queue")["Environment"]["Variables"]["POSTS_PER_SECOND"] == "400"


def test_queue_forgets_what_is_too_late(template: dict[str, Any]) -> None:
    """After five minutes every client has asked for the heads; what fails three times is kept for two weeks to be looked at."""
    queues = {name: r["Properties"] for name, r in template["Resources"].items() if r["Type"] == "AWS::SQS::Queue"}
    fanout = next(q for name, q in queues.items() if name.startswith("Fanout"))
    letters = next(q for name, q in queues.items() if name.startswith("DeadLetters"))
    tries = fanout["RedrivePolicy"]["maxReceiveCount"]
    assert (fanout["MessageRetentionPeriod"], tries) == (300, 3)
    assert function(template, ".queue")["Timeout"] < fanout["VisibilityTimeout"] < fanout["MessageRetentionPeriod"] / tries
    assert letters["MessageRetentionPeriod"] == 1_209_600


def test_functions_may_do_what_they_do_and_no_more(template: dict[str, Any]) -> None:
    """No wildcard action, no Scan; posting to this stage's connections alone."""
    assert "*" not in actions(template)
    assert not [action for action in actions(template) if action.endswith(("Scan", ":*"))]
    posting = [
        s
        for p in of_type(template, "AWS::IAM::Policy")
        for s in p["PolicyDocument"]["Statement"]
        if "ManageConnections" in str(s["Action"])
    ]
    assert len(posting) == 3
    assert all("/live/*/@connections/*" in json.dumps(statement["Resource"]) for statement in posting)


def test_authorizer_can_spend_a_ticket_and_nothing_else(template: dict[str, Any]) -> None:
    """It reads neither the log nor the connections."""
    (policy,) = [p for p in of_type(template, "AWS::IAM::Policy") if "Authorizer" in p["PolicyName"]]
    allowed = {a for s in policy["PolicyDocument"]["Statement"] for a in ([s["Action"]] if isinstance(s["Action"], str) else s["Action"])}
    assert {action for action in allowed if action.startswith("dynamodb")} == {"dynamodb:DeleteItem"}


@pytest.mark.parametrize("pattern", ["websocket", "fallback"])
def test_messages_beyond_a_frame_fail_at_synth(tmp_path: Any, pattern: str) -> None:
    """API Gateway closes a connection at a frame of more than 32 KB: no deployment could serve it."""
    file = tmp_path / "features.toml"
    file.write_text(f'[features.files]\npattern = "{pattern}"\nlimits = {{ bytes = 32769 }}\n')
    with pytest.raises(FeaturesError, match=r"features.toml:3: features.files.limits.bytes: a WebSocket frame holds 32 KB"):
        load(file)
    file.write_text(f'[features.files]\npattern = "{pattern}"\nlimits = {{ bytes = 31744 }}\n')
    assert load(file)["files"].limits.bytes == 31744
