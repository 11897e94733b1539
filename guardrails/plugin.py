"""The rules as a validation plugin of the CDK: a synth with a finding fails.

Acknowledgements are the CDK's own affair: it drops from a plugin's report what `Validations.of(construct).acknowledge` accepts.
"""

import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import aws_cdk as cdk
import jsii

from guardrails import RULES, Finding, check
from guardrails.assembly import name, nested
from guardrails.template import PLUGIN, require_heartbeat


@jsii.implements(cdk.IPolicyValidationPlugin)
class RealtimeGuardRails:
    """`cdk.Validations.of(app).add_plugins(RealtimeGuardRails())`. `heartbeat_seconds`: how long your streams are silent."""

    def __init__(self, *, heartbeat_seconds: float = 15) -> None:
        require_heartbeat(heartbeat_seconds)
        self._heartbeat_seconds = heartbeat_seconds

    @property
    def name(self) -> str:
        return PLUGIN

    @property
    def version(self) -> str | None:
        try:
            return version("realtime-blueprints")
        except PackageNotFoundError:
            return None

    @property
    def rule_ids(self) -> list[str] | None:
        return list(RULES)

    def validate(self, context: cdk.IPolicyValidationContext) -> cdk.PolicyValidationPluginReport:
        templates = [Path(path) for path in context.template_paths]
        every = [file for template in templates for file in (template, *nested(template))]
        violations = [violation for file in every for violation in self._violations(file)]
        return cdk.PolicyValidationPluginReport(success=not violations, violations=violations)

    def _violations(self, file: Path) -> list[cdk.PolicyViolation]:
        found = check(json.loads(file.read_text()), stack=name(file), heartbeat_seconds=self._heartbeat_seconds)
        return [_violation(finding, file) for finding in found]


def _violation(finding: Finding, file: Path) -> cdk.PolicyViolation:
    return cdk.PolicyViolation(
        rule_name=finding.rule,
        description=f"{finding.stack} {finding.logical_id}: {finding.breaks}",
        fix=finding.fix,
        severity="error",  # without one, the rest of a report passes as soon as a part of it is acknowledged
        violating_resources=[
            cdk.PolicyViolatingResource(resource_logical_id=finding.logical_id, template_path=str(file), locations=[finding.property])
        ],
    )
