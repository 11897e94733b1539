"""How an edge shares the answers to polls of public topics: as long as the origin says, by path, cursor and limit alone."""

from aws_cdk import Duration
from aws_cdk import aws_cloudfront as cloudfront
from constructs import Construct

from realtime.features import Features

MAX_SHARED_SECONDS = 3600
"""However long the origin says, an edge asks again after an hour."""


def public_paths(features: Features) -> list[str]:
    """The paths of CloudFront whose answers may be shared; what ends in /events or /stream needs one before them."""
    return [f"/topics/{name}{'/*' if feature.rooms else ''}" for name, feature in features.items() if feature.public]


class SharedPolling(cloudfront.CachePolicy):
    """Nothing of a caller is in the key, and so nothing of him reaches the origin."""

    def __init__(self, scope: Construct, id: str) -> None:
        super().__init__(
            scope,
            id,
            comment="Keep an answer as long as the origin's s-maxage says",
            min_ttl=Duration.seconds(0),
            default_ttl=Duration.seconds(0),
            max_ttl=Duration.seconds(MAX_SHARED_SECONDS),
            query_string_behavior=cloudfront.CacheQueryStringBehavior.allow_list("after", "limit"),
            cookie_behavior=cloudfront.CacheCookieBehavior.none(),
            header_behavior=cloudfront.CacheHeaderBehavior.none(),
            enable_accept_encoding_gzip=True,
            enable_accept_encoding_brotli=True,
        )
