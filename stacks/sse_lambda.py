"""Server-Sent Events without servers: REST API (or CloudFront) -> Lambda Web Adapter -> FastAPI, which reads the log.

A client that leaves does not stop the function: what is open is paid for until it ends. So every stream has an end.
"""

from typing import Any

from aws_cdk import CfnOutput, Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from realtime.answers import ANSWER_SECONDS, SILENT_SECONDS
from realtime.features import answered
from realtime.features_file import MAX_LAMBDA_SECONDS
from realtime.ngram import NAME as NGRAM
from stacks.config import ConfigError
from stacks.core import CoreStack
from stacks.parts import web_adapter
from stacks.parts.bedrock import grant_model
from stacks.parts.function import Function
from stacks.parts.function_url_edge import FunctionUrlEdge
from stacks.parts.hops import idle_limit
from stacks.parts.streaming_api import Route, StreamingApi

ASSET = "sse-lambda"
HANDLER = "services/sse/run.sh"
ROUTES = (Route("GET", "/topics/{proxy+}"), Route("GET", "/stream"), Route("POST", "/sessions"))
ANSWER_ROUTES = (Route("POST", "/answers"), Route("DELETE", "/answers/{id}"))
REQUEST_HEADERS = ("authorization", "content-type", "idempotency-key", "last-event-id")

MEMORY_MB = 512
"""A stream is paid for by memory and time, and waits for most of it: half of what our other functions have."""

MARGIN_SECONDS = 15
"""From a stream's end to Lambda's: a cold start, and a last read that is slow."""

RESERVED_PERCENT = 80


class SseLambdaStack(Stack):
    """One function, where each open stream and each answer is an environment of its own, and one concurrent execution."""

    def __init__(self, scope: Construct, id: str, *, core: CoreStack, **stack: Any) -> None:
        super().__init__(scope, id, **stack)
        self._core, self._config = core, core.config
        self._features = core.config.served("SseLambdaStack")
        self._answers = any(map(answered, self._features.values()))
        self._seconds = self._longest_life()
        self._function = self._streaming_function()
        self._grant()
        self._alarm()
        self.url = self._way_in()
        CfnOutput(self, "SseLambdaUrl", value=self.url, description="GET /topics/{topic}/stream, /stream?topic=; POST /answers")
        CfnOutput(self, "SseLambdaFunction", value=self._function.function_name, description="The function that streams")

    def _longest_life(self) -> int:
        lives = [f.stream for f in self._features.values()] + [ANSWER_SECONDS + SILENT_SECONDS] * self._answers
        seconds = int(max(lives)) + MARGIN_SECONDS
        if seconds > MAX_LAMBDA_SECONDS:
            raise ConfigError(
                f"streams and answers need {seconds} s with a margin: a Lambda function runs for at most {MAX_LAMBDA_SECONDS} s"
            )
        return seconds

    def _streaming_function(self) -> Function:
        return Function(
            self,
            "Streams",
            config=self._config,
            asset=ASSET,
            handler=HANDLER,
            description="Streams of topics, and answers token by token",
            environment={
                **self._core.function_environment(),
                **web_adapter.ENVIRONMENT,
                **({"MODEL": self._config.model} if self._answers else {}),
            },
            layers=[web_adapter.web_adapter(self, "WebAdapter", self._config)],
            memory_size=MEMORY_MB,
            timeout=Duration.seconds(self._seconds),
            reserved_concurrent_executions=self._config.reserved_concurrency,
        )

    def _grant(self) -> None:
        self._core.log.grant(self._function, "dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query")
        self._core.access.grant(self._function, "dynamodb:GetItem", "dynamodb:DeleteItem")  # directions of features; tickets that are spent
        self._core.secret.grant_read(self._function)
        if self._answers:
            self._core.log.grant(self._function, "dynamodb:PutItem", "dynamodb:BatchWriteItem")
            self._core.access.grant(self._function, "dynamodb:UpdateItem")  # how often somebody asks
            if self._config.model != NGRAM:
                grant_model(self._function, self._config.model)

    def _way_in(self) -> str:
        """Its URL, without a slash at the end."""
        idle = idle_limit(self._config.lambda_endpoint)
        if self._config.lambda_endpoint == "function-url":
            return f"https://{FunctionUrlEdge(self, 'Edge', function=self._function, read_timeout=idle).distribution_domain_name}"
        routes = ROUTES + ANSWER_ROUTES * self._answers
        api = StreamingApi(
            self, "Api", config=self._config, function=self._function, routes=routes, headers=REQUEST_HEADERS, seconds=self._seconds
        )
        return api.base_url

    def _alarm(self) -> None:
        """More streams are open than the features plan for, or soon as many as may be: whoever comes beyond that is refused."""
        reserved = self._config.reserved_concurrency
        cloudwatch.Alarm(
            self,
            "ConcurrencyAlarm",
            alarm_description="Open streams and answers: each is one concurrent execution of the function, and billed while it is open",
            metric=self._function.metric("ConcurrentExecutions", statistic="Maximum", period=Duration.minutes(1)),
            threshold=reserved * RESERVED_PERCENT / 100 if reserved else sum(f.readers for f in self._features.values()),
            evaluation_periods=3,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
