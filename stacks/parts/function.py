"""A Python Lambda with what every one of ours has: its own role and log group, bounded time, JSON logs, no more."""

from collections.abc import Mapping
from typing import Any

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from stacks.assets import FEATURES, Target, stage
from stacks.config import Config

TIMEOUT_SECONDS = 15
"""Half of what an HTTP API waits (30 s), and more than an append's deadline (5 s) and its slowest last attempt take."""

MEMORY_MB = 1024
"""Processor time grows with memory: imports, the bulk of a cold start, take half of what they take at 512 MB."""

_ARCHITECTURES = {"arm64": lambda_.Architecture.ARM_64, "x86_64": lambda_.Architecture.X86_64}


class Function(lambda_.Function):
    """`handler` is the import path, the same that a test imports: functions.http.reads.handler."""

    def __init__(
        self, scope: Construct, id: str, *, config: Config, asset: str, handler: str, environment: Mapping[str, str], **more: Any
    ) -> None:
        target = Target(config.python, config.architecture, config.wheels)
        folder, digest = stage(target, asset, config.features)
        log_group = logs.LogGroup(scope, f"{id}Logs", retention=logs.RetentionDays.ONE_MONTH, removal_policy=RemovalPolicy.DESTROY)
        role = iam.Role(scope, f"{id}Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        log_group.grant_write(role)
        super().__init__(
            scope,
            id,
            runtime=lambda_.Runtime(f"python{config.python}", lambda_.RuntimeFamily.PYTHON),
            architecture=_ARCHITECTURES[config.architecture],
            code=lambda_.Code.from_asset(str(folder), asset_hash=digest),
            handler=handler,
            environment={"FEATURES": FEATURES, **environment},
            role=role,
            log_group=log_group,
            logging_format=lambda_.LoggingFormat.JSON,
            system_log_level_v2=lambda_.SystemLogLevel.WARN,  # start and report of each call would cost more than the call's time
            **{"memory_size": MEMORY_MB, "timeout": Duration.seconds(TIMEOUT_SECONDS), **more},
        )
