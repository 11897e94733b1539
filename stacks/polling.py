"""Polling: CloudFront -> HTTP API -> Lambda -> event log, so that all pollers of a public topic share one origin request."""

from typing import Any

from aws_cdk import Aws, CfnOutput, Duration, Stack
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_cloudfront_origins as origins
from aws_cdk.aws_apigatewayv2_integrations import HttpLambdaIntegration
from constructs import Construct

from stacks.core import REQUEST_HEADERS, RESPONSE_HEADERS, CoreStack
from stacks.parts.function import Function
from stacks.parts.nag import accept
from stacks.parts.shared_polling import SharedPolling, public_paths


class PollingStack(Stack):
    """Adds the reads to the front door, and a CloudFront distribution that shares the answers of public features."""

    def __init__(self, scope: Construct, id: str, *, core: CoreStack, **stack: Any) -> None:
        super().__init__(scope, id, **stack)
        self._core = core
        self._reads()
        distribution = self._edge()
        CfnOutput(
            self,
            "PollingUrl",
            value=f"https://{distribution.distribution_domain_name}",
            description="Front door behind CloudFront: GET /topics/{topic}; public topics are shared at the edge",
        )

    def _reads(self) -> None:
        function = Function(
            self,
            "Reads",
            config=self._core.config,
            asset="http",
            handler="functions.http.reads.handler",
            description="Reads of topics by polling",
            environment=self._core.function_environment(),
        )
        self._core.log.grant(function, "dynamodb:GetItem", "dynamodb:Query")
        self._core.access.grant(function, "dynamodb:GetItem")  # directions of features
        self._core.secret.grant_read(function)
        integration = HttpLambdaIntegration("ReadsIntegration", function)
        for method in (apigateway.HttpMethod.GET, apigateway.HttpMethod.HEAD):
            route = apigateway.HttpRoute(
                self,
                f"{method.value.title()}Route",
                http_api=self._core.api,
                integration=integration,
                route_key=apigateway.HttpRouteKey.with_("/topics/{topic+}", method),
            )
            accept(route, "APIG4", "the function checks the token: access is per topic, and some topics are public")

    def _edge(self) -> cloudfront.Distribution:
        """Caching for exactly the public topics; everything else passes through, headers and all, and is never kept."""
        domain = f"{self._core.api.api_id}.execute-api.{Aws.REGION}.{Aws.URL_SUFFIX}"
        https = cloudfront.OriginProtocolPolicy.HTTPS_ONLY
        through = cloudfront.BehaviorOptions(
            origin=origins.HttpOrigin(domain, protocol_policy=https),  # the shield is paid for by request, and would keep nothing of these
            allowed_methods=cloudfront.AllowedMethods.ALLOW_ALL,
            cache_policy=cloudfront.CachePolicy.CACHING_DISABLED,
            origin_request_policy=cloudfront.OriginRequestPolicy.ALL_VIEWER_EXCEPT_HOST_HEADER,
            viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.HTTPS_ONLY,
        )
        shared = cloudfront.BehaviorOptions(
            origin=origins.HttpOrigin(domain, origin_shield_region=Aws.REGION, protocol_policy=https),
            allowed_methods=cloudfront.AllowedMethods.ALLOW_GET_HEAD_OPTIONS,
            cache_policy=SharedPolling(self, "SharedPolling"),
            origin_request_policy=cloudfront.OriginRequestPolicy.CORS_S3_ORIGIN,  # Origin and what a preflight asks, for the API to answer
            response_headers_policy=self._cors_policy(),
            viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.HTTPS_ONLY,
        )
        distribution = cloudfront.Distribution(
            self,
            "Edge",
            comment="Shared polling of public topics",
            default_behavior=through,
            additional_behaviors={"/topics/*/events": through} | dict.fromkeys(public_paths(self._core.config.features), shared),
            http_version=cloudfront.HttpVersion.HTTP2_AND_3,
            error_responses=[cloudfront.ErrorResponse(http_status=status, ttl=Duration.seconds(0)) for status in (404, 500, 502, 503, 504)],
        )
        accept(distribution, "CFR1", "real-time features have no borders of their own: add a geo restriction where yours has")
        accept(distribution, "CFR2", "the stage's throttle bounds the load; a web ACL costs 5 USD a month and is the account's choice")
        accept(
            distribution,
            "CFR3",
            "the API's access log has every origin request; edge logs would hold visitors' addresses that nothing here needs",
        )
        accept(distribution, "CFR4", "it has CloudFront's own certificate, whose domain fixes the protocol: bring a domain to change it")
        return distribution

    def _cors_policy(self) -> cloudfront.ResponseHeadersPolicy:
        """CORS is answered at the edge, so that one cached copy serves every origin."""
        return cloudfront.ResponseHeadersPolicy(
            self,
            "Cors",
            comment="Which pages may read public topics",
            cors_behavior=cloudfront.ResponseHeadersCorsBehavior(
                access_control_allow_credentials=False,
                access_control_allow_headers=list(REQUEST_HEADERS),
                access_control_allow_methods=["GET", "HEAD", "OPTIONS"],
                access_control_allow_origins=list(self._core.config.origins),
                access_control_expose_headers=list(RESPONSE_HEADERS),
                access_control_max_age=Duration.hours(1),
                origin_override=True,
            ),
        )
