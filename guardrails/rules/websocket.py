"""API Gateway WebSocket APIs."""

import re
from collections.abc import Iterator
from hashlib import md5

from guardrails.finding import Finding
from guardrails.template import Resource, Template

API = "AWS::ApiGatewayV2::Api"
ROUTE = "AWS::ApiGatewayV2::Route"
STAGE = "AWS::ApiGatewayV2::Stage"

_PATH_HASH = re.compile(r"(?=\d*[A-F])[0-9A-F]{8}$")
_HEX = re.compile(r"(?=[a-f]*\d)[0-9a-f]{8,}$", re.IGNORECASE)
_BASE64_LENGTH, _BASE64_DIGITS = 32, 3


def open_connect(template: Template) -> Iterator[Finding]:
    """API Gateway asks an authorizer on $connect alone (developer guide, "Control and manage access to WebSocket APIs").

    500 new connections a second are the account's quota, which cannot be raised: strangers can use it up. Without a $connect route
    everyone is let in; an API none of whose routes is in the template may have one elsewhere.
    """
    for route in template.of_type(ROUTE):
        if route.get("RouteKey") == "$connect" and route.get("AuthorizationType", default="NONE") == "NONE":
            yield template.finding(
                "open-connect",
                route,
                "AuthorizationType",
                "anyone may connect, and API Gateway asks an authorizer on $connect alone, so nobody is asked later",
                "give the $connect route an authorizer (AuthorizationType CUSTOM with AuthorizerId, or AWS_IAM)",
            )
    for api in template.of_type(API):
        keys = [template.literal(route.get("RouteKey")) for route in template.using(ROUTE, "ApiId", api)]
        if api.get("ProtocolType") == "WEBSOCKET" and keys and not any(key in (None, "$connect") for key in keys):
            yield template.finding(
                "open-connect",
                api,
                "ProtocolType",
                "anyone may connect: without a $connect route API Gateway lets everyone in and asks nobody later",
                "add a $connect route with an authorizer (AuthorizationType CUSTOM with AuthorizerId, or AWS_IAM)",
            )


def stale_deployment(template: Template) -> Iterator[Finding]:
    """A Deployment is a snapshot, made once per logical id (developer guide, "Deploy WebSocket APIs").

    "It caused a pretty serious outage on our end": aws-samples/simple-websockets-chat-app, issue 26.

    Seen from one template: a logical id that does not end in a hash of content, and no stage that deploys by itself. The eight
    digits at the end of the CDK's own ids are a hash of the construct's path, which stays. A hash of the wrong things is not seen.
    """
    for deployment in template.of_type("AWS::ApiGatewayV2::Deployment"):
        api = deployment.get("ApiId")
        automatic = any(s.get("AutoDeploy") in (True, "true") and s.get("ApiId") == api for s in template.of_type(STAGE))
        if not automatic and not _content_hashed(deployment):
            yield template.finding(
                "stale-deployment",
                deployment,
                "ApiId",
                "the Deployment is a snapshot that is made once: routes and integrations that change later never reach its stage",
                "set AutoDeploy on the stage instead of DeploymentId, or put a hash of the routes into the Deployment's logical id",
            )


def unthrottled_stage(template: Template) -> Iterator[Finding]:
    """All APIs of an account and region share 10,000 requests a second, 2,500 in some regions (API Gateway quotas)."""
    for stage in template.of_type(STAGE):
        api = template.target(stage.get("ApiId"), API)
        if api and api.get("ProtocolType") == "WEBSOCKET" and not stage.get("DefaultRouteSettings", "ThrottlingRateLimit"):
            yield template.finding(
                "unthrottled-stage",
                stage,
                "DefaultRouteSettings",
                "a client in a loop uses up the requests per second that all APIs of the account share, and every one of them answers 429",
                "set ThrottlingRateLimit and ThrottlingBurstLimit in DefaultRouteSettings",
            )


def _content_hashed(resource: Resource) -> bool:
    if resource.id in _ids_of_path(resource.path or ""):
        return False
    rest = _PATH_HASH.sub("", resource.id)
    return bool(_HEX.search(rest)) or _base64(rest)


def _base64(text: str) -> bool:
    """As the Serverless Framework writes its hashes, without signs."""
    return len(text) >= _BASE64_LENGTH and sum(map(str.isdigit, text[-_BASE64_LENGTH:])) >= _BASE64_DIGITS


def _ids_of_path(path: str) -> set[str]:
    """The logical ids that the CDK derives from a construct's path; how many of its parts are the stack's is not in it."""
    parts = [part for part in path.split("/") if part != "Default"]
    return {_logical_id(parts[first:]) for first in range(1, len(parts))}


def _logical_id(parts: list[str]) -> str:
    """aws-cdk-lib/core/lib/private/uniqueid.ts"""
    if len(parts) == 1:
        return re.sub(r"[^A-Za-z0-9]", "", parts[0])
    digest = md5("/".join(parts).encode(), usedforsecurity=False).hexdigest()[:8].upper()
    kept: list[str] = []
    for part in parts:
        if not kept or not kept[-1].endswith(part):
            kept.append(part)
    human = "".join(re.sub(r"[^A-Za-z0-9]", "", part) for part in kept if part != "Resource")
    return human[:240] + digest
