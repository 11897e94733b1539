"""What a template's values are taken for, whatever was written there."""

from collections.abc import Mapping
from typing import Any


def listed(value: object) -> list[Any]:
    """Where CloudFormation takes one or a list of them."""
    return value if isinstance(value, list) else [] if value is None else [value]


def objects(value: object) -> list[Mapping[str, Any]]:
    """The same where each is an object; texts and numbers, which are mistakes there, are left out."""
    return [item for item in listed(value) if isinstance(item, Mapping)]


def mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
