"""What a role may do, by the policies that the template shows."""

import json
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from guardrails.template import Resource, Template
from guardrails.values import listed, mapping, objects

PUSH = "execute-api:ManageConnections"

_POLICIES = (("AWS::IAM::Policy", "Roles"), ("AWS::IAM::ManagedPolicy", "Roles"), ("AWS::IAM::RolePolicy", "RoleName"))
_OF_AWS = {
    "AdministratorAccess": "*",
    "PowerUserAccess": "*",
    "AmazonDynamoDBFullAccess": "dynamodb:*",
    "AmazonDynamoDBFullAccess_v2": "dynamodb:*",
    "AmazonDynamoDBReadOnlyAccess": "dynamodb:Scan",
    "AmazonAPIGatewayInvokeFullAccess": "execute-api:*",
}
"""AWS's managed policies that matter to a rule; others are taken for harmless."""

_NAMED = re.compile("|".join(rf"\b{name}\b" for name in _OF_AWS))


def may(template: Template, role: Resource, action: str) -> bool:
    """Whether it is allowed on any resource, and denied on none."""
    statements = list(_statements(template, role))
    return any(_covers(s, action) for s in statements if s.get("Effect") == "Allow") and not any(
        _covers(s, action) for s in statements if s.get("Effect") == "Deny"
    )


def may_push(template: Template, role: Resource) -> bool:
    """To connections of a WebSocket API. A role that may do everything (`*`) is somebody's who deploys, and does not count."""
    named = [s for s in _statements(template, role) if any(str(a).lower().startswith("execute-api:") for a in listed(s.get("Action")))]
    return any(_covers(s, PUSH) for s in named if s.get("Effect") == "Allow")


def _statements(template: Template, role: Resource) -> Iterator[Mapping[str, Any]]:
    documents = [policy.get("PolicyDocument") for policy in objects(role.get("Policies"))]
    for kind, key in _POLICIES:
        documents += [policy.get("PolicyDocument") for policy in template.using(kind, key, role)]
    named = role.get("ManagedPolicyArns")
    documents += [policy.get("PolicyDocument") for policy in template.targets(named, "AWS::IAM::ManagedPolicy")]
    for document in documents:
        yield from objects(mapping(document).get("Statement"))
    for name in _NAMED.findall(json.dumps(named)):
        yield {"Effect": "Allow", "Action": _OF_AWS[name]}


def _covers(statement: Mapping[str, Any], action: str) -> bool:
    """IAM's `*` and `?`, and no difference of case."""
    if "NotAction" in statement:
        return not _matches(statement["NotAction"], action)
    return _matches(statement.get("Action"), action)


def _matches(patterns: object, action: str) -> bool:
    return any(fnmatchcase(action.lower(), str(pattern).lower()) for pattern in listed(patterns))
