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
from stacks.parts.streaming_edge import StreamingEdge


class FunctionUrlEdge(StreamingEdge):
    """It alone may invoke the function, by its URL."""

    def __init__(self, scope: Construct, id: str, *, function: Function, read_timeout: Duration) -> None:
        url = function.add_function_url(
            auth_type=lambda_.FunctionUrlAuthType.AWS_IAM,
            invoke_mode=lambda_.InvokeMode.RESPONSE_STREAM,
        )
        super().__init__(
            scope,
            id,
            comment="Streams from Lambda",
            origin=origins.FunctionUrlOrigin.with_origin_access_control(url, read_timeout=read_timeout),
            origin_request_policy=cloudfront.OriginRequestPolicy.ALL_VIEWER_EXCEPT_HOST_HEADER,  # the URL must see its own name
            why_no_log="edge logs would hold visitors' addresses and query strings, and tickets with them",
        )
