"""A CloudFront distribution for streams: everything passes on, nothing is kept and nothing held back."""

from aws_cdk import Duration
from aws_cdk import aws_cloudfront as cloudfront
from constructs import Construct

from stacks.parts.nag import accept


class StreamingEdge(cloudfront.Distribution):
    """CloudFront's own certificate gives HTTP/2 and 3, where a page may have more than six streams. `why_no_log`: for cdk-nag."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        comment: str,
        origin: cloudfront.IOrigin,
        origin_request_policy: cloudfront.IOriginRequestPolicy,
        why_no_log: str,
    ) -> None:
        super().__init__(
            scope,
            id,
            comment=comment,
            default_behavior=cloudfront.BehaviorOptions(
                origin=origin,
                allowed_methods=cloudfront.AllowedMethods.ALLOW_ALL,
                cache_policy=cloudfront.CachePolicy.CACHING_DISABLED,
                origin_request_policy=origin_request_policy,
                viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.HTTPS_ONLY,
                compress=False,  # it would hold events back until a block is full
            ),
            http_version=cloudfront.HttpVersion.HTTP2_AND_3,
            error_responses=[cloudfront.ErrorResponse(http_status=status, ttl=Duration.seconds(0)) for status in (404, 500, 502, 503, 504)],
        )
        accept(self, "CFR1", "real-time features have no borders of their own: add a geo restriction where yours has")
        accept(self, "CFR2", "a web ACL costs 5 USD a month and is the account's choice")
        accept(self, "CFR3", why_no_log)
        accept(self, "CFR4", "it has CloudFront's own certificate, whose domain fixes the protocol: bring a domain to change it")
