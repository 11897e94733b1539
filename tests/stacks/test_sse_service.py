"""SseServiceStack: nothing public but HTTPS, no time-out that cuts a stream, and tasks that may do what they do."""

import json
from pathlib import Path
from typing import Any

import pytest

from realtime.hub import HEARTBEAT_SECONDS, ROTATE_SECONDS
from services.sse.server import DRAIN_SECONDS, KEEP_ALIVE_SECONDS
from services.sse.transport import END_SECONDS
from stacks import sse_service
from stacks.config import ConfigError
from tests.stacks.conftest import CERTIFICATE, ROOT, Templates, of_type, only, synthesize

CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"  # CloudFront's managed policy


@pytest.fixture(scope="module")
def template(templates: Templates) -> dict[str, Any]:
    return templates["SseServiceStack"]


@pytest.fixture(scope="module")
def public(certified: Templates) -> dict[str, Any]:
    return certified["SseServiceStack"]


def container(template: dict[str, Any]) -> dict[str, Any]:
    (found,) = only(template, "ECS::TaskDefinition")["ContainerDefinitions"]
    assert isinstance(found, dict)
    return found


def attributes(balancer_or_group: list[dict[str, str]]) -> dict[str, str]:
    return {entry["Key"]: entry["Value"] for entry in balancer_or_group}


def idle_seconds(template: dict[str, Any]) -> int:
    balancer = only(template, "ElasticLoadBalancingV2::LoadBalancer")
    return int(attributes(balancer["LoadBalancerAttributes"])["idle_timeout.timeout_seconds"])


def origin(template: dict[str, Any]) -> dict[str, Any]:
    (found,) = only(template, "CloudFront::Distribution")["DistributionConfig"]["Origins"]
    assert isinstance(found, dict)
    return found


def ingress(template: dict[str, Any]) -> list[tuple[str, int]]:
    """Whom the template's groups admit by address, and where."""
    inline = [rule for group in of_type(template, "AWS::EC2::SecurityGroup") for rule in group.get("SecurityGroupIngress", [])]
    rules = inline + of_type(template, "AWS::EC2::SecurityGroupIngress")
    return [(rule["CidrIp"], rule["FromPort"]) for rule in rules if "CidrIp" in rule]


def test_load_balancer_is_inside_and_cloudfront_in_front(template: dict[str, Any]) -> None:
    """Plain HTTP stays within the VPC: internal, in isolated subnets. A VPC origin comes with addresses of CloudFront's group."""
    balancer = only(template, "ElasticLoadBalancingV2::LoadBalancer")
    assert balancer["Scheme"] == "internal"
    assert all("IsolatedSubnet" in json.dumps(subnet) for subnet in balancer["Subnets"])
    assert ingress(template) == [("0.0.0.0/0", 80)]


def test_edge_takes_https_only_and_has_http_2_and_3(template: dict[str, Any]) -> None:
    """So a page may have more than six streams. Nothing is kept, nothing compressed, which would hold events back."""
    config = only(template, "CloudFront::Distribution")["DistributionConfig"]
    behavior = config["DefaultCacheBehavior"]
    assert config["HttpVersion"] == "http2and3"
    assert (behavior["ViewerProtocolPolicy"], behavior["CachePolicyId"], behavior["Compress"]) == ("https-only", CACHING_DISABLED, False)
    assert {e["ErrorCachingMinTTL"] for e in config["CustomErrorResponses"]} == {0}
    assert "VpcOriginConfig" in origin(template)


def test_with_a_certificate_there_is_https_and_nothing_else(public: dict[str, Any]) -> None:
    """A public load balancer has one listener, which speaks TLS 1.2 and later; there is no distribution."""
    listener = only(public, "ElasticLoadBalancingV2::Listener")
    assert (listener["Protocol"], listener["Port"], listener["Certificates"]) == ("HTTPS", 443, [{"CertificateArn": CERTIFICATE}])
    assert listener["SslPolicy"].startswith("ELBSecurityPolicy-TLS13-1-2")
    assert ingress(public) == [("0.0.0.0/0", 443)]
    assert not of_type(public, "AWS::CloudFront::Distribution")


def test_only_streams_and_publishing_pass(template: dict[str, Any], public: dict[str, Any]) -> None:
    """/healthz, /readyz and whatever else a hub has are answered with 404 on the way."""
    for made in (template, public):
        (action,) = only(made, "ElasticLoadBalancingV2::Listener")["DefaultActions"]
        (condition,) = only(made, "ElasticLoadBalancingV2::ListenerRule")["Conditions"]
        assert action["FixedResponseConfig"]["StatusCode"] == "404"
        assert condition["PathPatternConfig"]["Values"] == ["/topics/*", "/stream", "/sessions"]


def test_no_timer_on_the_way_cuts_a_silent_stream(template: dict[str, Any]) -> None:
    """Even when one heartbeat comes late. And a hub keeps idle connections for longer than the load balancer does."""
    for seconds in (idle_seconds(template), origin(template)["VpcOriginConfig"]["OriginReadTimeout"]):
        assert seconds > 2 * HEARTBEAT_SECONDS
    assert idle_seconds(template) < KEEP_ALIVE_SECONDS


def test_deployment_waits_until_connections_have_rotated(template: dict[str, Any]) -> None:
    """Then it sends SIGTERM, and what that takes is over before SIGKILL."""
    group = attributes(only(template, "ElasticLoadBalancingV2::TargetGroup")["TargetGroupAttributes"])
    assert int(group["deregistration_delay.timeout_seconds"]) > max(ROTATE_SECONDS)
    assert DRAIN_SECONDS + END_SECONDS + 1 < container(template)["StopTimeout"] <= 120


@pytest.mark.parametrize(
    ("name", "seconds", "told"),
    [
        ("IDLE_SECONDS", 30, "the load balancer's idle time-out is 30 s: streams are silent for 15 s"),
        ("DEREGISTRATION_SECONDS", 240, "a task is stopped before its connections have rotated"),
    ],
)
def test_times_that_cut_streams_fail_the_synth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, seconds: int, told: str) -> None:
    """Whoever changes one of the numbers learns of the other."""
    monkeypatch.setattr(sse_service, name, seconds)
    with pytest.raises(ConfigError, match=told):
        synthesize(tmp_path, ROOT / "features.toml")


def test_streams_go_to_the_least_busy_hub(template: dict[str, Any]) -> None:
    """Round robin would fill the oldest task. A target is judged by /healthz: /readyz is red on all of them while the bus is away."""
    group = only(template, "ElasticLoadBalancingV2::TargetGroup")
    assert attributes(group["TargetGroupAttributes"])["load_balancing.algorithm.type"] == "least_outstanding_requests"
    assert (group["HealthCheckPath"], group["Port"], group["UnhealthyThresholdCount"]) == ("/healthz", 8080, 4)


def test_access_logs_need_no_region_at_synth(template: dict[str, Any]) -> None:
    """Only log delivery, for this account, writes into the bucket; the load balancer waits for that right."""
    balancer = only(template, "ElasticLoadBalancingV2::LoadBalancer")
    (allowed,) = [s for s in only(template, "S3::BucketPolicy")["PolicyDocument"]["Statement"] if s["Effect"] == "Allow"]
    assert attributes(balancer["LoadBalancerAttributes"])["access_logs.s3.enabled"] == "true"
    assert allowed["Principal"] == {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"}
    assert "/AWSLogs/" in json.dumps(allowed["Resource"])
    assert any(
        "AccessLogsPolicy" in name for r in template["Resources"].values() if r.get("Properties") == balancer for name in r["DependsOn"]
    )


def test_task_is_a_hardened_arm_task(template: dict[str, Any]) -> None:
    """Nothing can be written to its file system; it may have a file descriptor for each connection."""
    task, hub = only(template, "ECS::TaskDefinition"), container(template)
    assert task["RuntimePlatform"] == {"CpuArchitecture": "ARM64", "OperatingSystemFamily": "LINUX"}
    assert hub["ReadonlyRootFilesystem"]
    assert not hub.get("Privileged")
    assert hub["Ulimits"] == [{"Name": "nofile", "SoftLimit": 65_536, "HardLimit": 65_536}]


def test_task_may_do_what_the_service_does_and_no_more(template: dict[str, Any]) -> None:
    """Read and append to the log, count publishes and spend tickets, read the secret, and read one parameter."""
    (policy,) = [p for p in of_type(template, "AWS::IAM::Policy") if "TaskRole" in p["PolicyName"]]
    log, access, secret, parameter = policy["PolicyDocument"]["Statement"]
    assert log["Action"] == [f"dynamodb:{a}" for a in ("BatchGetItem", "BatchWriteItem", "GetItem", "PutItem", "Query")]
    assert access["Action"] == ["dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:UpdateItem"]
    assert secret["Action"] == "secretsmanager:GetSecretValue"
    assert parameter["Action"] == "ssm:GetParameter"
    assert json.dumps(parameter["Resource"]).endswith(':parameter/realtime/NetworkStack/bus"]]}')
    assert "*" not in json.dumps(policy["PolicyDocument"])


def test_hubs_admit_the_load_balancer_alone(template: dict[str, Any], public: dict[str, Any]) -> None:
    """They have public addresses, which is the way out without a NAT gateway; no way in leads past the load balancer."""
    for made in (template, public):
        assert only(made, "ECS::Service")["NetworkConfiguration"]["AwsvpcConfiguration"]["AssignPublicIp"] == "ENABLED"
        rule = only(made, "EC2::SecurityGroupIngress")
        assert (rule["FromPort"], rule["ToPort"]) == (8080, 8080)
        assert "BalancerGroup" in json.dumps(rule["SourceSecurityGroupId"])


def test_failed_deployment_is_taken_back(template: dict[str, Any]) -> None:
    """And the old tasks stay until the new ones are there."""
    deployment = only(template, "ECS::Service")["DeploymentConfiguration"]
    assert deployment["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}
    assert (deployment["MinimumHealthyPercent"], deployment["MaximumPercent"]) == (100, 200)


def test_hubs_grow_by_connections_and_by_cpu(template: dict[str, Any]) -> None:
    """Streams that are silent take no CPU, and few busy ones are few connections: either may call for another task."""
    target = only(template, "ApplicationAutoScaling::ScalableTarget")
    kinds = sorted(policy["PolicyType"] for policy in of_type(template, "AWS::ApplicationAutoScaling::ScalingPolicy"))
    assert (target["MinCapacity"], target["MaxCapacity"]) == (2, 20)
    assert kinds == ["StepScaling", "StepScaling", "TargetTrackingScaling"]
    thresholds = sorted(alarm["Threshold"] for alarm in of_type(template, "AWS::CloudWatch::Alarm"))
    assert thresholds == [500, 2000]
