"""Streams from Lambda: REST APIs, Function URLs and CloudFront before them."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from guardrails.finding import Finding
from guardrails.template import Resource, Template, mentioned
from guardrails.values import listed, mapping, objects

API = "AWS::ApiGateway::RestApi"
METHOD = "AWS::ApiGateway::Method"
URL = "AWS::Lambda::Url"
FUNCTION = "AWS::Lambda::Function"

DEFAULT_READ_SECONDS = 30


def edge_optimized_stream(template: Template) -> Iterator[Finding]:
    """A REST API is edge-optimized unless it says otherwise; it cuts a stream after 30 s of silence, a regional one after 5 minutes.

    API Gateway developer guide, "Stream the integration response".
    """
    for api in template.of_type(API):
        if "EDGE" in listed(api.get("EndpointConfiguration", "Types", default="EDGE")) and _streams(template, api):
            yield template.finding(
                "edge-optimized-stream",
                api,
                "EndpointConfiguration",
                "an edge-optimized API cuts a stream after 30 s of silence, a regional one after 5 minutes",
                "set EndpointConfiguration.Types to REGIONAL",
            )


def unbounded_streams(template: Template) -> Iterator[Finding]:
    """An environment serves one stream at a time, and its full time is billed, also when the client has left (Lambda developer guide).

    An alarm on the function's ConcurrentExecutions is accepted instead of a reservation: a new account has 10 executions in
    all, too few to reserve some.
    """
    for function in _streaming_functions(template):
        if function.get("ReservedConcurrentExecutions") is None and not _alarm(template, function):
            yield template.finding(
                "unbounded-streams",
                function,
                "ReservedConcurrentExecutions",
                "each open stream is an execution that is billed to its end, and without a bound readers use up the account's concurrency, "
                "so that every other function is throttled",
                "set ReservedConcurrentExecutions, or an alarm on the function's ConcurrentExecutions",
            )


def open_stream(template: Template) -> Iterator[Finding]:
    """A client that leaves does not stop the function: its full time is billed, up to 15 minutes (Lambda developer guide)."""
    for url in template.of_type(URL):
        if url.get("InvokeMode") == "RESPONSE_STREAM" and url.get("AuthType") == "NONE":
            yield template.finding(
                "open-stream",
                url,
                "AuthType",
                "anyone may start streams, and each is billed to its end whether or not its client stays",
                "set AuthType to AWS_IAM, and let CloudFront sign requests by an origin access control",
            )


def cloudfront_read_timeout(template: Template) -> Iterator[Finding]:
    """CloudFront waits 30 s, unless told otherwise, for the next packet of an origin as for the first (CloudFront developer guide)."""
    least = template.least_idle_seconds
    for distribution in template.of_type("AWS::CloudFront::Distribution"):
        for origin in objects(distribution.get("DistributionConfig", "Origins")):
            custom = mapping(origin.get("CustomOriginConfig"))
            seconds = template.number(custom.get("OriginReadTimeout", DEFAULT_READ_SECONDS))
            if custom and seconds is not None and seconds <= least and _is_stream(template, origin.get("DomainName")):
                yield template.finding(
                    "cloudfront-read-timeout",
                    distribution,
                    "DistributionConfig.Origins",
                    f"CloudFront cuts a stream after {seconds:g} s of silence, and {template.late_heartbeat}",
                    f"set OriginReadTimeout of the streaming origin above {least:g}, or send heartbeats more often",
                )


def _streams(template: Template, api: Resource) -> bool:
    """By a method, or by the OpenAPI document of its Body."""
    modes = [method.get("Integration", "ResponseTransferMode") for method in template.using(METHOD, "RestApiId", api)]
    return "STREAM" in modes or any(True for _ in _integrations(api.get("Body")))


def _integrations(body: object) -> Iterator[Mapping[str, Any]]:
    """Those of an OpenAPI document that stream, at any depth: x-amazon-apigateway-integration of its operations."""
    if isinstance(body, Mapping):
        if body.get("responseTransferMode") == "STREAM":
            yield body
        yield from _integrations(list(body.values()))
    elif isinstance(body, list):
        for inner in body:
            yield from _integrations(inner)


def _streaming_functions(template: Template) -> Iterator[Resource]:
    urls = [url for url in template.of_type(URL) if url.get("InvokeMode") == "RESPONSE_STREAM"]
    methods = [m for m in template.of_type(METHOD) if m.get("Integration", "ResponseTransferMode") == "STREAM"]
    called = [_behind(template, url.get("TargetFunctionArn")) for url in urls]
    called += [_behind(template, method.get("Integration", "Uri")) for method in methods]
    called += [_behind(template, told.get("uri")) for api in template.of_type(API) for told in _integrations(api.get("Body"))]
    for function in template.of_type(FUNCTION):
        mode = template.literal(function.get("Environment", "Variables", "AWS_LWA_INVOKE_MODE"))
        if function in called or str(mode).lower() == "response_stream":
            yield function


def _behind(template: Template, value: object) -> Resource | None:
    """The function that a value mentions, itself or by an alias or a version."""
    named = template.target(value, "AWS::Lambda::Alias", "AWS::Lambda::Version")
    return template.target(named.get("FunctionName") if named else value, FUNCTION)


def _alarm(template: Template, function: Resource) -> bool:
    alarms = template.of_type("AWS::CloudWatch::Alarm")
    return any("ConcurrentExecutions" in json.dumps(alarm.properties) and mentioned(alarm.properties, function) for alarm in alarms)


def _is_stream(template: Template, domain: object) -> bool:
    url = template.target(domain, URL)
    api = template.target(domain, API)
    return bool(url and url.get("InvokeMode") == "RESPONSE_STREAM") or bool(api and _streams(template, api))
