"""Logs that are kept, and paid for, for ever."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from guardrails.finding import Finding
from guardrails.template import Resource, Template, mentioned
from guardrails.text import text
from guardrails.values import mapping, objects

GROUP = "AWS::Logs::LogGroup"
RETENTIONS = (GROUP, "Custom::LogRetention")
"""The second is what the CDK makes of `log_retention`."""

_OF_THE_CDK = re.compile(r"(Custom\w+CustomResourceProviderHandler|CustomCDK|LogRetention[0-9a-f]{32})")
"""Functions of its own custom resources, by logical id: they log a few lines at a deployment, and some cannot be told where."""
_UNKNOWN = re.compile(r"\$\{\w+[.}]")
"""A parameter without a default, or another resource's; a pseudo parameter has colons."""


def endless_logs(template: Template) -> Iterator[Finding]:
    """Without RetentionInDays events are kept for ever, also in a group that Lambda or ECS makes (CloudWatch Logs user guide)."""
    for group in template.of_type(*RETENTIONS):
        if group.get("RetentionInDays") is None and group.get("LogGroupClass") != "DELIVERY":  # whose retention is fixed
            yield _finding(template, group, "RetentionInDays", "set RetentionInDays")
    for function in template.of_type("AWS::Lambda::Function"):
        own = function.get("LoggingConfig", "LogGroup") is not None or _named_group(template, function)
        if not own and not _OF_THE_CDK.match(function.id):
            fix = "make a log group with RetentionInDays, and name it in the function's LoggingConfig.LogGroup (CDK: log_group)"
            yield _finding(template, function, "LoggingConfig", fix)
    for task in template.of_type("AWS::ECS::TaskDefinition"):
        if any(_makes_group(template, container) for container in objects(task.get("ContainerDefinitions"))):
            fix = "make a log group with RetentionInDays, and name it in awslogs-group instead of setting awslogs-create-group"
            yield _finding(template, task, "ContainerDefinitions", fix)


def _finding(template: Template, resource: Resource, property: str, fix: str) -> Finding:
    breaks = "its logs are kept for ever, and with a line or more per message the bill for them grows every month"
    return template.finding("endless-logs", resource, property, breaks, fix)


def _named_group(template: Template, function: Resource) -> bool:
    """A group of the name that Lambda would give it, /aws/lambda/<function>."""
    name = text(template, function.get("FunctionName"))
    groups = template.of_type(*RETENTIONS)
    return any(mentioned(group.get("LogGroupName"), function) for group in groups) or (
        name is not None and _is_named(template, f"/aws/lambda/{name}")
    )


def _makes_group(template: Template, container: Mapping[str, Any]) -> bool:
    """One that is not in the template, by a name that the template tells."""
    logging = mapping(container.get("LogConfiguration"))
    options = mapping(logging.get("Options"))
    name = text(template, options.get("awslogs-group"))
    makes = logging.get("LogDriver") == "awslogs" and options.get("awslogs-create-group") in (True, "true")
    return makes and name is not None and not _UNKNOWN.search(name) and not _is_named(template, name)


def _is_named(template: Template, name: str) -> bool:
    return any(text(template, group.get("LogGroupName")) == name for group in template.of_type(*RETENTIONS))
