"""stacks/needs.py: what each choice deploys, and what synth says of it."""

from pathlib import Path

import pytest

from realtime.features import Features, load
from stacks.needs import NEEDS, report
from tests.helpers import feature
from tests.stacks.conftest import ROOT, made

HUBS = ["NetworkStack", "SseServiceStack", "PubSubStack"]
FALLBACK = "WebSocket API, else streams from hubs on Fargate, else HTTP API, every 5 s"
CHOICES = {
    "pattern = 'polling'": ["PollingStack"],
    "pattern = 'websocket'": ["WebSocketStack"],
    "pattern = 'sse'\nlatency = '1s'": HUBS,
    "pattern = 'sse'\nlatency = '1s'\nhost = 'lambda'": ["SseLambdaStack"],
    "pattern = 'fallback'": ["PollingStack", "WebSocketStack", *HUBS],
    "pattern = 'fallback'\nhost = 'lambda'": ["PollingStack", "WebSocketStack", "SseLambdaStack"],
}


@pytest.mark.parametrize(
    ("choice", "stacks"), CHOICES.items(), ids=("polling", "websocket", "sse", "lambda", "fallback", "fallback-lambda")
)
def test_choice_makes_the_stacks_that_it_needs(tmp_path: Path, choice: str, stacks: list[str]) -> None:
    """CoreStack, those of the pattern and its host, and no other; the report names the same."""
    (tmp_path / "features.toml").write_text(f"[features.a]\n{choice}\n")
    app = made(tmp_path / "cdk.out", tmp_path / "features.toml")
    names = [construct.node.id for construct in app.node.children]
    (line,) = report(load(tmp_path / "features.toml"))
    assert names == ["CoreStack", *stacks]
    assert all(name in line for name in names)
    assert not any(name in line for name in NEEDS.keys() - names)


def test_report_is_aligned_and_says_how_each_feature_is_served() -> None:
    """The repository's own features, a line each; in brackets what is deployed by name."""
    assert report(load(ROOT / "features.toml")) == [
        "metrics  polling    CoreStack, PollingStack: HTTP API, shared at the edge, every 5 s",
        "alerts   sse        CoreStack, NetworkStack, SseServiceStack, [PubSubStack]: streams from hubs on Fargate",
        "orders   fallback   CoreStack, PollingStack, WebSocketStack, NetworkStack, SseServiceStack, [PubSubStack]: " + FALLBACK,
        "chat     websocket  CoreStack, WebSocketStack: WebSocket API",
        "answers  sse        CoreStack, SseLambdaStack: streams of 60 s from Lambda",
    ]


def test_private_answers_are_not_said_to_be_shared() -> None:
    """A shared cache holds public features alone."""
    (line,) = report(Features({"a": feature(name="a", latency="30s")}))
    assert line == "a  polling  CoreStack, PollingStack: HTTP API, every 30 s"
