"""Documents that are made from the code, and must not fall behind it."""

import json
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
