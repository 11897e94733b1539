"""The cloud assembly for this machine: a copy without what the local endpoint does not know, and a list of what was left out."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Template = dict[str, Any]

_DONE_HERE = {
    "AWS::Events::Rule": "the process local.orders does what it would start",
    "Custom::CDKBucketDeployment": "the page's server has these files",
    "AWS::Lambda::LayerVersion": "it is the AWS CLI, to copy the page's files",
}
"""What the local endpoint knows, and should not have."""

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
    whole = {file.name.removesuffix(".template.json"): json.loads(file.read_text()) for file in sorted(target.glob("*.template.json"))}
    if valkey:
        whole = {stack: with_local_cache(template, valkey) for stack, template in whole.items()}
    templates, left_out = _leave_out_of_all(whole, known)
    for stack, template in templates.items():
        text = json.dumps(template)
        (target / f"{stack}.template.json").write_text(text)
        assets = target / f"{stack}.assets.json"
        if assets.exists():
            assets.write_text(json.dumps(_still_needed(json.loads(assets.read_text()), text)))
    return left_out


def _leave_out_of_all(whole: dict[str, Template], known: frozenset[str]) -> tuple[dict[str, Template], list[LeftOut]]:
    """Again and again, until no stack imports what another has lost."""
    lost, before = frozenset[str](), None
    while lost != before:
        made = {stack: leave_out(template, known, lost) for stack, template in whole.items()}
        before, lost = lost, frozenset(name for s, (kept, _) in made.items() for name in _exports(whole[s]) - _exports(kept))
    return {s: kept for s, (kept, _) in made.items()}, [LeftOut(s, *entry) for s, (_, gone) in made.items() for entry in gone]


def _exports(template: Template) -> set[str]:
    return {output["Export"]["Name"] for output in template.get("Outputs", {}).values() if "Export" in output}


def _still_needed(assets: dict[str, Any], template: str) -> dict[str, Any]:
    """The assets' manifest without images and without files that the template does not name any more."""
    files = {
        name: file
        for name, file in assets.get("files", {}).items()
        if file["source"]["path"].endswith(".template.json") or any(d["objectKey"] in template for d in file["destinations"].values())
    }
    return {**assets, "files": files, "dockerImages": {}}


def with_local_cache(template: Template, url: str) -> Template:
    """The template with this URL wherever one is put together from the address of an ElastiCache."""
    caches = frozenset(
        name for name, resource in template.get("Resources", {}).items() if resource["Type"].startswith("AWS::ElastiCache::")
    )
    local: Template = _replaced(template, caches, url)
    return local


def _replaced(node: Any, caches: frozenset[str], url: str) -> Any:
    if isinstance(node, dict):
        if "Fn::Join" in node and _dangling(node, caches):
            return url
        return {key: _replaced(value, caches, url) for key, value in node.items()}
    return [_replaced(child, caches, url) for child in node] if isinstance(node, list) else node


def leave_out(template: Template, known: frozenset[str], lost: frozenset[str] = frozenset()) -> tuple[Template, list[tuple[str, str, str]]]:
    """The template without unknown types and without what refers to them, and (id, type, reason) of each that is gone.

    `lost`: names of exports that no stack has any more.
    """
    resources: dict[str, Any] = dict(template.get("Resources", {}))
    gone = list[tuple[str, str, str]]()
    for name, resource in list(resources.items()):
        if reason := _reason(resource["Type"], known):
            gone.append((name, resource["Type"], reason))
            del resources[name]
    missing = lost | {entry[0] for entry in gone}
    while holders := {name: ref for name, r in resources.items() if (ref := _dangling(r.get("Properties"), missing))}:
        for name, reference in holders.items():
            gone.append((name, resources.pop(name)["Type"], f"it refers to {reference}"))
        missing |= holders.keys()
    outputs = {name: o for name, o in template.get("Outputs", {}).items() if not _dangling(o, missing)}
    kept = {name: _without_dependencies(resource, missing) for name, resource in resources.items()}
    return {**template, "Resources": kept, "Outputs": outputs}, gone


def _reason(type: str, known: frozenset[str]) -> str | None:
    """Why resources of the type are left out; None for those that are not."""
    if type in _DONE_HERE:
        return _DONE_HERE[type]
    return None if type in known or type.startswith("Custom::") else "the local endpoint does not know this type"


def _without_dependencies(resource: dict[str, Any], missing: frozenset[str]) -> dict[str, Any]:
    wanted = resource.get("DependsOn", [])
    left = [name for name in ([wanted] if isinstance(wanted, str) else wanted) if name not in missing]
    rest = {key: value for key, value in resource.items() if key != "DependsOn"}
    return {**rest, "DependsOn": left} if left else rest


def _dangling(node: object, missing: frozenset[str]) -> str | None:
    """The first reference to something that is missing."""
    return next((name for name in _references(node) if name in missing), None)


def _references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("Ref", "Fn::ImportValue") and isinstance(value, str):
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
