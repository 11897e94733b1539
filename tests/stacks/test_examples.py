"""The files of examples/: each deploys what its patterns need, and moving from one to another meets no export in use."""

from pathlib import Path

import pytest

from realtime.features import load
from tests.stacks.conftest import ROOT, Templates, synthesize

STREAMS = {"NetworkStack", "SseServiceStack", "PubSubStack"}
NEEDED = {
    "polling-and-alerts": {"CoreStack", "PollingStack", *STREAMS},
    "fallback": {"CoreStack", "PollingStack", "WebSocketStack", *STREAMS},
    "segmented": {"CoreStack", "PollingStack", "WebSocketStack", *STREAMS},
}


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Templates]:
    return {name: synthesize(tmp_path_factory.mktemp(name), ROOT / "examples" / f"{name}.toml") for name in NEEDED}


def test_every_example_is_among_them() -> None:
    """Each file is read without a mistake, stands in docs/hybrid.md, and is tested here."""
    files = sorted((ROOT / "examples").glob("*.toml"))
    text = Path(ROOT / "docs/hybrid.md").read_text()
    assert {file.stem for file in files} == set(NEEDED)
    assert all(load(file) and f"examples/{file.name}" in text for file in files)


@pytest.mark.parametrize("name", NEEDED)
def test_example_deploys_what_its_patterns_need(examples: dict[str, Templates], name: str) -> None:
    """And nothing else."""
    assert set(examples[name]) == NEEDED[name]


def test_shared_stacks_export_the_same_for_all(examples: dict[str, Templates], templates: Templates) -> None:
    """So a deployment can change from one file to another without a stack that waits for its export."""
    for stack in ("CoreStack", "NetworkStack"):
        assert all(example[stack]["Outputs"] == templates[stack]["Outputs"] for example in examples.values())
