"""Application load balancers, and other public ways to what pushes."""

from collections.abc import Iterator, Mapping
from typing import Any

from guardrails.finding import Finding
from guardrails.iam import may_push
from guardrails.template import Resource, Template
from guardrails.values import objects

BALANCER = "AWS::ElasticLoadBalancingV2::LoadBalancer"
LISTENER = "AWS::ElasticLoadBalancingV2::Listener"
RULE = "AWS::ElasticLoadBalancingV2::ListenerRule"
TARGETS = "AWS::ElasticLoadBalancingV2::TargetGroup"

Actions = list[Mapping[str, Any]]

DEFAULT_IDLE_SECONDS = 60
AUTHENTICATING = ("authenticate-oidc", "authenticate-cognito", "jwt-validation")


def idle_timeout(template: Template) -> Iterator[Finding]:
    """The idle time-out is 60 s unless it is set, and PING frames of HTTP/2 do not reset it (ELB user guide).

    60 s with a ping every 60 s gave a p99 of 8.9 s and 61 % time-outs in one product: more than twice the heartbeat, so that one
    may come late.
    """
    for balancer in template.of_type(BALANCER):
        seconds = _idle_seconds(template, balancer)
        least = template.least_idle_seconds
        if balancer.get("Type", default="application") == "application" and seconds is not None and seconds <= least:
            yield template.finding(
                "idle-timeout",
                balancer,
                "LoadBalancerAttributes",
                f"the load balancer cuts a stream after {seconds:g} s of silence, and {template.late_heartbeat}",
                f"set idle_timeout.timeout_seconds above {least:g}, or send heartbeats more often",
            )


def plain_http(template: Template) -> Iterator[Finding]:
    """An Authorization header, a cookie or a ticket in clear text is anybody's who is on the way (RFC 6750, section 5.3)."""
    for listener in _public_listeners(template):
        if listener.get("Protocol") == "HTTP" and any(_forwards(actions) for _, actions in _ways(template, listener)):
            yield template.finding(
                "plain-http",
                listener,
                "Protocol",
                "tokens and events pass by plain HTTP over a public address, where whoever is on the way reads and changes them",
                "redirect this listener to an HTTPS one, or make the load balancer internal, behind a VPC origin of CloudFront",
            )


def open_push(template: Template) -> Iterator[Finding]:
    """With execute-api:ManageConnections one posts to, and closes, any connection (API Gateway developer guide, "@connections").

    What checks callers behind the load balancer is not in a template: acknowledge with where it is done.
    """
    for listener in _public_listeners(template):
        for way, actions in _ways(template, listener):
            if not _asks(way, actions) and any(may_push(template, role) for role in _roles_behind(template, actions)):
                yield template.finding(
                    "open-push",
                    way,
                    "Actions" if way.type == RULE else "DefaultActions",
                    "whoever finds this address may push to any connection: the task or function behind it has "
                    "execute-api:ManageConnections, and nothing before it asks who calls",
                    "add authenticate-oidc, authenticate-cognito or jwt-validation before the forward, or a secret header as a condition, "
                    "or make the load balancer internal",
                )


def _idle_seconds(template: Template, balancer: Resource) -> float | None:
    for attribute in objects(balancer.get("LoadBalancerAttributes")):
        if attribute.get("Key") == "idle_timeout.timeout_seconds":
            return template.number(attribute.get("Value"))
    return DEFAULT_IDLE_SECONDS


def _public_listeners(template: Template) -> Iterator[Resource]:
    for listener in template.of_type(LISTENER):
        balancer = template.target(listener.get("LoadBalancerArn"), BALANCER)
        kind = balancer.get("Type", default="application") if balancer else None
        if balancer and kind == "application" and balancer.get("Scheme", default="internet-facing") == "internet-facing":
            yield listener


def _ways(template: Template, listener: Resource) -> Iterator[tuple[Resource, Actions]]:
    """The listener with its default actions, and each of its rules."""
    yield listener, objects(listener.get("DefaultActions"))
    for rule in template.using(RULE, "ListenerArn", listener):
        yield rule, objects(rule.get("Actions"))


def _forwards(actions: Actions) -> bool:
    return any(action.get("Type") == "forward" for action in actions)


def _asks(way: Resource, actions: Actions) -> bool:
    secret = any(condition.get("Field") == "http-header" for condition in objects(way.get("Conditions")))
    return secret or any(action.get("Type") in AUTHENTICATING for action in actions)


def _roles_behind(template: Template, actions: Actions) -> Iterator[Resource]:
    """Of the tasks and functions that actions forward to."""
    for group in template.targets(actions, TARGETS):
        functions = template.targets(group.get("Targets"), "AWS::Lambda::Function")
        services = template.using("AWS::ECS::Service", "LoadBalancers", group)
        tasks = (template.target(service.get("TaskDefinition"), "AWS::ECS::TaskDefinition") for service in services)
        for role in (*(f.get("Role") for f in functions), *(task.get("TaskRoleArn") for task in tasks if task)):
            yield from template.targets(role, "AWS::IAM::Role")
