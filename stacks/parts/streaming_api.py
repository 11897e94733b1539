"""A regional REST API whose every route is a stream of one function. HTTP APIs cannot stream; edge-optimized ones cut after 30 s."""

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from aws_cdk import Aws, Duration, RemovalPolicy, Stack
from aws_cdk import aws_apigateway as rest
from aws_cdk import aws_logs as logs
from constructs import Construct

from stacks.config import Config
from stacks.parts.api_log_role import api_log_role
from stacks.parts.function import Function
from stacks.parts.nag import accept

STAGE = "live"
REQUESTS_PER_SECOND = 1_000
BURST_REQUESTS = 2_000
"""A tenth of the account's default quota (10,000 requests a second): one stack cannot starve the others."""

FIELDS = {
    "time": "$context.requestTimeEpoch",
    "id": "$context.requestId",
    "method": "$context.httpMethod",
    "path": "$context.path",
    "status": "$context.status",
    "bytes": "$context.responseLength",
    "ms": "$context.responseLatency",
    "error": "$context.error.message",
}
"""Of the access log: no query string, where tickets are, and no headers."""


class Route(NamedTuple):
    method: str
    path: str


class StreamingApi(rest.RestApi):
    """`headers`: what a page of another origin may send; `seconds`: how long a response may take, at most 15 minutes."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        config: Config,
        function: Function,
        routes: Iterable[Route],
        headers: Iterable[str],
        seconds: int,
    ) -> None:
        super().__init__(
            scope,
            id,
            rest_api_name=f"{Stack.of(scope).stack_name}-streams",
            description="Streams from Lambda",
            endpoint_configuration=rest.EndpointConfiguration(
                types=[rest.EndpointType.REGIONAL], ip_address_type=rest.IpAddressType.DUAL_STACK
            ),
            deploy_options=_stage(scope, f"{id}Logs"),
        )
        self.node.try_remove_child("Endpoint")  # an output whose name nobody chose
        self.base_url = f"https://{self.rest_api_id}.execute-api.{Aws.REGION}.{Aws.URL_SUFFIX}/{STAGE}"
        integration = rest.LambdaIntegration(
            function,
            response_transfer_mode=rest.ResponseTransferMode.STREAM,
            timeout=Duration.seconds(seconds),
            allow_test_invoke=False,
        )
        for route in routes:
            self._add(route, integration, config.origins, list(headers))
        self._own_refusals(config.origins)
        if config.make_log_role:
            self.deployment_stage.node.add_dependency(api_log_role(scope))
        accept(self, "APIG2", "the function checks every request: topics, cursors and bodies have rules that models cannot say")
        accept(
            self.deployment_stage,
            "APIG3",
            "the stage's throttle bounds the load; a web ACL costs 5 USD a month and is the account's choice",
        )
        accept(
            self.deployment_stage,
            "APIG6",
            "the access log has every request; execution logs would hold query strings, and tickets with them",
        )

    def _own_refusals(self, origins: tuple[str, ...]) -> None:
        """What API Gateway answers itself (its throttle, a function that cannot be invoked), so that pages of other origins may read it."""
        named = {"Access-Control-Allow-Origin": "method.request.header.Origin", "Access-Control-Allow-Credentials": "'true'"}
        headers = {"Access-Control-Allow-Origin": "'*'"} if "*" in origins else named  # any origin: nothing is told but the status
        for name, kind in (("Refused", rest.ResponseType.DEFAULT_4_XX), ("Failed", rest.ResponseType.DEFAULT_5_XX)):
            self.add_gateway_response(name, type=kind, response_headers=headers)

    def _add(self, route: Route, integration: rest.LambdaIntegration, origins: tuple[str, ...], headers: list[str]) -> None:
        resource = self.root.resource_for_path(route.path)
        method = resource.add_method(route.method, integration)
        preflight = resource.add_cors_preflight(
            allow_origins=list(origins),
            allow_methods=[route.method],
            allow_headers=headers,
            allow_credentials="*" not in origins,  # cookies: only from pages that are named
            max_age=Duration.hours(1),
        )
        for open_to_all, reason in (
            (method, "the function checks the token: access is per topic, and some topics are public"),
            (preflight, "browsers ask without credentials"),
        ):
            accept(open_to_all, "APIG4", reason)
            accept(open_to_all, "COG4", reason)


def _stage(scope: Construct, id: str) -> dict[str, Any]:
    group = logs.LogGroup(scope, id, retention=logs.RetentionDays.ONE_MONTH, removal_policy=RemovalPolicy.DESTROY)
    return {
        "stage_name": STAGE,
        "throttling_rate_limit": REQUESTS_PER_SECOND,
        "throttling_burst_limit": BURST_REQUESTS,
        "access_log_destination": rest.LogGroupLogDestination(group),
        "access_log_format": rest.AccessLogFormat.custom(json.dumps(FIELDS)),
    }
