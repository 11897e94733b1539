"""Guard rails for real-time features: what breaks in production and can be seen in a CloudFormation template.

`check` takes a template; `guardrails.plugin.RealtimeGuardRails` is a validation plugin for an app of the CDK; `python -m guardrails
cdk.out` is for everything else that makes templates.
"""

from collections.abc import Mapping
from typing import Any

from guardrails.finding import Finding
from guardrails.rules import RULES
from guardrails.template import Template

__all__ = ["RULES", "Finding", "check"]


def check(template: Mapping[str, Any], *, stack: str = "", heartbeat_seconds: float = 15) -> list[Finding]:
    """What every rule finds, but for what the template's Metadata acknowledges. `heartbeat_seconds`: how long your streams are silent."""
    model = Template(template, stack=stack, heartbeat_seconds=heartbeat_seconds)
    return [finding for rule in RULES.values() for finding in rule(model) if not model.acknowledged(finding)]
