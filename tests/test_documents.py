"""Documents that are made from the code, and must not fall behind it."""

import json
import re
from pathlib import Path

import pytest

from realtime.errors import markdown

ROOT = Path(__file__).parent.parent


def test_openapi_document_is_current(monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/openapi.json is what `make openapi` would write."""
    from services.http.openapi import document

    monkeypatch.chdir(ROOT)
    assert json.loads((ROOT / "docs/openapi.json").read_text()) == json.loads(json.dumps(document()))


def test_error_table_is_current() -> None:
    """docs/errors.md holds the table of the code."""
    assert markdown() in (ROOT / "docs/errors.md").read_text()


def test_every_key_of_a_feature_is_documented() -> None:
    """docs/configuration.md has a row for each key of features.toml, and none for a key that does not exist."""
    from realtime.features_file import FeatureTable

    table = section("## features.toml", "| rule | admits |")
    keys = {field.alias or name for name, field in FeatureTable.model_fields.items()} - {"name"}
    assert named_in(table) == keys


def test_every_context_key_is_documented() -> None:
    """The same for cdk.json; CDK's own feature flags are CDK's."""
    context = json.loads((ROOT / "cdk.json").read_text())["context"]
    table = section("## Context of cdk.json", "## Environment")
    assert named_in(table) == {key for key in context if not key.startswith(("@aws-cdk", "aws-cdk"))}


def test_every_environment_variable_is_documented() -> None:
    """The same for what functions and services read from their environment."""
    source = "".join(file.read_text() for folder in ("realtime", "services", "functions") for file in (ROOT / folder).rglob("*.py"))
    read = set(re.findall(r'env(?:\.get\(|\[)"([A-Z_]+)"', source)) | {"FEATURES"}
    assert named_in(section("## Environment", "")) == read


def section(start: str, end: str) -> str:
    """Part of docs/configuration.md, from a heading to the next one named."""
    text = (ROOT / "docs/configuration.md").read_text()
    return text[text.index(start) : text.index(end, text.index(start)) if end else None]


def named_in(table: str) -> set[str]:
    """The names in the first column of a Markdown table."""
    firsts = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    return {name for first in firsts for name in re.findall(r"`([^`]+)`", first)}
