"""Accepting a finding of cdk-nag: on the construct itself, with the reason."""

import aws_cdk as cdk
from constructs import Construct


def accept(construct: Construct, rule: str, reason: str) -> None:
    """Acknowledge AwsSolutions-<rule> for the construct and what is in it."""
    cdk.Validations.of(construct).acknowledge(cdk.Acknowledgment(id=f"AwsSolutions::AwsSolutions-{rule}", reason=reason))
