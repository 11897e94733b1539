"""Well-known public samples, written anew in miniature: what the rules find in them."""

import json
from pathlib import Path
from typing import Any

import pytest

from guardrails import check

SAMPLES = Path(__file__).with_name("samples")
EXPECTED = {
    "websockets-chat-sam": {
        "open-connect ConnectRoute",
        "stale-deployment Deployment",
        "unthrottled-stage Stage",
        "connections-without-ttl ConnectionsTable",
        "scan-fan-out SendMessageRole",
        "endless-logs OnConnect",
        "endless-logs SendMessage",
    },
    "websocket-chat-cdk": {
        "unthrottled-stage Prod7A5F3219",
        "connections-without-ttl Connections827CEF2F",
        "scan-fan-out MessagesServiceRoleB812D0F4",
        "endless-logs Messages804FA4EB",
    },
    "web-adapter-streaming-sam": {"open-stream StoriesUrl", "unbounded-streams Stories", "endless-logs Stories"},
    "fargate-service-cdk": {"plain-http ServiceLBPublicListener46709EAA", "endless-logs ServiceTaskDefwebLogGroup2A898F61"},
    "stream-consumer-sam": {"endless-retries ConsumerStream", "endless-logs Consumer"},
}


def sample(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((SAMPLES / f"{name}.json").read_text())
    return read


@pytest.mark.parametrize("name", EXPECTED)
def test_sample_has_these_findings(name: str) -> None:
    """And no others."""
    found = [f"{finding.rule} {finding.logical_id}" for finding in check(sample(name))]
    assert set(found) == EXPECTED[name]
    assert len(found) == len(EXPECTED[name])


def test_every_sample_is_among_them() -> None:
    """None lies there untested."""
    assert {file.stem for file in SAMPLES.iterdir()} == set(EXPECTED)


def test_function_of_sam_is_mended_where_it_is_written() -> None:
    """Retries at the event, logs in Globals, which count for all functions."""
    template = sample("stream-consumer-sam")
    template["Globals"] = {"Function": {"LoggingConfig": {"LogGroup": "orders"}}}
    template["Resources"]["Consumer"]["Properties"]["Events"]["Stream"]["Properties"]["MaximumRetryAttempts"] = 3
    assert check(template) == []


def test_function_of_sam_acknowledges_for_what_is_made_of_it() -> None:
    """Its URL and its role have no Metadata of their own."""
    template = sample("web-adapter-streaming-sam")
    why = "a demo for a day, with a budget alarm"
    template["Resources"]["Stories"]["Metadata"] = {"RealtimeGuardRails": dict.fromkeys(("open-stream", "unbounded-streams"), why)}
    assert [finding.rule for finding in check(template)] == ["endless-logs"]
