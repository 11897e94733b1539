"""Two-way traffic: WebSocket API -> Lambda -> table of connections and event log; log's stream -> broadcaster -> @connections."""

from typing import Any, cast

from aws_cdk import CfnElement, CfnOutput, Duration, RemovalPolicy, Stack
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from aws_cdk import aws_sqs as sqs
from aws_cdk.aws_apigatewayv2_authorizers import WebSocketLambdaAuthorizer
from aws_cdk.aws_apigatewayv2_integrations import WebSocketLambdaIntegration
from constructs import Construct

from realtime.dynamo import HEAD, STREAM
from stacks.core import CoreStack
from stacks.parts.access_log import WEBSOCKET_FIELDS, AccessLog
from stacks.parts.api_log_role import api_log_role
from stacks.parts.function import Function
from stacks.parts.heads import topics
from stacks.parts.nag import accept
from stacks.parts.table import Table

ACTIONS = ("subscribe", "unsubscribe", "publish", "ping", "auth")
MESSAGES_PER_SECOND = 1_000
BURST_MESSAGES = 2_000
"""A tenth of the account's default quota (10,000 requests a second): one stack cannot starve the others."""

FANOUT_SECONDS = 30
FANOUT_CONCURRENCY = 5
"""Invocations that work on the fan-out queue at a time: together they keep to the deployment's share of the quota.

Small topics, which publishers and the broadcaster push themselves, come on top: each of those functions alone keeps to a fifth.
"""

RETRIES = 3
MAX_AGE = Duration.minutes(5)
"""A push that late is of no use: every client has compared its cursor with the head by then."""


class WebSocketStack(Stack):
    """Owns the connections; pushes what is appended to the topics of its features."""

    def __init__(self, scope: Construct, id: str, *, core: CoreStack, **stack: Any) -> None:
        super().__init__(scope, id, **stack)
        self._core = core
        self._connections = Table(self, "Connections", partition="id", sort="entry")
        self._dead_letters = self._queue("DeadLetters", retention_period=Duration.days(14))
        self._fanout = self._queue(
            "Fanout",
            retention_period=MAX_AGE,
            visibility_timeout=Duration.seconds(2 * FANOUT_SECONDS),  # so that three tries end before the message does
            dead_letter_queue=sqs.DeadLetterQueue(queue=self._dead_letters, max_receive_count=RETRIES),
        )
        self._api = apigateway.WebSocketApi(
            self, "Api", description="Two-way traffic of the WebSocket pattern", ip_address_type=apigateway.IpAddressType.DUAL_STACK
        )
        self._stage = self._deployed()
        self.url = self._stage.url
        self._routes()
        self._broadcaster()
        CfnOutput(self, "WebSocketUrl", value=self._stage.url, description="Connect with ?ticket= from POST /tickets of the front door")
        CfnOutput(self, "WebSocketApiId", value=self._api.api_id, description="Id of the WebSocket API")
        CfnOutput(self, "ConnectionsTable", value=self._connections.table_name, description="Open connections and their subscriptions")

    def _queue(self, id: str, **more: Any) -> sqs.Queue:
        return sqs.Queue(
            self, id, enforce_ssl=True, encryption=sqs.QueueEncryption.SQS_MANAGED, removal_policy=RemovalPolicy.DESTROY, **more
        )

    def _deployed(self) -> apigateway.WebSocketStage:
        stage = apigateway.WebSocketStage(
            self,
            "Stage",
            stage_name="live",
            web_socket_api=self._api,
            auto_deploy=True,
            throttle=apigateway.ThrottleSettings(rate_limit=MESSAGES_PER_SECOND, burst_limit=BURST_MESSAGES),
            access_log_settings=AccessLog(self, "ApiLogs", WEBSOCKET_FIELDS),
        )
        if self._core.config.make_log_role:
            stage.node.add_dependency(api_log_role(self))
        return stage

    def _routes(self) -> None:
        messages = self._function(
            "Messages", "websocket.handler.handler", "Connects, messages and disconnects", self._core.function_environment()
        )
        self._core.log.grant(
            messages, "dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:PutItem", "dynamodb:BatchWriteItem"
        )
        self._connections.grant(messages, "dynamodb:GetItem", "dynamodb:PutItem")
        self._core.access.grant(messages, "dynamodb:GetItem", "dynamodb:UpdateItem")  # directions of features; counters of publishers
        self._core.secret.grant_read(messages)
        integration = WebSocketLambdaIntegration("MessagesIntegration", messages)
        self._api.add_route("$connect", integration=integration, authorizer=self._authorizer())
        for key in ("$disconnect", "$default", *ACTIONS):
            route = self._api.add_route(key, integration=integration, return_response=key != "$disconnect")
            accept(route, "APIG4", "API Gateway authorizes $connect alone; the function checks every message against the connection's row")

    def _authorizer(self) -> WebSocketLambdaAuthorizer:
        function = Function(
            self,
            "Authorizer",
            config=self._core.config,
            asset="websocket",
            handler="functions.authorizer.handler.handler",
            description="Who may connect: ticket or token, and origin",
            environment=self._core.function_environment(),
        )
        self._core.access.grant(function, "dynamodb:DeleteItem")
        self._core.secret.grant_read(function)
        # No identity source: a browser brings a ticket in the query string, a backend a token in a header.
        return WebSocketLambdaAuthorizer("ConnectAuthorizer", function, identity_source=[])

    def _broadcaster(self) -> None:
        """Appends that nobody claimed, from the log's stream; shards and remainders, from the queue."""
        stream = self._function("Broadcaster", "broadcaster.handler.stream", "Pushes what is appended by others", {}, FANOUT_SECONDS)
        stream.add_event_source(
            sources.DynamoEventSource(
                self._core.log,
                starting_position=lambda_.StartingPosition.LATEST,
                filters=[lambda_.FilterCriteria.filter(self._unclaimed())],
                batch_size=100,
                bisect_batch_on_error=True,
                report_batch_item_failures=True,
                retry_attempts=RETRIES,
                max_record_age=MAX_AGE,
                on_failure=sources.SqsDlq(self._dead_letters),
            )
        )
        queue = self._function("FanoutWorker", "broadcaster.handler.queue", "Pushes to a shard of subscribers", {}, FANOUT_SECONDS)
        queue.add_event_source(
            sources.SqsEventSource(self._fanout, batch_size=1, max_concurrency=FANOUT_CONCURRENCY, report_batch_item_failures=True)
        )

    def _unclaimed(self) -> dict[str, Any]:
        """Which records of the stream matter: new heads of our features' topics without a claim. Others cost no invocation."""
        image = {"entry": [HEAD], "pushed_by": [STREAM], "topic": topics(self._core.config.served("WebSocketStack"))}
        return {"dynamodb": {"NewImage": {name: {"S": values} for name, values in image.items()}}}

    def _function(self, id: str, handler: str, description: str, environment: dict[str, str], seconds: int = 15) -> Function:
        """A function that posts to connections."""
        function = Function(
            self,
            id,
            config=self._core.config,
            asset="websocket",
            handler=f"functions.{handler}",
            description=description,
            timeout=Duration.seconds(seconds),
            environment={
                **environment,
                "CONNECTIONS_TABLE": self._connections.table_name,
                "FANOUT_QUEUE_URL": self._fanout.queue_url,
                "WEBSOCKET_ENDPOINT": self._stage.callback_url,
                "POSTS_PER_SECOND": str(self._core.config.posts_per_second // FANOUT_CONCURRENCY),
            },
        )
        self._connections.grant(function, "dynamodb:Query", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:BatchWriteItem")
        self._fanout.grant_send_messages(function)
        self._stage.grant_management_api_access(function)
        api = self.get_logical_id(cast("CfnElement", self._api.node.default_child))
        accept(
            cast("iam.Role", function.role),
            f"IAM5[Resource::arn:<AWS::Partition>:execute-api:<AWS::Region>:<AWS::AccountId>:<{api}>/live/*/@connections/*]",
            "any connection of this stage: their ids are made when clients connect",
        )
        return function
