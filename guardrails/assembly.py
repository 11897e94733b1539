"""The templates of a cloud assembly (cdk.out), of a folder, or a file; and what an assembly's constructs acknowledge."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from guardrails import Finding, check
from guardrails.template import PLUGIN

SUFFIX = ".template.json"
NESTED = ".nested.template.json"
SECTIONS = {
    "AWSTemplateFormatVersion",
    "Conditions",
    "Description",
    "Hooks",
    "Mappings",
    "Metadata",
    "Outputs",
    "Parameters",
    "Rules",
    "Transform",
}
"""What may be in a template without Resources, as the CDK writes it for an empty stack."""


class UnreadableError(Exception):
    """One sentence that says which file, what is wrong and what to do."""


@dataclass(frozen=True)
class Source:
    """A template's file; `acknowledged`: ids of rules by the construct path from which on they are accepted."""

    file: Path
    acknowledged: Mapping[str, set[str]] = field(default_factory=dict)

    def findings(self, heartbeat_seconds: float) -> list[Finding]:
        found = check(_template(self.file), stack=name(self.file), heartbeat_seconds=heartbeat_seconds)
        return [finding for finding in found if not self._accepts(finding)]

    def _accepts(self, finding: Finding) -> bool:
        parts = (finding.path or "").split("/")
        paths = ("/".join(parts[:length]) for length in range(1, len(parts) + 1))
        return any(f"{PLUGIN}::{finding.rule}" in self.acknowledged.get(path, ()) for path in paths)


def name(template: Path) -> str:
    """The stack that the file is of."""
    return template.name.removesuffix(".json").removesuffix(".template").removesuffix(".nested")


def nested(template: Path) -> list[Path]:
    """Templates of its nested stacks, which are assets of the stack."""
    manifest = template.with_name(template.name.replace(SUFFIX, ".assets.json"))
    files = _json(manifest).get("files", {}).values() if manifest.exists() else ()
    sources = {file.get("source", {}).get("path", "") for file in files}
    return [template.with_name(source) for source in sorted(sources) if source.endswith(NESTED)]


def sources(path: Path) -> list[Source]:
    if path.is_dir():
        found = list(_stacks(path)) if (path / "manifest.json").exists() else [Source(file) for file in sorted(path.rglob(f"*{SUFFIX}"))]
    else:
        found = [Source(path)]
    if not found:
        raise UnreadableError(f"{path}: no {SUFFIX} in it: run cdk synth first, or name a template")
    return found


def _stacks(assembly: Path) -> Iterator[Source]:
    """Those of its manifest, and of the assemblies of its stages: a file that an earlier synth left is in neither."""
    for artifact in _json(assembly / "manifest.json").get("artifacts", {}).values():
        told = artifact.get("properties", {})
        if artifact.get("type") == "cdk:cloud-assembly":
            yield from _stacks(assembly / told["directoryName"])
        elif artifact.get("type") == "aws:cloudformation:stack":
            template = assembly / told["templateFile"]
            acknowledged = _acknowledged(assembly, artifact)
            yield from (Source(file, acknowledged) for file in (template, *nested(template)))


def _acknowledged(assembly: Path, artifact: Mapping[str, Any]) -> dict[str, set[str]]:
    """In the manifest, or in a file of its own, as the CDK's version has it."""
    extra = artifact.get("additionalMetadataFile")
    metadata = artifact.get("metadata", {}) | (_json(assembly / extra) if extra else {})
    found: dict[str, set[str]] = {}
    for path, entries in metadata.items():
        for entry in entries:
            if entry.get("type") == "aws:cdk:acknowledged-rules":
                found.setdefault(path.lstrip("/"), set()).update(entry.get("data", {}))
    return found


def _template(file: Path) -> Any:
    content = _json(file)
    if not isinstance(content.get("Resources"), dict) and not content.keys() <= SECTIONS:
        raise UnreadableError(f"{file}: is not a template")
    return content


def _json(file: Path) -> Any:
    try:
        content = json.loads(file.read_text())
    except OSError as error:
        raise UnreadableError(f"{file}: {error.strerror}") from error
    except ValueError as error:
        raise UnreadableError(f"{file}: is not JSON: convert it first, for example with cfn-flip") from error
    if not isinstance(content, dict):
        raise UnreadableError(f"{file}: is not a template")
    return content
