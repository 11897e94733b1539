"""The cloud assembly for this machine: a copy without what the local endpoint does not know, and a list of what was left out."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Template = dict[str, Any]

_SUB = re.compile(r"\$\{([A-Za-z0-9]+)[}.]")


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A resource that the local endpoint does not get, and why."""

    stack: str
    logical_id: str
    type: str
    reason: str


def localize(source: Path, target: Path, known: frozenset[str], valkey: str | None = None) -> list[LeftOut]:
    """Copy the assembly to `target` and take out of its templates what is not known; assets are linked, not copied.

    `valkey`: the URL of the server of this machine, which stands in for the cache. Images are not published: nobody here
    could build or run them, and local/hubs.py runs their files.
    """
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for entry in source.iterdir():
        if entry.is_dir():
            (target / entry.name).symlink_to(entry.resolve())
        else:
            shutil.copyfile(entry, target / entry.name)
    left_out = []
    for file in sorted(target.glob("*.template.json")):
        template = json.loads(file.read_text())
        if valkey:
            template = with_local_cache(template, valkey)
        template, gone = leave_out(template, known)
        file.write_text(json.dumps(template))
        left_out += [LeftOut(file.name.removesuffix(".template.json"), *entry) for entry in gone]
    for file in target.glob("*.assets.json"):
        file.write_text(json.dumps({**json.loads(file.read_text()), "dockerImages": {}}))
    return left_out


def with_local_cache(template: Template, url: str) -> Template:
    """The template with this URL wherever one is put together from the address of an ElastiCache."""
    caches = {name for name, resource in template.get("Resources", {}).items() if resource["Type"].startswith("AWS::ElastiCache::")}
    local: Template = _replaced(template, caches, url)
    return local


def _replaced(node: Any, caches: set[str], url: str) -> Any:
    if isinstance(node, dict):
        if "Fn::Join" in node and _dangling(node, caches):
            return url
        return {key: _replaced(value, caches, url) for key, value in node.items()}
    return [_replaced(child, caches, url) for child in node] if isinstance(node, list) else node


def leave_out(template: Template, known: frozenset[str]) -> tuple[Template, list[tuple[str, str, str]]]:
    """The template without unknown types and without what refers to them, and (id, type, reason) of each that is gone."""
    resources: dict[str, Any] = dict(template.get("Resources", {}))
    gone = list[tuple[str, str, str]]()
    for name, resource in list(resources.items()):
        if not _is_known(resource["Type"], known):
            gone.append((name, resource["Type"], "the local endpoint does not know this type"))
            del resources[name]
    while holders := {name: ref for name, r in resources.items() if (ref := _dangling(r.get("Properties"), {g[0] for g in gone}))}:
        for name, reference in holders.items():
            gone.append((name, resources.pop(name)["Type"], f"it refers to {reference}"))
    missing = {entry[0] for entry in gone}
    outputs = {name: o for name, o in template.get("Outputs", {}).items() if not _dangling(o, missing)}
    kept = {name: _without_dependencies(resource, missing) for name, resource in resources.items()}
    return {**template, "Resources": kept, "Outputs": outputs}, gone


def _is_known(type: str, known: frozenset[str]) -> bool:
    return type in known or type.startswith("Custom::")


def _without_dependencies(resource: dict[str, Any], missing: set[str]) -> dict[str, Any]:
    wanted = resource.get("DependsOn", [])
    left = [name for name in ([wanted] if isinstance(wanted, str) else wanted) if name not in missing]
    rest = {key: value for key, value in resource.items() if key != "DependsOn"}
    return {**rest, "DependsOn": left} if left else rest


def _dangling(node: object, missing: set[str]) -> str | None:
    """The first reference to something that is missing."""
    return next((name for name in _references(node) if name in missing), None)


def _references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "Ref" and isinstance(value, str):
                yield value
            elif key == "Fn::GetAtt":
                yield value.split(".")[0] if isinstance(value, str) else value[0]
            elif key == "Fn::Sub":
                yield from _SUB.findall(value if isinstance(value, str) else value[0])
                yield from _references(value)
            else:
                yield from _references(value)
    elif isinstance(node, list):
        for child in node:
            yield from _references(child)
