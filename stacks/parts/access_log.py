"""Access logs of an API: one JSON line a request, without query string, headers or body: no ticket and no token gets in."""

import json
from collections.abc import Mapping

import jsii
from aws_cdk import RemovalPolicy
from aws_cdk import aws_apigateway as rest
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_logs as logs
from constructs import Construct

HTTP_FIELDS = {
    "time": "$context.requestTimeEpoch",
    "id": "$context.requestId",
    "route": "$context.routeKey",
    "path": "$context.path",
    "status": "$context.status",
    "bytes": "$context.responseLength",
    "ms": "$context.responseLatency",
    "error": "$context.integrationErrorMessage",
}
WEBSOCKET_FIELDS = {
    "time": "$context.requestTimeEpoch",
    "id": "$context.requestId",
    "route": "$context.routeKey",
    "event": "$context.eventType",
    "connection": "$context.connectionId",
    "status": "$context.status",
    "ms": "$context.integrationLatency",
    "error": "$context.error.message",
}


@jsii.implements(apigateway.IAccessLogSettings)
class AccessLog:
    """The settings of a stage that logs into a group of its own, kept for a month."""

    def __init__(self, scope: Construct, id: str, fields: Mapping[str, str] = HTTP_FIELDS) -> None:
        group = logs.LogGroup(scope, id, retention=logs.RetentionDays.ONE_MONTH, removal_policy=RemovalPolicy.DESTROY)
        self._fields = dict(fields)
        self._destination = apigateway.LogGroupLogDestination(group)

    @property
    def destination(self) -> apigateway.IAccessLogDestination:
        return self._destination

    @property
    def format(self) -> rest.AccessLogFormat:
        return rest.AccessLogFormat.custom(json.dumps(self._fields))
