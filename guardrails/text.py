"""Texts that a template puts together, in one form: `/aws/lambda/${AWS::StackName}-f`, by whichever function it is written."""

import re

from guardrails.template import Template
from guardrails.values import mapping

_VARIABLE = re.compile(r"\$\{([A-Za-z0-9:.]+)\}")


def text(template: Template, value: object) -> str | None:
    """None for what is put together in another way, or depends on a condition. A parameter's default stands for it."""
    match value:
        case str():
            return value
        case {"Ref": str(name)}:
            default = template.literal(value)
            return f"${{{name}}}" if default is None else str(default)
        case {"Fn::GetAtt": [str(id), str(attribute)]}:
            return f"${{{id}.{attribute}}}"
        case {"Fn::Join": [str(delimiter), list(parts)]}:
            return _joined(template, parts, delimiter)
        case {"Fn::Sub": told}:
            pattern, variables = told if isinstance(told, list) and len(told) == 2 else (told, {})
            return _substituted(template, pattern, variables) if isinstance(pattern, str) else None
    return None


def _joined(template: Template, parts: list[object], delimiter: str = "") -> str | None:
    texts = [text(template, part) for part in parts]
    known = [part for part in texts if part is not None]
    return delimiter.join(known) if len(known) == len(texts) else None


def _substituted(template: Template, pattern: str, variables: object) -> str | None:
    """Every second part that the split makes is a variable's name."""
    told = mapping(variables)
    parts = _VARIABLE.split(pattern)
    return _joined(template, [told.get(part, {"Ref": part}) if index % 2 else part for index, part in enumerate(parts)])
