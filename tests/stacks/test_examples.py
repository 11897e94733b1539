"""The files of examples/: each deploys what its patterns need, and moving from one to another meets no export in use."""

import os
import subprocess
from pathlib import Path

import pytest

from realtime.features import load
from stacks.needs import report
from tests.stacks.conftest import ROOT, Templates, synthesize

STREAMS = {"NetworkStack", "SseServiceStack", "PubSubStack"}
NEEDED = {
    "polling-and-alerts": {"CoreStack", "PollingStack", *STREAMS},
    "fallback": {"CoreStack", "PollingStack", "WebSocketStack", *STREAMS},
    "segmented": {"CoreStack", "PollingStack", "WebSocketStack", *STREAMS},
}
FILES = {ROOT / "examples" / f"{name}.toml": stacks for name, stacks in NEEDED.items()} | {
    ROOT / "features.toml": {"CoreStack", "PollingStack", "WebSocketStack", *STREAMS, "SseLambdaStack", "ShopStack"}
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


@pytest.mark.parametrize(("file", "needed"), FILES.items(), ids=[file.stem for file in FILES])
def test_cdk_lists_what_the_patterns_need(tmp_path: Path, file: Path, needed: set[str]) -> None:
    """`cdk ls` itself: those stacks and nothing else; what serves each feature is told beside it, and not among them."""
    options = ["--context", f"features={file}", "--output", str(tmp_path), "--no-staging", "--no-notices"]
    listed = subprocess.run(
        [ROOT / "node_modules/.bin/cdk", "ls", *options],
        cwd=ROOT,
        env=os.environ | {"CDK_VALIDATION": "false"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert sorted(listed.stdout.split()) == sorted(needed)
    assert set(report(load(file))) <= set(listed.stderr.splitlines())


def test_shared_stacks_export_the_same_for_all(examples: dict[str, Templates], templates: Templates) -> None:
    """So a deployment can change from one file to another without a stack that waits for its export."""
    for stack in ("CoreStack", "NetworkStack"):
        assert all(example[stack]["Outputs"] == templates[stack]["Outputs"] for example in examples.values())
