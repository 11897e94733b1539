"""Logs that are kept, and paid for, for ever."""

import re
from collections.abc import Iterator

from guardrails.finding import Finding
from guardrails.template import Resource, Template, mentioned

GROUP = "AWS::Logs::LogGroup"
RETENTIONS = (GROUP, "Custom::LogRetention")
"""The second is what the CDK makes of `log_retention`."""

_OF_THE_CDK = re.compile(r"(Custom\w+CustomResourceProviderHandler|CustomCDK|LogRetention[0-9a-f]{32})")
"""Functions of its own custom resources, by logical id: they log a few lines at a deployment, and some cannot be told where."""


def endless_logs(template: Template) -> Iterator[Finding]:
    """Without RetentionInDays events are kept for ever, also in the group that Lambda makes (CloudWatch Logs user guide)."""
    for group in template.of_type(*RETENTIONS):
        if group.get("RetentionInDays") is None and group.get("LogGroupClass") != "DELIVERY":  # whose retention is fixed
            yield _finding(template, group, "RetentionInDays", "set RetentionInDays")
    for function in template.of_type("AWS::Lambda::Function"):
        own = function.get("LoggingConfig", "LogGroup") is not None or _named_group(template, function)
        if not own and not _OF_THE_CDK.match(function.id):
            fix = "make a log group with RetentionInDays, and name it in the function's LoggingConfig.LogGroup (CDK: log_group)"
            yield _finding(template, function, "LoggingConfig", fix)


def _finding(template: Template, resource: Resource, property: str, fix: str) -> Finding:
    breaks = "its logs are kept for ever, and with a line or more per message the bill for them grows every month"
    return template.finding("endless-logs", resource, property, breaks, fix)


def _named_group(template: Template, function: Resource) -> bool:
    """A group of the name that Lambda would give it, /aws/lambda/<function>."""
    name = template.literal(function.get("FunctionName"))
    for group in template.of_type(*RETENTIONS):
        told = group.get("LogGroupName")
        if mentioned(told, function) or (name and template.literal(told) == f"/aws/lambda/{name}"):
            return True
    return False
