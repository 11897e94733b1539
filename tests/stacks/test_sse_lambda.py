"""SseLambdaStack: a response that streams from end to end, nothing that cuts it, and a bill that has bounds."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest

from local.deploy import target as this_machine
from realtime.answers import ANSWER_SECONDS, SILENT_SECONDS
from realtime.features import load
from realtime.hub import HEARTBEAT_SECONDS
from stacks import sse_lambda
from stacks.assets import ASSETS, Target, install, stage
from stacks.config import Config, ConfigError
from stacks.parts import hops
from stacks.parts.web_adapter import web_adapter
from tests.stacks.conftest import ROOT, Templates, actions, of_type, only, synthesize

STREAMS = """
[features.figures]
pattern = "sse"
host    = "lambda"
stream  = "90s"
latency = "1s"
readers = 30
[features.news]
pattern = "fallback"
host    = "lambda"
readers = 5
"""
LAYER = "arn:aws:lambda:eu-west-1:123456789012:layer:adapter:7"
ORIGINS = ("https://shop.example", "https://admin.example")
CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"  # CloudFront's managed policies
ALL_VIEWER_EXCEPT_HOST_HEADER = "b689b0a8-53d0-40ab-baf2-68738e2966ac"


@pytest.fixture(scope="module")
def template(templates: Templates) -> dict[str, Any]:
    return templates["SseLambdaStack"]


@pytest.fixture(scope="module")
def by_url(certified: Templates) -> dict[str, Any]:
    return certified["SseLambdaStack"]


@pytest.fixture(scope="module")
def streams_alone(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    """Two features on Lambda and no answers; pages and layer are named."""
    file = tmp_path_factory.mktemp("features") / "features.toml"
    file.write_text(STREAMS)
    return synthesize(tmp_path_factory.mktemp("cdk"), file, web_adapter=LAYER, origins=",".join(ORIGINS))


def methods(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every method of the REST API, as "GET /stream"."""
    resources = {name: r["Properties"] for name, r in template["Resources"].items() if r["Type"] == "AWS::ApiGateway::Resource"}

    def path(reference: dict[str, Any]) -> str:
        own = resources.get(reference.get("Ref", ""))
        return f"{path(own['ParentId'])}/{own['PathPart']}" if own else ""

    return {f"{m['HttpMethod']} {path(m['ResourceId'])}": m for m in of_type(template, "AWS::ApiGateway::Method")}


def routes(template: dict[str, Any]) -> set[str]:
    return {name for name in methods(template) if not name.startswith("OPTIONS")}


def statements(template: dict[str, Any], action: str) -> list[dict[str, Any]]:
    every = [s for policy in of_type(template, "AWS::IAM::Policy") for s in policy["PolicyDocument"]["Statement"]]
    return [s for s in every if action in ([s["Action"]] if isinstance(s["Action"], str) else s["Action"])]


def variables(template: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = only(template, "Lambda::Function")["Environment"]["Variables"]
    return found


def test_stacks_are_those_of_the_hosts(templates: Templates, streams_alone: Templates, tmp_path: Path) -> None:
    """A VPC and tasks where a feature streams from the service, a function where one streams from Lambda."""
    (tmp_path / "features.toml").write_text(STREAMS.replace('"lambda"', '"service"').replace('stream  = "90s"', ""))
    service = set(synthesize(tmp_path / "cdk", tmp_path / "features.toml"))
    assert set(streams_alone) == {"CoreStack", "PollingStack", "WebSocketStack", "SseLambdaStack"}
    assert service == set(streams_alone) - {"SseLambdaStack"} | {"NetworkStack", "SseServiceStack", "PubSubStack"}
    assert set(templates) == service | {"SseLambdaStack", "ShopStack"}


def test_every_route_streams(template: dict[str, Any]) -> None:
    """One route that is buffered would hold an answer back until it is whole, and cut it after 29 s."""
    integrations = [method["Integration"] for name, method in methods(template).items() if not name.startswith("OPTIONS")]
    assert {i["ResponseTransferMode"] for i in integrations} == {"STREAM"}
    assert all(json.dumps(i["Uri"]).endswith('/response-streaming-invocations"]]}') for i in integrations)
    assert only(template, "ApiGateway::RestApi")["EndpointConfiguration"]["Types"] == ["REGIONAL"]


def test_every_route_may_call_the_function(template: dict[str, Any]) -> None:
    """And nothing else of API Gateway may: no other API, no test in the console."""
    permissions = of_type(template, "AWS::Lambda::Permission")
    called = {json.dumps(p["SourceArn"]).rsplit('"/', 1)[1].split('"')[0] for p in permissions}
    assert called == {"GET/topics/*", "GET/stream", "POST/sessions", "POST/answers", "DELETE/answers/*"}
    assert {p["Action"] for p in permissions} == {"lambda:InvokeFunction"}
    assert len(permissions) == len(routes(template))


def test_function_and_gateway_give_the_longest_life_its_time(template: dict[str, Any], streams_alone: Templates) -> None:
    """An answer may take five minutes and a model's silence, a stream 30 to 120 s; with a margin, and both hops agree."""
    for made, life in ((template, ANSWER_SECONDS + SILENT_SECONDS), (streams_alone["SseLambdaStack"], 90)):
        seconds = only(made, "Lambda::Function")["Timeout"]
        waits = {m["Integration"].get("TimeoutInMillis") for m in methods(made).values()} - {None}
        assert seconds == life + sse_lambda.MARGIN_SECONDS
        assert waits == {seconds * 1000}


def test_stream_that_outlives_a_function_fails_the_synth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lambda ends every invocation after 15 minutes."""
    monkeypatch.setattr(sse_lambda, "ANSWER_SECONDS", 856.0)
    with pytest.raises(ConfigError, match="streams and answers need 901 s with a margin: a Lambda function runs for at most 900 s"):
        synthesize(tmp_path, ROOT / "features.toml")


@pytest.mark.parametrize("endpoint", ["regional", "function-url"])
def test_heartbeat_that_a_hop_does_not_wait_for_fails_the_synth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    """Whoever makes heartbeats rarer learns of the hop that would cut an idle stream."""
    name, seconds = hops.IDLE_SECONDS[endpoint]
    monkeypatch.setattr(hops, "HEARTBEAT_SECONDS", seconds / 2 + 1)
    file = tmp_path / "features.toml"
    file.write_text(STREAMS)
    with pytest.raises(ConfigError, match=f"{name} is {seconds} s: streams are silent for"):
        synthesize(tmp_path / "cdk", file, lambda_endpoint=endpoint)


def test_adapter_is_the_public_layer_of_the_processor(template: dict[str, Any]) -> None:
    """In the function's own region, in a version that the context chooses."""
    config = Config.of(cdk.App(context={"features": str(ROOT / "features.toml")}))
    stack = cdk.Stack()
    made = [
        stack.resolve(web_adapter(stack, architecture, replace(config, architecture=architecture, web_adapter="31")).layer_version_arn)
        for architecture in ("arm64", "x86_64")
    ]
    assert [arn["Fn::Join"][1][-1] for arn in made] == [
        ":753240598075:layer:LambdaAdapterLayerArm64:31",
        ":753240598075:layer:LambdaAdapterLayerX86:31",
    ]
    (layer,) = only(template, "Lambda::Function")["Layers"]
    assert layer["Fn::Join"][1][-1] == ":753240598075:layer:LambdaAdapterLayerArm64:30"
    assert {"Ref": "AWS::Region"} in layer["Fn::Join"][1]


def test_adapter_may_be_a_layer_of_ones_own(streams_alone: Templates) -> None:
    """A whole ARN is taken as it is: a copy in the account, or China's."""
    assert only(streams_alone["SseLambdaStack"], "Lambda::Function")["Layers"] == [LAYER]


def test_function_is_started_by_the_adapter(template: dict[str, Any], streams_alone: Templates) -> None:
    """Its handler is a file of the asset, and what the application needs is in the environment; a model where there are answers."""
    assert only(template, "Lambda::Function")["Handler"] == "services/sse/run.sh"
    expected = {
        "AWS_LAMBDA_EXEC_WRAPPER": "/opt/bootstrap",
        "AWS_LWA_INVOKE_MODE": "response_stream",
        "AWS_LWA_READINESS_CHECK_PATH": "/healthz",
        "PORT": "8080",
        "FEATURES": "features.json",
        "MODEL": "amazon.nova-micro-v1:0",
    }
    assert expected.items() <= variables(template).items()
    assert {"LOG_TABLE", "ACCESS_TABLE", "SECRET_ARN", "ORIGINS"} <= set(variables(template))
    assert "MODEL" not in variables(streams_alone["SseLambdaStack"])


def test_program_in_the_asset_can_be_executed() -> None:
    """However it was checked out: the adapter's wrapper executes it."""
    target = this_machine()
    install(target)
    folder, _ = stage(target, "sse-lambda", load(ROOT / "features.toml"))
    assert (folder / "services/sse/run.sh").stat().st_mode & 0o777 == 0o755
    assert (folder / "services/sse/stream.py").stat().st_mode & 0o777 == 0o644
    assert (folder / "features.json").is_file()


def test_asset_is_small() -> None:
    """60 MB at most unzipped, without boto3, which the runtime has: a cold start reads all that it imports."""
    target = Target("3.14", "arm64")
    install(target)
    folder, _ = stage(target, "sse-lambda", load(ROOT / "features.toml"))
    assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) < 60_000_000
    assert not (folder / "boto3").exists()
    assert "services/sse/run.sh" in ASSETS["sse-lambda"].sources


def test_concurrency_is_reserved_where_the_context_says_so(template: dict[str, Any], by_url: dict[str, Any]) -> None:
    """Off by default: a new account has ten in all, and cannot reserve any."""
    assert "ReservedConcurrentExecutions" not in only(template, "Lambda::Function")
    assert only(by_url, "Lambda::Function")["ReservedConcurrentExecutions"] == 50


def test_alarm_tells_of_more_streams_than_planned(template: dict[str, Any], by_url: dict[str, Any], streams_alone: Templates) -> None:
    """Each open stream is one concurrent execution. The plan is the features' readers, or 80 % of what is reserved."""
    alarms = [only(made, "CloudWatch::Alarm") for made in (template, by_url, streams_alone["SseLambdaStack"])]
    assert [alarm["Threshold"] for alarm in alarms] == [20, 40, 35]
    for alarm in alarms:
        assert (alarm["MetricName"], alarm["Statistic"], alarm["Period"]) == ("ConcurrentExecutions", "Maximum", 60)
        assert (alarm["EvaluationPeriods"], alarm["TreatMissingData"]) == (3, "notBreaching")
        assert alarm["Dimensions"][0]["Name"] == "FunctionName"


def test_without_answers_nothing_is_written(template: dict[str, Any], streams_alone: Templates) -> None:
    """Neither routes, nor rights, nor a model: it reads topics and spends tickets."""
    made = streams_alone["SseLambdaStack"]
    assert routes(made) == {"GET /topics/{proxy+}", "GET /stream", "POST /sessions"}
    assert routes(template) == routes(made) | {"POST /answers", "DELETE /answers/{id}"}
    reading = {"dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:DeleteItem"}
    assert {a for a in actions(made) if not a.startswith(("logs:", "secretsmanager:"))} == reading
    assert "Log" not in json.dumps([s["Resource"] for s in statements(made, "dynamodb:DeleteItem")])


def test_answers_are_written_counted_and_asked_for(template: dict[str, Any]) -> None:
    """To the log, in the access table, and of one model, by streaming alone. No wildcard, no Scan."""
    (writing,), (counting,) = statements(template, "dynamodb:PutItem"), statements(template, "dynamodb:UpdateItem")
    assert "GetAttLog" in json.dumps(writing["Resource"])
    assert "GetAttAccess" in json.dumps(counting["Resource"])
    assert {a for a in actions(template) if a.startswith("bedrock:")} == {"bedrock:InvokeModelWithResponseStream"}
    assert not [action for action in actions(template) if "*" in action or action.endswith("Scan")]


def test_plain_model_is_allowed_in_this_region(template: dict[str, Any]) -> None:
    """The default, and no other."""
    (statement,) = statements(template, "bedrock:InvokeModelWithResponseStream")
    assert statement["Resource"]["Fn::Join"][1][-1] == "::foundation-model/amazon.nova-micro-v1:0"
    assert {"Ref": "AWS::Region"} in statement["Resource"]["Fn::Join"][1]


def test_inference_profile_is_allowed_and_its_model_through_it(by_url: dict[str, Any]) -> None:
    """The profile chooses the region; the model cannot be asked past it."""
    profile, anywhere = statements(by_url, "bedrock:InvokeModelWithResponseStream")
    assert profile["Resource"]["Fn::Join"][1][-1] == ":inference-profile/us.amazon.nova-micro-v1:0"
    assert {"Ref": "AWS::AccountId"} in profile["Resource"]["Fn::Join"][1]
    assert anywhere["Resource"]["Fn::Join"][1][-1] == ":bedrock:*::foundation-model/amazon.nova-micro-v1:0"
    assert anywhere["Condition"] == {"StringEquals": {"bedrock:InferenceProfileArn": profile["Resource"]}}
    assert variables(by_url)["MODEL"] == "us.amazon.nova-micro-v1:0"


def test_own_generator_asks_nobody(tmp_path: Path) -> None:
    """With `ngram` the function has no right to any model."""
    made = synthesize(tmp_path, ROOT / "features.toml", model="ngram")["SseLambdaStack"]
    assert statements(made, "bedrock:InvokeModelWithResponseStream") == []
    assert variables(made)["MODEL"] == "ngram"


def test_access_log_has_no_query_and_no_header(template: dict[str, Any]) -> None:
    """Tickets are in the query, tokens in a header. Execution logs, which have both, are off; the stage waits for the role to log."""
    (stage,) = [r for r in template["Resources"].values() if r["Type"] == "AWS::ApiGateway::Stage"]
    logged = json.loads(stage["Properties"]["AccessLogSetting"]["Format"])
    assert not [field for field in logged.values() if any(word in field.lower() for word in ("query", "header", "authorizer", "body"))]
    assert {"path", "status", "ms"} <= set(logged)
    (settings,) = stage["Properties"]["MethodSettings"]
    assert (settings["DataTraceEnabled"], settings.get("LoggingLevel", "OFF")) == (False, "OFF")
    assert stage["DependsOn"] == ["ApiAccount"]
    assert template["Resources"]["ApiAccount"]["DeletionPolicy"] == "Retain"


def test_log_role_is_the_accounts_where_it_has_one(tmp_path: Path) -> None:
    """`realtime:api-log-role` is one choice for WebSocket and REST APIs."""
    file = tmp_path / "features.toml"
    file.write_text(STREAMS)
    made = synthesize(tmp_path / "cdk", file, api_log_role="existing")["SseLambdaStack"]
    assert of_type(made, "AWS::ApiGateway::Account") == []


def test_stage_is_throttled(template: dict[str, Any]) -> None:
    """One stack cannot starve the account's others."""
    (settings,) = only(template, "ApiGateway::Stage")["MethodSettings"]
    assert (settings["ThrottlingRateLimit"], settings["ThrottlingBurstLimit"]) == (1000, 2000)
    assert only(template, "ApiGateway::Stage")["StageName"] == "live"


def test_pages_that_are_named_may_send_cookies(template: dict[str, Any], streams_alone: Templates) -> None:
    """Others may not; and each preflight is answered without an invocation."""
    for made, credentials in ((template, None), (streams_alone["SseLambdaStack"], "'true'")):
        preflights = [m["Integration"] for name, m in methods(made).items() if name.startswith("OPTIONS")]
        assert len(preflights) == len(routes(made))
        for preflight in preflights:
            headers = preflight["IntegrationResponses"][0]["ResponseParameters"]
            assert (
                headers["method.response.header.Access-Control-Allow-Headers"]
                == "'authorization,content-type,idempotency-key,last-event-id'"
            )
            assert headers.get("method.response.header.Access-Control-Allow-Credentials") == credentials
    assert all(origin in json.dumps(streams_alone["SseLambdaStack"]) for origin in ORIGINS)


def test_function_url_is_cloudfronts_alone(by_url: dict[str, Any]) -> None:
    """It wants a signature, and CloudFront makes it. Since October 2025 a caller of a Function URL needs both rights."""
    url = only(by_url, "Lambda::Url")
    permissions = of_type(by_url, "AWS::Lambda::Permission")
    control = only(by_url, "CloudFront::OriginAccessControl")["OriginAccessControlConfig"]
    assert (url["AuthType"], url["InvokeMode"]) == ("AWS_IAM", "RESPONSE_STREAM")
    assert (control["OriginAccessControlOriginType"], control["SigningBehavior"]) == ("lambda", "always")
    assert {p["Action"] for p in permissions} == {"lambda:InvokeFunctionUrl", "lambda:InvokeFunction"}
    assert {p["Principal"] for p in permissions} == {"cloudfront.amazonaws.com"}
    assert all("distribution/" in json.dumps(p["SourceArn"]) for p in permissions)
    assert [p["InvokedViaFunctionUrl"] for p in permissions if p["Action"] == "lambda:InvokeFunction"] == [True]


def test_edge_passes_everything_on_and_holds_nothing_back(by_url: dict[str, Any]) -> None:
    """HTTPS alone, HTTP/2 and 3, no cache, no compression, and the header that a ticket's page must send with a body."""
    config = only(by_url, "CloudFront::Distribution")["DistributionConfig"]
    behavior = config["DefaultCacheBehavior"]
    assert config["HttpVersion"] == "http2and3"
    assert (behavior["ViewerProtocolPolicy"], behavior["CachePolicyId"], behavior["Compress"]) == ("https-only", CACHING_DISABLED, False)
    assert behavior["OriginRequestPolicyId"] == ALL_VIEWER_EXCEPT_HOST_HEADER
    assert config["Origins"][0]["CustomOriginConfig"]["OriginReadTimeout"] > 2 * HEARTBEAT_SECONDS
    assert "Cors" not in only(by_url, "Lambda::Url")  # the function answers preflights itself: headers that come twice are refused
    assert of_type(by_url, "AWS::ApiGateway::RestApi") == []


def test_url_and_function_are_told(template: dict[str, Any], by_url: dict[str, Any]) -> None:
    """The same outputs whichever way in: a base for paths, without a slash at the end."""
    for made in (template, by_url):
        assert {name for name in made["Outputs"] if not name.startswith("Exports")} == {"SseLambdaUrl", "SseLambdaFunction"}
        first, *_, end = made["Outputs"]["SseLambdaUrl"]["Value"]["Fn::Join"][1]
        assert first == "https://"
        assert not str(end).endswith("/")
