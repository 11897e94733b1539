"""A read model of a CloudFormation template: its resources, and where references in them lead.

What depends on a condition (Fn::If), or on a parameter without a default, is not known here, and rules pass over it.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from guardrails.finding import Finding
from guardrails.sam import expanded
from guardrails.values import mapping

PLUGIN = "RealtimeGuardRails"
"""The key in a resource's Metadata that holds acknowledgements, as {rule: reason}; in the CDK, the namespace of the rules."""

NO_VALUE = {"Ref": "AWS::NoValue"}
_SUBSTITUTED = re.compile(r"\$\{([A-Za-z0-9]+)[.}]")


@dataclass(frozen=True)
class Resource:
    id: str
    type: str
    properties: Mapping[str, Any]
    path: str | None
    acknowledged: frozenset[str]

    def get(self, *keys: str, default: Any = None) -> Any:
        """A property, or a property of one; `default` where any of them is absent."""
        found: Any = self.properties
        for key in keys:
            found = found.get(key) if isinstance(found, Mapping) else None
        return default if found is None else found


class Template:
    """What `check` judges: one template, against the longest silence of a healthy stream."""

    def __init__(self, body: Mapping[str, Any], *, stack: str = "", heartbeat_seconds: float = 15) -> None:
        require_heartbeat(heartbeat_seconds)
        self.stack = stack
        self.least_idle_seconds = 2 * heartbeat_seconds
        self.late_heartbeat = f"heartbeats come every {heartbeat_seconds:g} s, or after twice that when one is late"
        self._parameters = mapping(body.get("Parameters"))
        self._resources = {key: _resource(key, resource) for key, resource in expanded(body).items()}

    def of_type(self, *types: str) -> Iterator[Resource]:
        return (resource for resource in self._resources.values() if resource.type in types)

    def targets(self, value: object, *types: str) -> Iterator[Resource]:
        """Resources of these types that a value mentions."""
        found = (self._resources.get(key) for key in dict.fromkeys(_mentions(value)))
        return (resource for resource in found if resource and resource.type in types)

    def target(self, value: object, *types: str) -> Resource | None:
        return next(self.targets(value, *types), None)

    def using(self, type: str, key: str, used: Resource) -> Iterator[Resource]:
        """Resources of a type whose property mentions the one that is used."""
        return (resource for resource in self.of_type(type) if used.id in _mentions(resource.get(key)))

    def literal(self, value: object) -> object:
        """A value that the template tells: itself, or its parameter's default; else None."""
        if isinstance(value, Mapping):
            return mapping(self._parameters.get(str(value.get("Ref")))).get("Default")
        return value

    def number(self, value: object) -> float | None:
        try:
            return float(str(self.literal(value)))
        except ValueError:
            return None

    def finding(self, rule: str, resource: Resource, property: str, breaks: str, fix: str) -> Finding:
        return Finding(rule, self.stack, resource.id, resource.path, f"Properties.{property}", breaks, fix)

    def acknowledged(self, finding: Finding) -> bool:
        return finding.rule in self._resources[finding.logical_id].acknowledged


def mentioned(value: object, resource: Resource) -> bool:
    return resource.id in _mentions(value)


def require_heartbeat(seconds: float) -> None:
    """Any other number would silence rules: nothing is shorter than nan."""
    if not (math.isfinite(seconds) and seconds > 0):
        raise ValueError(f"the heartbeat is {seconds:g} s: give a finite number of seconds above 0")


def _resource(id: str, body: Mapping[str, Any]) -> Resource:
    metadata = mapping(body.get("Metadata"))
    properties = mapping(_without_no_value(body.get("Properties")))
    return Resource(id, str(body.get("Type")), properties, metadata.get("aws:cdk:path"), frozenset(mapping(metadata.get(PLUGIN))))


def _without_no_value(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_no_value(inner) for key, inner in value.items() if inner != NO_VALUE}
    return [_without_no_value(inner) for inner in value if inner != NO_VALUE] if isinstance(value, list) else value


def _mentions(value: object) -> Iterator[str]:
    """Logical ids, by Ref, Fn::GetAtt and Fn::Sub, at any depth."""
    match value:
        case {"Ref": str(id)}:
            yield id
        case {"Fn::GetAtt": [str(id), *_]}:
            yield id
        case {"Fn::GetAtt": str(attribute)}:
            yield attribute.partition(".")[0]
        case {"Fn::Sub": str(text)}:
            yield from _SUBSTITUTED.findall(text)
        case {"Fn::Sub": [str(text), variables]}:
            yield from _SUBSTITUTED.findall(text)
            yield from _mentions(variables)
        case dict():
            yield from _mentions(list(value.values()))
        case list():
            for inner in value:
                yield from _mentions(inner)
