"""The plugin in an app of the CDK that is not ours."""

from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_logs as logs
from constructs import Construct, IConstruct

from guardrails.assembly import sources
from guardrails.plugin import RealtimeGuardRails

BREAKS = "nobody is asked later"
FIX = "give the $connect route an authorizer"


def app(folder: Path) -> cdk.App:
    app = cdk.App(outdir=str(folder), builtin_cloud_formation_validation=False, context={"aws:cdk:enable-path-metadata": True})
    cdk.Validations.of(app).add_plugins(RealtimeGuardRails())
    return app


def open_api(scope: Construct, id: str) -> apigateway.CfnRoute:
    """A $connect route that asks nobody."""
    return apigateway.CfnRoute(scope, id, api_id="a1b2c3d4e5", route_key="$connect")


def accept(construct: IConstruct, rule: str) -> None:
    cdk.Validations.of(construct).acknowledge(cdk.Acknowledgment(id=f"RealtimeGuardRails::{rule}", reason="the handler checks a ticket"))


def words(error: pytest.ExceptionInfo[Exception]) -> str:
    """What synth told, whose lines the CDK breaks as it likes."""
    return " ".join(str(error.value).split())


def test_defect_fails_the_synth(tmp_path: Path) -> None:
    """With the stack, the resource, its construct, what breaks and how to mend it."""
    made = app(tmp_path)
    open_api(cdk.Stack(made, "Chat"), "Connect")
    with pytest.raises(Exception, match="open-connect") as error:
        made.synth()
    assert all(text in words(error) for text in ("Chat Connect", "Chat/Connect", BREAKS, FIX))


def test_sound_app_synthesizes(tmp_path: Path) -> None:
    """Nothing is told where nothing is wrong."""
    made = app(tmp_path)
    logs.CfnLogGroup(cdk.Stack(made, "Chat"), "Logs", retention_in_days=30)
    made.synth()


@pytest.mark.parametrize("on", ["Chat", "Chat/Public", "Chat/Public/Connect"])
def test_acknowledged_finding_passes(tmp_path: Path, on: str) -> None:
    """On the construct or one around it; the CDK itself takes it out of the report."""
    made = app(tmp_path)
    route = open_api(Construct(cdk.Stack(made, "Chat"), "Public"), "Connect")
    accept(next(scope for scope in route.node.scopes if scope.node.path == on), "open-connect")
    made.synth()


def test_acknowledgement_is_for_one_rule_and_one_construct(tmp_path: Path) -> None:
    """The rest of the report still fails the synth."""
    made = app(tmp_path)
    stack = cdk.Stack(made, "Chat")
    accept(open_api(stack, "Accepted"), "open-connect")
    open_api(stack, "Forgotten")
    logs.CfnLogGroup(stack, "Logs")
    with pytest.raises(Exception, match="open-connect") as error:
        made.synth()
    assert "Forgotten" in words(error)
    assert "endless-logs" in words(error)
    assert "Chat Accepted" not in words(error)


def test_nested_stacks_and_stages_are_read(tmp_path: Path) -> None:
    """Templates that are no stack artifacts of the app itself."""
    made = app(tmp_path)
    open_api(cdk.NestedStack(cdk.Stack(made, "Outer"), "Inner"), "Nested")
    open_api(cdk.Stack(cdk.Stage(made, "Prod"), "Chat"), "Staged")
    with pytest.raises(Exception, match="open-connect") as error:
        made.synth()
    assert "Outer/Inner/Nested" in words(error)
    assert "Prod/Chat/Staged" in words(error)


@pytest.mark.parametrize(("heartbeat", "fails"), [(20, False), (30, True)])
def test_heartbeat_is_the_apps(tmp_path: Path, heartbeat: float, fails: bool) -> None:
    """A load balancer waits for 60 s where nobody says otherwise."""
    made = cdk.App(outdir=str(tmp_path), builtin_cloud_formation_validation=False)
    cdk.Validations.of(made).add_plugins(RealtimeGuardRails(heartbeat_seconds=heartbeat))
    cdk.aws_elasticloadbalancingv2.CfnLoadBalancer(cdk.Stack(made, "Hubs"), "Balancer")
    if fails:
        with pytest.raises(Exception, match="idle-timeout"):
            made.synth()
    else:
        made.synth()


def test_heartbeat_that_is_none_is_refused() -> None:
    """Where the app is written, not as a synth that finds nothing."""
    with pytest.raises(ValueError, match="give a finite number of seconds above 0"):
        RealtimeGuardRails(heartbeat_seconds=float("nan"))


@pytest.mark.parametrize("override", [None, "Deployment1f0c9a3be7"])
def test_l1_deployment_needs_a_logical_id_of_its_own(tmp_path: Path, override: str | None) -> None:
    """The one that the CDK gives it is a hash of its path."""
    made = app(tmp_path)
    deployment = apigateway.CfnDeployment(Construct(cdk.Stack(made, "Chat"), "Api"), "Deployment", api_id="a1b2c3d4e5")
    if override:
        deployment.override_logical_id(override)
        made.synth()
    else:
        with pytest.raises(Exception, match="stale-deployment"):
            made.synth()


def test_assembly_tells_what_was_acknowledged(tmp_path: Path) -> None:
    """So that an app in TypeScript, which cannot use the plugin, may acknowledge in code and be judged by the command."""
    made = app(tmp_path)
    stack = cdk.Stack(made, "Chat")
    nested = cdk.NestedStack(stack, "Inner")
    for route in (open_api(stack, "Connect"), open_api(nested, "Nested"), open_api(cdk.Stack(cdk.Stage(made, "Prod"), "Chat"), "Staged")):
        accept(route, "open-connect")
    accept(stack, "endless-logs")
    logs.CfnLogGroup(nested, "Logs")
    made.synth()
    read: dict[str, Any] = {source.file.name: source.findings(15) for source in sources(tmp_path)}
    assert len(read) == 3
    assert not any(read.values())
