"""The guard rails are silent on our own stacks."""

from pathlib import Path

import pytest

from guardrails import check
from guardrails.plugin import RealtimeGuardRails
from realtime.hub import HEARTBEAT_SECONDS
from tests.stacks.conftest import ROOT, Templates, synthesize

FILES = sorted((ROOT / "examples").glob("*.toml"))
ON_LAMBDA = '[features.figures]\npattern = "sse"\nhost = "lambda"\nstream = "90s"\nlatency = "1s"\nreaders = 30\n'


@pytest.mark.parametrize("variant", ["templates", "private", "certified"])
def test_own_templates_have_no_findings(request: pytest.FixtureRequest, variant: str) -> None:
    """With public features, with private ones, and with every other choice."""
    made: Templates = request.getfixturevalue(variant)
    found = [str(f) for stack, body in made.items() for f in check(body, stack=stack, heartbeat_seconds=HEARTBEAT_SECONDS)]
    assert found == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_examples_pass_the_plugin(tmp_path: Path, file: Path) -> None:
    """Every file of examples/; a finding would make the synth fail."""
    assert synthesize(tmp_path, file, plugins=(RealtimeGuardRails(heartbeat_seconds=HEARTBEAT_SECONDS),))


@pytest.mark.parametrize("endpoint", ["regional", "function-url"])
def test_streams_from_lambda_pass_the_plugin(tmp_path: Path, endpoint: str) -> None:
    """Without reserved concurrency, which a new account has none of: an alarm bounds them."""
    file = tmp_path / "features.toml"
    file.write_text(ON_LAMBDA)
    made = synthesize(tmp_path / "cdk", file, plugins=(RealtimeGuardRails(heartbeat_seconds=HEARTBEAT_SECONDS),), lambda_endpoint=endpoint)
    assert "SseLambdaStack" in made
