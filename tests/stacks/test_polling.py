"""PollingStack: reads that only read, and an edge that shares what is public and nothing else."""

from typing import Any

from tests.stacks.conftest import Templates, actions, of_type


def behaviors(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    (distribution,) = of_type(template, "AWS::CloudFront::Distribution")
    config = distribution["DistributionConfig"]
    return {"*": config["DefaultCacheBehavior"]} | {b["PathPattern"]: b for b in config["CacheBehaviors"]}


CORS_HEADERS_ONLY = "88a5eaf4-2fd4-4709-b370-b4c650ea3fcf"  # managed: Origin and Access-Control-Request-*
CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"  # CloudFront's managed policy


def test_reads_cannot_write(templates: Templates) -> None:
    """The function behind GET may read the log and the secret, and write its own logs."""
    assert actions(templates["PollingStack"]) == {
        "dynamodb:GetItem",
        "dynamodb:Query",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "secretsmanager:DescribeSecret",
        "secretsmanager:GetSecretValue",
    }


def test_only_public_topics_are_cached(private: Templates) -> None:
    """One behaviour per public feature; private ones, publishing (which comes first) and everything unknown pass through uncached."""
    found = behaviors(private["PollingStack"])
    assert list(found) == ["*", "/topics/*/events", "/topics/metrics", "/topics/ticker", "/topics/board/*", "/topics/feed"]
    assert found["*"]["CachePolicyId"] == found["/topics/*/events"]["CachePolicyId"] == CACHING_DISABLED


def test_cached_topics_get_no_credentials(private: Templates) -> None:
    """Nothing of a caller reaches the origin of a shared answer but what CORS asks: no Authorization, no cookie, no other query."""
    assert behaviors(private["PollingStack"])["/topics/metrics"]["OriginRequestPolicyId"] == CORS_HEADERS_ONLY
    (policy,) = of_type(private["PollingStack"], "AWS::CloudFront::CachePolicy")
    key = policy["CachePolicyConfig"]["ParametersInCacheKeyAndForwardedToOrigin"]
    assert key["HeadersConfig"] == {"HeaderBehavior": "none"}
    assert key["CookiesConfig"] == {"CookieBehavior": "none"}
    assert key["QueryStringsConfig"]["QueryStrings"] == ["after", "limit"]


def test_edge_keeps_an_answer_as_long_as_the_origin_says(private: Templates) -> None:
    """Minimum and default are zero: what says nothing is not kept."""
    (policy,) = of_type(private["PollingStack"], "AWS::CloudFront::CachePolicy")
    ttl = [policy["CachePolicyConfig"][name] for name in ("MinTTL", "DefaultTTL", "MaxTTL")]
    assert ttl == [0, 0, 3600]


def test_what_is_shared_is_shielded_and_errors_are_not_kept(templates: Templates) -> None:
    """All edges together ask once; it is paid for by request, so nothing else has it. CloudFront would keep a 404 for ten seconds."""
    (distribution,) = of_type(templates["PollingStack"], "AWS::CloudFront::Distribution")
    config = distribution["DistributionConfig"]
    shielded = {origin["Id"] for origin in config["Origins"] if "OriginShield" in origin}
    shared = {each["TargetOriginId"] for each in config["CacheBehaviors"] if each["PathPattern"] != "/topics/*/events"}
    assert shielded == shared
    assert config["DefaultCacheBehavior"]["TargetOriginId"] not in shielded
    assert {e["ErrorCachingMinTTL"] for e in config["CustomErrorResponses"]} == {0}


def test_cors_at_the_edge_names_the_origins(private: Templates) -> None:
    """One cached copy serves every allowed page, and none that is not allowed."""
    (policy,) = of_type(private["PollingStack"], "AWS::CloudFront::ResponseHeadersPolicy")
    cors = policy["ResponseHeadersPolicyConfig"]["CorsConfig"]
    assert cors["AccessControlAllowOrigins"] == {"Items": ["https://shop.example", "https://admin.example"]}
    assert "ETag" in cors["AccessControlExposeHeaders"]["Items"]


def test_head_is_served_like_get(templates: Templates) -> None:
    """An HTTP API does not map HEAD to GET by itself."""
    routes = {route["RouteKey"] for route in of_type(templates["PollingStack"], "AWS::ApiGatewayV2::Route")}
    assert routes == {"GET /topics/{topic+}", "HEAD /topics/{topic+}"}
