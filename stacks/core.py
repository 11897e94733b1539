"""The log, and the door to it: HTTP API -> Lambda -> event log; tickets, sessions and publishing for every pattern."""

from typing import Any

from aws_cdk import CfnOutput, Duration, Stack
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk.aws_apigatewayv2_integrations import HttpLambdaIntegration
from constructs import Construct

from stacks.config import Config
from stacks.parts.access_log import AccessLog
from stacks.parts.function import Function
from stacks.parts.nag import accept
from stacks.parts.table import Table

METHODS = (apigateway.CorsHttpMethod.GET, apigateway.CorsHttpMethod.HEAD, apigateway.CorsHttpMethod.POST)
REQUEST_HEADERS = ("authorization", "content-type", "idempotency-key", "if-none-match", "if-modified-since")
RESPONSE_HEADERS = ("ETag", "Last-Modified", "Poll-After", "Retry-After")
"""What a script on another origin may read; without `ETag` among them no browser can poll."""

REQUESTS_PER_SECOND = 1_000
BURST_REQUESTS = 2_000
"""A tenth of the account's default quota (10,000 requests a second): one stack cannot starve the others."""


class CoreStack(Stack):
    """Owns the state: event log, access table, signing secret; and the front door, to which other stacks add routes."""

    def __init__(self, scope: Construct, id: str, *, config: Config, **stack: Any) -> None:
        super().__init__(scope, id, **stack)
        self.config = config
        self.log = Table(self, "Log", partition="topic", sort="entry", stream=dynamodb.StreamViewType.NEW_IMAGE)
        self.access = Table(self, "Access", partition="id")
        self.secret = self._signing_secret()
        self.api = self._front_door()
        self._routes()
        self._share()

    def function_environment(self) -> dict[str, str]:
        """What every function and service needs to find the core."""
        return {
            "LOG_TABLE": self.log.table_name,
            "ACCESS_TABLE": self.access.table_name,
            "SECRET_ARN": self.secret.secret_arn,
            "ORIGINS": ",".join(origin for origin in self.config.origins if origin != "*"),
            **self.config.oidc,
        }

    def _signing_secret(self) -> secretsmanager.Secret:
        secret = secretsmanager.Secret(
            self,
            "SigningSecret",
            description="Signs access tokens (HS256) and session cookies",
            generate_secret_string=secretsmanager.SecretStringGenerator(password_length=64, exclude_punctuation=True),
        )
        accept(secret, "SMG4", "rotating it ends every session, so it is done on purpose: functions read a new value within 5 minutes")
        return secret

    def _front_door(self) -> apigateway.HttpApi:
        api = apigateway.HttpApi(
            self,
            "Api",
            description="Front door: tickets, sessions, publish; reads where polling is deployed",
            create_default_stage=False,
            cors_preflight=apigateway.CorsPreflightOptions(
                allow_origins=list(self.config.origins),
                allow_methods=list(METHODS),
                allow_headers=list(REQUEST_HEADERS),
                expose_headers=list(RESPONSE_HEADERS),
                max_age=Duration.hours(1),
            ),
        )
        apigateway.HttpStage(
            self,
            "Stage",
            http_api=api,
            auto_deploy=True,
            throttle=apigateway.ThrottleSettings(rate_limit=REQUESTS_PER_SECOND, burst_limit=BURST_REQUESTS),
            access_log_settings=AccessLog(self, "ApiLogs"),
        )
        return api

    def _routes(self) -> None:
        function = Function(
            self,
            "FrontDoor",
            config=self.config,
            asset="http",
            handler="functions.http.front_door.handler",
            description="Tickets, sessions and publishing",
            environment=self.function_environment(),
        )
        self.log.grant(function, "dynamodb:GetItem", "dynamodb:Query", "dynamodb:PutItem", "dynamodb:BatchWriteItem")
        self.access.grant(function, "dynamodb:PutItem", "dynamodb:UpdateItem")
        self.secret.grant_read(function)
        integration = HttpLambdaIntegration("FrontDoorIntegration", function)
        for name, path in (("Tickets", "/tickets"), ("Sessions", "/sessions"), ("Publish", "/topics/{topic+}")):
            route = apigateway.HttpRoute(
                self,
                f"{name}Route",
                http_api=self.api,
                integration=integration,
                route_key=apigateway.HttpRouteKey.with_(path, apigateway.HttpMethod.POST),
            )
            accept(route, "APIG4", "the function checks the token: access is per topic, and some topics are public")

    def _share(self) -> None:
        """Export whatever other stacks may use, used or not: taking a feature off a pattern then never meets an export in use."""
        for value in (self.api.api_id, self.log.table_name, self.log.table_arn, self.log.table_stream_arn):
            self.export_value(value)
        for value in (self.access.table_name, self.access.table_arn, self.secret.secret_arn):
            self.export_value(value)
        CfnOutput(self, "ApiUrl", value=self.api.api_endpoint, description="Front door: POST /tickets, /sessions, /topics/{topic}/events")
        CfnOutput(self, "ApiId", value=self.api.api_id, description="Front door: id of the HTTP API")
        CfnOutput(self, "LogTable", value=self.log.table_name, description="Event log: what a backend publishes to")
        CfnOutput(self, "AccessTable", value=self.access.table_name, description="Tickets and rate counters")
        CfnOutput(self, "SecretArn", value=self.secret.secret_arn, description="Secret that signs access tokens")
