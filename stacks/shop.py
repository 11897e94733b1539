"""The demo: CloudFront -> page (S3), front door, hubs and streaming Lambda under one domain; every minute, figures job -> event log.

What it adds to the bill: about 1 USD a month, if it always runs. 43,200 runs of the job are within Lambda's free tier (else 0.20
USD); the 10.6 events of a run write 30.7 units, 1.33 million a month (us-east-1: 0.625 USD a million). A page view is some 20 requests.
"""

from typing import Any

from aws_cdk import Aws, CfnOutput, Duration, Stack
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_cloudfront_origins as origins
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from constructs import Construct

from realtime.client_json import described
from realtime.features import answered
from stacks.core import CoreStack
from stacks.parts.function import Function
from stacks.parts.guests_api import GuestsApi
from stacks.parts.hops import above_heartbeat
from stacks.parts.nag import accept
from stacks.parts.page import content_policy
from stacks.parts.shared_polling import SharedPolling, public_paths
from stacks.parts.site import Site
from stacks.parts.streaming_api import STAGE
from stacks.polling import PollingStack
from stacks.sse_lambda import SseLambdaStack
from stacks.sse_service import IDLE_SECONDS, SseServiceStack
from stacks.websocket import WebSocketStack

ASSET = "shop"
JOB_SECONDS = 50
"""Less than a minute. A step that fails is left out: the next one comes, and a late one would come after it."""

LATE = Duration.minutes(2)
"""After which a step is given up: its idempotency keys are good for five minutes."""


class ShopStack(Stack):
    """One domain, so that a cookie of /sessions is good for everything, and no request needs CORS."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        core: CoreStack,
        polling: PollingStack | None,
        websocket: WebSocketStack | None,
        sse: SseServiceStack | None,
        streams: SseLambdaStack | None,
        **stack: Any,
    ) -> None:
        super().__init__(scope, id, **stack)
        self._core, self._config = core, core.config
        self._websocket, self._sse, self._streams = websocket, sse, streams
        if polling:
            self.add_stack_dependency(polling)  # it adds the reads to the front door
        self._job()
        self._site = Site(self, "Page", facts=self._facts())
        distribution = self._edge()
        CfnOutput(self, "ShopUrl", value=f"https://{distribution.distribution_domain_name}", description="The demo page")

    def _job(self) -> None:
        function = Function(
            self,
            "Figures",
            config=self._config,
            asset=ASSET,
            handler="functions.shop.handler.handler",
            description="Figures, alerts and orders of the shop",
            environment={"LOG_TABLE": self._core.log.table_name, "ACCESS_TABLE": self._core.access.table_name},
            memory_size=512,
            timeout=Duration.seconds(JOB_SECONDS),
            retry_attempts=0,
            max_event_age=LATE,
        )
        self._core.log.grant(function, "dynamodb:GetItem", "dynamodb:Query", "dynamodb:PutItem", "dynamodb:BatchWriteItem")
        self._core.access.grant(function, "dynamodb:UpdateItem")  # where a feature limits its publishers
        events.Rule(
            self,
            "EveryMinute",
            description="A day of the shop",
            schedule=events.Schedule.rate(Duration.minutes(1)),
            targets=[targets.LambdaFunction(function, retry_attempts=1, max_event_age=LATE)],
        )
        CfnOutput(self, "ShopFunction", value=function.function_name, description="The figures job")

    def _facts(self) -> dict[str, object]:
        """What clients of this domain know; the page also: whether it can sign guests in, and whether POST /answers is here."""
        known = described(
            self._config.features,
            http="",
            websocket=self._websocket.url if self._websocket else None,
            service="" if self._sse else None,
            function=self._streams_url(),
            ticket=self._config.lambda_endpoint == "function-url",
        )
        answers = self._streams_url() == f"/{STAGE}" and any(map(answered, self._config.features.values()))
        return known | {name: True for name, there in (("guests", self._config.shop_guests), ("answers", answers)) if there}

    def _streams_url(self) -> str | None:
        """The API's stage is a path here too. A Function URL, which takes no token and no body without its hash, is asked directly."""
        if self._streams is None or self._config.lambda_endpoint == "function-url":
            return self._streams.url if self._streams else None
        return f"/{STAGE}"

    def _edge(self) -> cloudfront.Distribution:
        distribution = cloudfront.Distribution(
            self,
            "Edge",
            comment="The shop: page, front door and streams",
            default_root_object="index.html",
            default_behavior=cloudfront.BehaviorOptions(
                origin=origins.S3BucketOrigin.with_origin_access_control(self._site),
                cache_policy=cloudfront.CachePolicy.CACHING_OPTIMIZED,
                response_headers_policy=self._page_headers(),
                viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.REDIRECT_TO_HTTPS,
            ),
            additional_behaviors=self._streamed() | self._front_door() | self._signed_in(),  # the first path that fits counts
            http_version=cloudfront.HttpVersion.HTTP2_AND_3,
            error_responses=[
                cloudfront.ErrorResponse(http_status=status, ttl=Duration.seconds(0)) for status in (403, 404, 500, 502, 503, 504)
            ],
        )
        accept(distribution, "CFR1", "a demo has no borders: add a geo restriction where yours has")
        accept(distribution, "CFR2", "the stages' throttles bound the load; a web ACL costs 5 USD a month and is the account's choice")
        accept(distribution, "CFR3", "the origins' access logs have every request; edge logs would hold visitors' addresses, and tickets")
        accept(distribution, "CFR4", "it has CloudFront's own certificate, whose domain fixes the protocol: bring a domain to change it")
        return distribution

    def _streamed(self) -> dict[str, cloudfront.BehaviorOptions]:
        """Lambda's streams under its stage, and where one topic or an answer says whose it is; all others are the hubs'."""
        found = dict[str, cloudfront.BehaviorOptions]()
        if self._streams and (url := self._streams_url()) == f"/{STAGE}":
            domain = self._streams.url.removeprefix("https://").partition("/")[0]
            wait = above_heartbeat("CloudFront's read time-out", IDLE_SECONDS)
            found[f"{url}/*"] = _through(origins.HttpOrigin(domain, read_timeout=wait))
            streams = _through(origins.HttpOrigin(domain, origin_path=url, read_timeout=wait))
            served = self._config.served("SseLambdaStack")
            paths = [f"/topics/{name}{'/*' if feature.rooms else ''}/stream" for name, feature in served.items()]
            found |= dict.fromkeys(["/answers*", *paths], streams)
        if self._sse and self._sse.origin:
            hubs = _through(self._sse.origin, cloudfront.OriginRequestPolicy.ALL_VIEWER)
            found |= dict.fromkeys(["/stream", "/topics/*/stream"], hubs)
        return found

    def _front_door(self) -> dict[str, cloudfront.BehaviorOptions]:
        origin = origins.HttpOrigin(f"{self._core.api.api_id}.execute-api.{Aws.REGION}.{Aws.URL_SUFFIX}")
        through = _through(origin)
        shared = cloudfront.BehaviorOptions(
            origin=origin,
            cache_policy=SharedPolling(self, "SharedPolling"),
            viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.HTTPS_ONLY,
        )
        public = dict.fromkeys(public_paths(self._config.features), shared)
        return {"/topics/*/events": through, **public, **dict.fromkeys(["/topics/*", "/tickets", "/sessions"], through)}

    def _signed_in(self) -> dict[str, cloudfront.BehaviorOptions]:
        if not self._config.shop_guests:
            return {}
        return {"/guests": _through(origins.HttpOrigin(GuestsApi(self, "Guests", core=self._core, asset=ASSET).domain))}

    def _page_headers(self) -> cloudfront.ResponseHeadersPolicy:
        elsewhere = [url for url in (self._websocket.url if self._websocket else None, self._streams_url()) if url and "://" in url]
        return cloudfront.ResponseHeadersPolicy(
            self,
            "PageHeaders",
            comment="What the page may do",
            security_headers_behavior=cloudfront.ResponseSecurityHeadersBehavior(
                content_security_policy=cloudfront.ResponseHeadersContentSecurityPolicy(
                    content_security_policy=content_policy(*elsewhere), override=True
                ),
                content_type_options=cloudfront.ResponseHeadersContentTypeOptions(override=True),
                frame_options=cloudfront.ResponseHeadersFrameOptions(frame_option=cloudfront.HeadersFrameOption.DENY, override=True),
                referrer_policy=cloudfront.ResponseHeadersReferrerPolicy(
                    referrer_policy=cloudfront.HeadersReferrerPolicy.NO_REFERRER, override=True
                ),
                strict_transport_security=cloudfront.ResponseHeadersStrictTransportSecurity(
                    access_control_max_age=Duration.days(365), include_subdomains=True, override=True
                ),
            ),
        )


def _through(
    origin: cloudfront.IOrigin,
    policy: cloudfront.IOriginRequestPolicy = cloudfront.OriginRequestPolicy.ALL_VIEWER_EXCEPT_HOST_HEADER,
) -> cloudfront.BehaviorOptions:
    """Everything passes on, nothing is kept and nothing held back: CloudFront's compression would hold events until a block is full."""
    return cloudfront.BehaviorOptions(
        origin=origin,
        allowed_methods=cloudfront.AllowedMethods.ALLOW_ALL,
        cache_policy=cloudfront.CachePolicy.CACHING_DISABLED,
        origin_request_policy=policy,
        viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.HTTPS_ONLY,
        compress=False,
    )
