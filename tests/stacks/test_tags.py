"""Tags: a bill can be split by them, and a change of them replaces nothing."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER  # type: ignore[import-untyped]  # it has none

from stacks import tags
from stacks.needs import NEEDS
from tests.stacks.conftest import ROOT, Templates, of_type, only, synthesize

TABLE = "AWS::DynamoDB::GlobalTable"  # which has its tags by replica
KEYS = {"realtime:pattern", "realtime:features"}
OTHER = "other-features"


@pytest.fixture(scope="module")
def renamed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the app is that serves the same by other names, as far as tags say."""
    folder = tmp_path_factory.mktemp("cdk")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tags, "joined", lambda _: OTHER)
        synthesize(folder, ROOT / "features.toml")
    return folder


def taggable(type: str) -> dict[str, Any]:
    """What CloudFormation's own schema says of tags, by way of cfn-lint; empty where the type takes none."""
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", type).schema
    tagging: dict[str, Any] = schema.get("tagging", {})
    return tagging if tagging.get("taggable") else {}


def keys(resource: dict[str, Any]) -> set[str]:
    """Of its tags, a list or, for some types, a map."""
    properties = resource["Properties"]
    (found,) = [replica["Tags"] for replica in properties["Replicas"]] if resource["Type"] == TABLE else [properties.get("Tags", [])]
    return set(found) if isinstance(found, dict) else {tag["Key"] for tag in found}


def without_tags(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_tags(inner) for key, inner in value.items() if key != "Tags"}
    return [without_tags(inner) for inner in value] if isinstance(value, list) else value


def resources(made: Templates) -> Iterator[dict[str, Any]]:
    return (resource for template in made.values() for resource in template["Resources"].values())


def test_every_resource_that_takes_tags_has_them(templates: Templates, private: Templates, certified: Templates) -> None:
    """In every stack; what CloudFormation itself tags for the stack is left to it."""
    takes = [r for made in (templates, private, certified) for r in resources(made) if r["Type"] == TABLE or taggable(r["Type"])]
    assert len(takes) > 150
    assert {r["Type"] for r in takes if not keys(r) >= KEYS} == set(tags.HASHED)


def test_other_tags_replace_nothing(templates: Templates, renamed: Path) -> None:
    """The templates differ in tags alone, logical ids and hashes included, and every type changes its tags in place."""
    other = {name: json.loads((renamed / f"{name}.template.json").read_text()) for name in templates}
    assert other != templates
    assert without_tags(other) == without_tags(templates)
    assert all(taggable(r["Type"]).get("tagUpdatable", True) for r in resources(templates))


def test_stacks_have_the_tags_themselves(renamed: Path) -> None:
    """So CloudFormation gives them to what a template cannot tag, and to the stack."""
    artifacts = json.loads((renamed / "manifest.json").read_text())["artifacts"].values()
    found = {a["displayName"]: a["properties"]["tags"] for a in artifacts if a["type"] == "aws:cloudformation:stack"}
    patterns = {name: need.tag for name, need in NEEDS.items()} | {"ShopStack": "shop"}
    assert found == {name: {"realtime:pattern": pattern, "realtime:features": OTHER} for name, pattern in patterns.items()}


def test_tags_name_the_features_that_a_stack_serves(templates: Templates) -> None:
    """And no other."""
    (tagged,) = of_type(templates["SseServiceStack"], "AWS::ECS::Cluster")
    assert {"Key": "realtime:features", "Value": "alerts+orders"} in tagged["Tags"]
    assert only(templates["WebSocketStack"], "ApiGatewayV2::Api")["Tags"] == {
        "realtime:features": "orders+chat",
        "realtime:pattern": "websocket",
    }


def test_tasks_get_the_tags_of_their_service(templates: Templates) -> None:
    """Fargate bills tasks, which have no tags of their own."""
    assert only(templates["SseServiceStack"], "ECS::Service")["PropagateTags"] == "SERVICE"


@pytest.mark.parametrize("count", [1, 7, 8, 30, 200])
def test_value_of_a_tag_is_short_enough_and_says_what_is_missing(count: int) -> None:
    """Whole names, in characters that every service takes, then how many more there are."""
    names = [f"{'a' * 29}{number:03}" for number in range(count)]
    shown = tags.joined(names)
    *whole, last = shown.split("+")
    assert re.fullmatch(r"[\w+=.:/@ -]{1,256}", shown, re.ASCII)
    assert [*whole, last] == names or (whole == names[: len(whole)] and last == f"{count - len(whole)}-more")
