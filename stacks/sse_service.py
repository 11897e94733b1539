"""Server-Sent Events: CloudFront -> VPC origin -> internal load balancer -> hubs on Fargate, which read the log."""

from typing import Any, cast

from aws_cdk import CfnOutput, Duration, RemovalPolicy, Stack
from aws_cdk import aws_applicationautoscaling as scaling
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_cloudfront_origins as origins
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from realtime.hub import ROTATE_SECONDS
from stacks.config import ConfigError
from stacks.core import CoreStack
from stacks.network import NetworkStack
from stacks.parts.hops import above_heartbeat
from stacks.parts.image import Image
from stacks.parts.load_balancer_log import LoadBalancerLog
from stacks.parts.nag import accept
from stacks.parts.streaming_edge import StreamingEdge

ASSET = "sse"
PORT = 8080
PATHS = ("/topics/*", "/stream", "/sessions")
"""What the load balancer passes on; health checks and whatever else the service has stay inside."""

IDLE_SECONDS = 60
DEREGISTRATION_SECONDS = 300
STOP_SECONDS = 120
"""Fargate's most, between SIGTERM and SIGKILL."""

CPU, MEMORY_MB = 256, 512
MIN_TASKS, MAX_TASKS = 2, 20
"""Two, in two zones: 7 USD a month each (Fargate, ARM, us-east-1, August 2026)."""

CONNECTIONS_PER_TASK = 2_000
CPU_PERCENT = 60
"""When another task is started. A whole processor holds 9,000 connections (bench); a task has a quarter of one."""

HEALTH_PATH = "/healthz"
"""What the load balancer asks, and with it ECS, which replaces a task that is not healthy. So it is not /readyz.

While Valkey or DynamoDB is away no hub is ready, and ECS would replace all of them in the middle of it: every stream cut,
for tasks that are not ready either. A hub keeps its streams, and catches up from the log. /readyz is for people and alarms.
"""

CHECK_SECONDS, ANSWER_SECONDS, UNHEALTHY_CHECKS = 15, 10, 4

_ARCHITECTURES = {"arm64": ecs.CpuArchitecture.ARM64, "x86_64": ecs.CpuArchitecture.X86_64}


class SseServiceStack(Stack):
    """The hubs, and the way to them: never plain HTTP on a public address."""

    def __init__(self, scope: Construct, id: str, *, core: CoreStack, network: NetworkStack, **stack: Any) -> None:
        super().__init__(scope, id, **stack)
        self._core, self._network = core, network
        self._idle = above_heartbeat("the load balancer's idle time-out", IDLE_SECONDS)
        if max(ROTATE_SECONDS) >= DEREGISTRATION_SECONDS:
            raise ConfigError("DEREGISTRATION_SECONDS: a task is stopped before its connections have rotated")
        self._certificate = core.config.certificate
        self._balancer = self._load_balancer()
        self.origin = None if self._certificate else self._vpc_origin()
        """The hubs, for a distribution; with a certificate the load balancer is public, and its domain is not known here."""
        LoadBalancerLog(self, "AccessLogs", self._balancer)
        self._service = self._hubs()
        self._scale(self._target())
        url = f"https://{self._edge(self.origin).distribution_domain_name if self.origin else self._balancer.load_balancer_dns_name}"
        CfnOutput(
            self, "SseUrl", value=url, description="GET /topics/{topic}/stream, /stream?topic=; with a certificate: its domain's CNAME"
        )
        CfnOutput(self, "SseCluster", value=self._service.cluster.cluster_name, description="ECS cluster of the hubs")

    def _load_balancer(self) -> elb.ApplicationLoadBalancer:
        group = ec2.SecurityGroup(self, "BalancerGroup", vpc=self._network.vpc, description="The load balancer", allow_all_outbound=False)
        kind = ec2.SubnetType.PUBLIC if self._certificate else ec2.SubnetType.PRIVATE_ISOLATED
        balancer = elb.ApplicationLoadBalancer(
            self,
            "Balancer",
            vpc=self._network.vpc,
            internet_facing=bool(self._certificate),
            vpc_subnets=ec2.SubnetSelection(subnet_type=kind),
            security_group=group,
            idle_timeout=self._idle,
            drop_invalid_header_fields=True,
        )
        if self._certificate:
            group.add_ingress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(443), "Everybody, by HTTPS")
            accept(group, "EC23", "it is the public way in, and HTTPS only")
        else:  # a VPC origin comes from a group of CloudFront's own, which is there only once the origin is
            group.add_ingress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(80), "CloudFront's VPC origin: nobody else has a way here")
            accept(group, "EC23", "the load balancer is internal, in isolated subnets: only CloudFront's VPC origin reaches it")
        return balancer

    def _listener(self) -> elb.ApplicationListener:
        return self._balancer.add_listener(
            "Https" if self._certificate else "Internal",
            protocol=elb.ApplicationProtocol.HTTPS if self._certificate else elb.ApplicationProtocol.HTTP,
            default_action=elb.ListenerAction.fixed_response(404),
            open=False,
            certificates=[elb.ListenerCertificate.from_arn(self._certificate)] if self._certificate else None,
        )

    def _target(self) -> elb.ApplicationTargetGroup:
        return self._listener().add_targets(
            "Hubs",
            port=PORT,
            protocol=elb.ApplicationProtocol.HTTP,
            targets=[self._service],
            priority=1,
            conditions=[elb.ListenerCondition.path_patterns(list(PATHS))],
            deregistration_delay=Duration.seconds(DEREGISTRATION_SECONDS),
            load_balancing_algorithm_type=elb.TargetGroupLoadBalancingAlgorithmType.LEAST_OUTSTANDING_REQUESTS,
            health_check=elb.HealthCheck(
                path=HEALTH_PATH,
                interval=Duration.seconds(CHECK_SECONDS),
                timeout=Duration.seconds(ANSWER_SECONDS),
                healthy_threshold_count=2,
                unhealthy_threshold_count=UNHEALTHY_CHECKS,
            ),
        )

    def _hubs(self) -> ecs.FargateService:
        cluster = ecs.Cluster(self, "Cluster", vpc=self._network.vpc)
        accept(cluster, "ECS4", "Container Insights is billed by metric; what scales the service is measured for free")
        group = ec2.SecurityGroup(self, "Tasks", vpc=self._network.vpc, description="Hubs: the load balancer alone gets in")
        return ecs.FargateService(
            self,
            "Service",
            cluster=cluster,
            task_definition=self._task(),
            security_groups=[group, self._network.cache_clients(self)],
            vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PUBLIC),
            assign_public_ip=True,  # the way to AWS without a NAT gateway: the groups admit nobody else
            circuit_breaker=ecs.DeploymentCircuitBreaker(rollback=True),
            min_healthy_percent=100,
            max_healthy_percent=200,
            health_check_grace_period=Duration.seconds(60),
            propagate_tags=ecs.PropagatedTagSource.SERVICE,  # tasks are what is billed
        )

    def _task(self) -> ecs.FargateTaskDefinition:
        config = self._core.config
        task = ecs.FargateTaskDefinition(
            self,
            "Task",
            cpu=CPU,
            memory_limit_mib=MEMORY_MB,
            runtime_platform=ecs.RuntimePlatform(
                cpu_architecture=_ARCHITECTURES[config.architecture], operating_system_family=ecs.OperatingSystemFamily.LINUX
            ),
        )
        image = Image(self, "Image", config=config, asset=ASSET, folder="services/sse")
        container = task.add_container(
            "Hub",
            image=ecs.ContainerImage.from_docker_image_asset(image),
            environment=self._environment(),
            logging=ecs.LogDrivers.aws_logs(stream_prefix="hub", log_group=self._logs()),
            port_mappings=[ecs.PortMapping(container_port=PORT)],
            readonly_root_filesystem=True,
            stop_timeout=Duration.seconds(STOP_SECONDS),
        )
        container.add_ulimits(ecs.Ulimit(name=ecs.UlimitName.NOFILE, soft_limit=65_536, hard_limit=65_536))
        accept(task, "ECS2", "no secret among them: names of tables, parameters and of the secret, which the service reads itself")
        accept(cast("iam.Role", task.obtain_execution_role()), "IAM5[Resource::*]", "ecr:GetAuthorizationToken has no resource")
        self._grant(task.task_role)
        return task

    def _environment(self) -> dict[str, str]:
        return {**self._core.function_environment(), "FEATURES": "features.json", "BUS_PARAMETER": self._network.bus_parameter}

    def _logs(self) -> logs.LogGroup:
        return logs.LogGroup(self, "HubLogs", retention=logs.RetentionDays.ONE_MONTH, removal_policy=RemovalPolicy.DESTROY)

    def _grant(self, role: iam.IRole) -> None:
        self._core.log.grant(
            role, "dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:PutItem", "dynamodb:BatchWriteItem"
        )
        self._core.access.grant(  # directions of features; counters of publishers; tickets that are spent
            role, "dynamodb:GetItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"
        )
        bus = self.format_arn(service="ssm", resource="parameter", resource_name=self._network.bus_parameter.lstrip("/"))
        for action, arn in (("secretsmanager:GetSecretValue", self._core.secret.secret_arn), ("ssm:GetParameter", bus)):
            role.add_to_principal_policy(iam.PolicyStatement(actions=[action], resources=[arn]))

    def _scale(self, target: elb.ApplicationTargetGroup) -> None:
        tasks = self._service.auto_scale_task_count(min_capacity=MIN_TASKS, max_capacity=MAX_TASKS)
        tasks.scale_on_cpu_utilization("Cpu", target_utilization_percent=CPU_PERCENT)
        tasks.scale_on_metric(
            "Connections",
            metric=self._connections_per_task(target),
            adjustment_type=scaling.AdjustmentType.PERCENT_CHANGE_IN_CAPACITY,
            min_adjustment_magnitude=1,
            evaluation_periods=2,
            scaling_steps=[
                scaling.ScalingInterval(upper=CONNECTIONS_PER_TASK / 4, change=-10),
                scaling.ScalingInterval(lower=CONNECTIONS_PER_TASK, change=50),
            ],
        )

    def _connections_per_task(self, target: elb.ApplicationTargetGroup) -> cloudwatch.MathExpression:
        """ActiveConnectionCount has both sides of a stream, client's and task's (ELB user guide): half of it are streams."""
        minute = Duration.minutes(1)
        return cloudwatch.MathExpression(
            expression="active / 2 / hosts",
            label="Streams per task",
            period=minute,
            using_metrics={
                "active": self._balancer.metrics.active_connection_count(period=minute, statistic="Sum"),
                "hosts": target.metrics.healthy_host_count(period=minute, statistic="Minimum"),
            },
        )

    def _vpc_origin(self) -> cloudfront.IOrigin:
        return origins.VpcOrigin.with_application_load_balancer(
            self._balancer,
            protocol_policy=cloudfront.OriginProtocolPolicy.HTTP_ONLY,  # within the VPC, where nobody else is
            read_timeout=above_heartbeat("CloudFront's read time-out", IDLE_SECONDS),
        )

    def _edge(self, origin: cloudfront.IOrigin) -> StreamingEdge:
        return StreamingEdge(
            self,
            "Edge",
            comment="Server-Sent Events",
            origin=origin,
            origin_request_policy=cloudfront.OriginRequestPolicy.ALL_VIEWER,  # headers, cookies and query, all of them
            why_no_log="the load balancer's access log has every request; edge logs would hold visitors' addresses as well",
        )
