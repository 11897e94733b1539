"""ShopStack: one domain before page, front door and streams, and nothing that the page or its visitors get beyond that."""

import json
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest

from stacks.assets import AssetError
from stacks.config import Config, ConfigError
from stacks.core import BURST_REQUESTS
from stacks.parts import page
from stacks.parts.site import Site
from tests.stacks.conftest import CERTIFICATE, ROOT, Templates, actions, of_type, only, synthesize
from tests.stacks.test_polling import CACHING_DISABLED, behaviors

FEATURES = ROOT / "features.toml"
ALL_VIEWER = "216adef6-5c7f-47e4-b989-5492eafa07d3"  # CloudFront's managed policies
ALL_VIEWER_EXCEPT_HOST_HEADER = "b689b0a8-53d0-40ab-baf2-68738e2966ac"
PUBLISHES = {"dynamodb:GetItem", "dynamodb:Query", "dynamodb:PutItem", "dynamodb:BatchWriteItem", "dynamodb:UpdateItem"}


@pytest.fixture(scope="module")
def template(templates: Templates) -> dict[str, Any]:
    return templates["ShopStack"]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """With guests, and streams of Lambda that come from a Function URL."""
    made = synthesize(tmp_path_factory.mktemp("cdk"), FEATURES, shop_guests="on", lambda_endpoint="function-url")
    return made["ShopStack"]


@pytest.fixture(scope="module")
def figures_alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The assembly for a features file with nothing else."""
    folder = tmp_path_factory.mktemp("cdk")
    (folder / "features.toml").write_text('[features.metrics]\npattern = "polling"\n')
    synthesize(folder / "out", folder / "features.toml")
    return folder / "out"


def origin_of(template: dict[str, Any], path: str) -> dict[str, Any]:
    config = only(template, "CloudFront::Distribution")["DistributionConfig"]
    wanted = behaviors(template)[path]["TargetOriginId"]
    found: dict[str, Any] = next(origin for origin in config["Origins"] if origin["Id"] == wanted)
    return found


def policy(template: dict[str, Any]) -> str:
    headers = only(template, "CloudFront::ResponseHeadersPolicy")["ResponseHeadersPolicyConfig"]["SecurityHeadersConfig"]
    return json.dumps(headers["ContentSecurityPolicy"]["ContentSecurityPolicy"])


def test_paths_lead_where_they_are_served(template: dict[str, Any]) -> None:
    """The first that fits counts: a stream of Lambda's before those of the hubs, and these before the front door."""
    assert list(behaviors(template)) == [
        "*",
        "/live/*",
        "/answers*",
        "/topics/answers/*/stream",
        "/stream",
        "/topics/*/stream",
        "/topics/*/events",
        "/topics/metrics",
        "/topics/*",
        "/tickets",
        "/sessions",
    ]
    assert "VpcOriginConfig" in origin_of(template, "/stream")
    assert origin_of(template, "/stream") == origin_of(template, "/topics/*/stream")
    assert origin_of(template, "/answers*")["OriginPath"] == "/live"
    assert "OriginPath" not in origin_of(template, "/live/*")
    assert "S3OriginConfig" in origin_of(template, "*")
    assert "CoreStack" in json.dumps(origin_of(template, "/topics/*")["DomainName"])


def test_nothing_holds_a_stream_back(template: dict[str, Any]) -> None:
    """Neither a cache nor compression; and every origin is waited for while a heartbeat may still come."""
    for path in ("/live/*", "/answers*", "/topics/answers/*/stream", "/stream", "/topics/*/stream"):
        found, origin = behaviors(template)[path], origin_of(template, path)
        assert (found["CachePolicyId"], found["Compress"]) == (CACHING_DISABLED, False)
        assert (origin.get("CustomOriginConfig") or origin["VpcOriginConfig"])["OriginReadTimeout"] == 60
    assert behaviors(template)["/stream"]["OriginRequestPolicyId"] == ALL_VIEWER


def test_only_public_topics_are_shared(template: dict[str, Any]) -> None:
    """Of a public poll nothing of the caller gets on; everything else passes with its token and cookie, and is never kept."""
    found = behaviors(template)
    assert "OriginRequestPolicyId" not in found["/topics/metrics"]
    for path in ("/topics/*/events", "/topics/*", "/tickets", "/sessions"):
        assert found[path]["CachePolicyId"] == CACHING_DISABLED
        assert found[path]["OriginRequestPolicyId"] == ALL_VIEWER_EXCEPT_HOST_HEADER


def test_page_may_run_and_reach_only_what_is_ours(template: dict[str, Any], shown: dict[str, Any]) -> None:
    """Own scripts, own domain, the WebSocket API; and a Function URL's distribution where clients go there directly."""
    assert "default-src 'none'; script-src 'self';" in policy(template)
    assert "unsafe" not in policy(template)
    assert "connect-src 'self' wss://" in policy(template)
    assert "https://" not in policy(template)
    assert "https://" in policy(shown)


def test_page_is_only_for_https(template: dict[str, Any]) -> None:
    """A year of HSTS; the bucket is private, and refuses plain HTTP as well."""
    headers = only(template, "CloudFront::ResponseHeadersPolicy")["ResponseHeadersPolicyConfig"]["SecurityHeadersConfig"]
    assert headers["StrictTransportSecurity"]["AccessControlMaxAgeSec"] == 31_536_000
    assert set(only(template, "S3::Bucket")["PublicAccessBlockConfiguration"].values()) == {True}
    (denied, allowed) = only(template, "S3::BucketPolicy")["PolicyDocument"]["Statement"]
    assert (denied["Effect"], denied["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    assert (allowed["Principal"], allowed["Action"]) == ({"Service": "cloudfront.amazonaws.com"}, "s3:GetObject")


def test_stack_leaves_nothing_behind(template: dict[str, Any]) -> None:
    """Its bucket is emptied and goes with it, and so do the logs."""
    assert not [r for r in template["Resources"].values() if r.get("DeletionPolicy") == "Retain"]
    assert of_type(template, "Custom::CDKBucketDeployment")[0]["RetainOnDelete"] is False


def test_job_runs_every_minute_and_one_at_a_time(template: dict[str, Any]) -> None:
    """A late run comes while its idempotency keys are known (5 minutes); a failed one is not tried again beside the next."""
    rule, late = only(template, "Events::Rule"), only(template, "Lambda::EventInvokeConfig")
    assert rule["ScheduleExpression"] == "rate(1 minute)"
    assert late["MaximumRetryAttempts"] == 0
    assert rule["Targets"][0]["RetryPolicy"]["MaximumEventAgeInSeconds"] + late["MaximumEventAgeInSeconds"] < 300
    assert next(f["Timeout"] for f in of_type(template, "AWS::Lambda::Function") if "FEATURES" in str(f)) < 60


def test_job_may_publish_and_nothing_else(template: dict[str, Any]) -> None:
    """It has no secret: it needs no token."""
    allowed = {action for action in actions(template) if not action.startswith(("s3:", "logs:"))}
    assert allowed == PUBLISHES


def test_guests_are_off_by_default(template: dict[str, Any], shown: dict[str, Any]) -> None:
    """A public page that hands out tokens is somebody's decision; then an API of its own bounds how many."""
    assert not of_type(template, "AWS::ApiGatewayV2::Route")
    assert only(shown, "ApiGatewayV2::Route")["RouteKey"] == "POST /guests"
    assert only(shown, "ApiGatewayV2::Stage")["DefaultRouteSettings"]["ThrottlingBurstLimit"] < BURST_REQUESTS / 10
    assert behaviors(shown)["/guests"]["CachePolicyId"] == CACHING_DISABLED


def test_function_url_is_not_behind_the_domain(shown: dict[str, Any]) -> None:
    """It takes no bearer token from a distribution, so clients get its own URL."""
    assert not [path for path in behaviors(shown) if "answers" in path or "live" in path]


def test_shop_of_figures_alone_needs_no_streams(figures_alone: Path) -> None:
    """Page, front door and polls, and only the page's own domain to connect to."""
    least = json.loads((figures_alone / "ShopStack.template.json").read_text())
    assert "/topics/*/stream" not in behaviors(least)
    assert "connect-src 'self'\"" in policy(least)


def test_deploying_it_brings_the_reads_along(figures_alone: Path) -> None:
    """They are routes that another stack adds to the front door: no reference says so."""
    artifacts = json.loads((figures_alone / "manifest.json").read_text())["artifacts"]
    assert {"CoreStack", "PollingStack"} <= set(artifacts["ShopStack"]["dependencies"])


def test_stack_is_there_if_wanted(templates: Templates, certified: Templates) -> None:
    """By context, and only where the features have the figures that it is about (the files of examples/ have none)."""
    assert "ShopStack" in templates
    assert "ShopStack" not in certified


@pytest.mark.parametrize(
    ("context", "told"),
    [
        ({"realtime:shop": "on", "realtime:certificate": CERTIFICATE}, "the shop's one domain needs the internal load balancer"),
        (
            {
                "realtime:shop-guests": "on",
                "realtime:oidc-issuer": "https://i",
                "realtime:oidc-audience": "a",
                "realtime:oidc-jwks": "https://i/k",
            },
            "guests' tokens are of the stack's own secret",
        ),
    ],
)
def test_choices_that_cannot_both_be_are_told(context: dict[str, str], told: str) -> None:
    """Before anything is deployed."""
    with pytest.raises(ConfigError, match=told):
        Config.of(cdk.App(context={**context, "features": str(FEATURES)}))


def test_page_has_its_files_and_no_others(tmp_path: Path) -> None:
    """web/, the client and the chart library: no Python, no tests, no types."""
    page.put_into(tmp_path)
    found = {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()}
    assert found == set(page.files())
    assert {"index.html", "vendor/uPlot.esm.js", "vendor/uPlot.min.css"} <= found
    assert {Path(name).suffix for name in found} <= {".html", ".css", ".js", ".svg"}


@pytest.mark.parametrize(
    ("context", "streams", "guests", "answers"),
    [
        ({}, {"url": "/live", "ticket": False}, None, True),
        ({"shop_guests": "on", "lambda_endpoint": "function-url"}, {"ticket": True}, True, None),
    ],
)
def test_clients_are_told_the_ways_of_the_domain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, context: dict[str, Any], streams: dict[str, object], guests: object, answers: object
) -> None:
    """client.json: everything on the page's own origin, but the WebSocket API and a Function URL."""
    told = dict[str, Any]()

    class Listening(Site):
        def __init__(self, *place: Any, facts: dict[str, Any]) -> None:
            told.update(facts)
            super().__init__(*place, facts=facts)

    monkeypatch.setattr("stacks.shop.Site", Listening)
    synthesize(tmp_path, FEATURES, **context)
    assert (told["http"], told["sse"]["service"]) == ("", {"url": ""})
    assert told["websocket"].startswith("wss://")
    assert told["sse"]["lambda"].items() >= streams.items()
    assert (told.get("guests"), told.get("answers")) == (guests, answers)
    assert told["features"]["orders"]["pattern"] == "fallback"


def test_missing_library_is_told_with_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Synth never installs: it says what to run."""
    monkeypatch.setattr(page, "VENDOR", ROOT / "node_modules/none")
    with pytest.raises(AssetError, match=r"uPlot\.esm\.js is not there: run npm ci"):
        page.put_into(tmp_path)
