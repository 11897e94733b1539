"""CloudFront -> origin access control -> Function URL: the streaming function without API Gateway, whose limits are these.

1. CloudFront signs each request in `Authorization`, so no bearer token arrives: a reader brings a ticket from the front
   door. `POST /sessions` takes a token, so neither a cookie session nor an answer can begin here, unless you give the
   distribution your domain and the front door as another origin: a cookie is good for one host alone.
2. A POST needs the SHA-256 of its body from the client, in `x-amz-content-sha256`, since CloudFront does not sign bodies.
3. The URL has no CORS settings: the function answers preflights itself, and browsers refuse headers that come twice.
4. Streams pass at full speed for 6 MB, then at 2 MB a second (Lambda's quotas).
"""

from aws_cdk import Duration
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_cloudfront_origins as origins
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from stacks.parts.function import Function
from stacks.parts.nag import accept


class FunctionUrlEdge(cloudfront.Distribution):
    """CloudFront's own certificate gives HTTP/2 and 3. It alone may invoke the function, by its URL."""

    def __init__(self, scope: Construct, id: str, *, function: Function, read_timeout: Duration) -> None:
        url = function.add_function_url(
            auth_type=lambda_.FunctionUrlAuthType.AWS_IAM,
            invoke_mode=lambda_.InvokeMode.RESPONSE_STREAM,
        )
        super().__init__(
            scope,
            id,
            comment="Streams from Lambda",
            default_behavior=cloudfront.BehaviorOptions(
                origin=origins.FunctionUrlOrigin.with_origin_access_control(url, read_timeout=read_timeout),
                allowed_methods=cloudfront.AllowedMethods.ALLOW_ALL,
                cache_policy=cloudfront.CachePolicy.CACHING_DISABLED,
                origin_request_policy=cloudfront.OriginRequestPolicy.ALL_VIEWER_EXCEPT_HOST_HEADER,  # the URL must see its own name
                viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.HTTPS_ONLY,
                compress=False,  # it would hold events back until a block is full
            ),
            http_version=cloudfront.HttpVersion.HTTP2_AND_3,
            error_responses=[cloudfront.ErrorResponse(http_status=status, ttl=Duration.seconds(0)) for status in (404, 500, 502, 503, 504)],
        )
        accept(self, "CFR1", "real-time features have no borders of their own: add a geo restriction where yours has")
        accept(self, "CFR2", "a web ACL costs 5 USD a month and is the account's choice")
        accept(self, "CFR3", "edge logs would hold visitors' addresses and query strings, and tickets with them")
        accept(self, "CFR4", "it has CloudFront's own certificate, whose domain fixes the protocol: bring a domain to change it")
