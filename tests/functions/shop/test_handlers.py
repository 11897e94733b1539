"""The shop's functions over moto: a minute is published once, and guests are signed in."""

import base64
import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from functions.shop import job
from functions.shop.day import ALERTS, FIGURES, ORDERS, publications
from realtime.cursor import START
from realtime.errors import Code, RealtimeError
from realtime.features import Topic
from realtime.runtime import Runtime
from realtime.tokens import SecretVerifier, issue
from tests.helpers import SECRET
from tests.lambda_runtime import http_event

ROOT = Path(__file__).parents[3]
MINUTE = {"time": "2026-11-24T18:05:00Z"}
STEP = 29_925_725


def handler(name: str) -> ModuleType:
    """Imported anew."""
    return importlib.reload(importlib.import_module(f"functions.shop.{name}"))


def logged(runtime: Runtime, topic: str) -> list[dict[str, Any]]:
    return [event.data for event in runtime.log.read(runtime.features.topic(topic), START).events]  # type: ignore[misc]


def test_minute_is_published_once(aws: None) -> None:
    """EventBridge may deliver a minute twice: what is in the log stays as it is."""
    figures = handler("handler")
    for _ in range(2):
        figures.handler(MINUTE, None)
    told = publications(STEP)
    for topic in (FIGURES, ALERTS, ORDERS):
        assert logged(figures.runtime, topic) == [each.data for each in told if each.topic == topic]


def test_broken_off_minute_is_completed(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log fails in the middle of it for longer than the tries last: Lambda sees a failure, and its next try adds what is missing."""
    figures, publish, left = handler("handler"), Runtime.from_env().publisher.publish, iter(range(5))
    monkeypatch.setattr("functions.shop.job.time.sleep", lambda _: None)

    def fails(*arguments: Any, **more: Any) -> object:
        if next(left, None) is None:
            raise RealtimeError(Code.UNAVAILABLE, "the log is away")
        return publish(*arguments, **more)

    with monkeypatch.context() as away:
        away.setattr(figures.runtime.publisher, "publish", fails)
        with pytest.raises(RealtimeError, match="the log is away"):
            figures.handler(MINUTE, None)
    figures.handler(MINUTE, None)
    assert logged(figures.runtime, ORDERS) == [each.data for each in publications(STEP) if each.topic == ORDERS]


def test_refused_topic_keeps_no_other_back(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """What no waiting cures is tried once; the other topics get theirs, and Lambda sees the failure."""
    figures = handler("handler")
    publish, tried = figures.runtime.publisher.publish, list[str]()

    def refuses(topic: Topic, *arguments: Any, **more: Any) -> object:
        tried.append(topic.name)
        if topic.name == FIGURES:
            raise RealtimeError(Code.INVALID, "not by the schema")
        return publish(topic, *arguments, **more)

    monkeypatch.setattr(figures.runtime.publisher, "publish", refuses)
    with pytest.raises(RealtimeError, match="not by the schema"):
        figures.handler(MINUTE, None)
    assert tried.count(FIGURES) == 1
    assert logged(figures.runtime, ORDERS) == [each.data for each in publications(STEP) if each.topic == ORDERS]


def test_topics_that_are_not_deployed_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A features file may have no alerts, and orders in rooms of their owners."""
    (tmp_path / "features.toml").write_text('[features.metrics]\npattern = "polling"\n[features.orders]\nrooms = true\n')
    runtime = Runtime.from_env({"REALTIME_LOG": "memory", "FEATURES": str(tmp_path / "features.toml")})
    job.publish(runtime, 4, "run")
    assert len(logged(runtime, FIGURES)) == 1


@pytest.mark.parametrize("coded", [False, True])
def test_guest_is_signed_in(aws: None, coded: bool) -> None:
    """API Gateway hands the body over as text, or in base64."""
    event = http_event("POST", "/guests", body='{"name": "Zoë"}')
    if coded:
        event |= {"body": base64.b64encode(event["body"].encode()).decode(), "isBase64Encoded": True}
    answer = handler("sign_in").handler(event, None)
    assert (answer["statusCode"], answer["headers"]["Cache-Control"]) == (201, "no-store")
    principal = SecretVerifier(lambda: SECRET).verify(json.loads(answer["body"])["token"])
    assert (principal.claims["name"], principal.service) == ("Zoë", False)


def test_refusal_is_a_problem(aws: None) -> None:
    """With its status and code, as everywhere."""
    sign_in = handler("sign_in").handler
    service = {"authorization": f"Bearer {issue(SECRET, 'job', 60, role='service')}"}
    told = [
        sign_in(http_event("POST", "/guests", body=""), None),
        sign_in(http_event("POST", "/guests", body='{"name": "Ann"}', headers=service), None),
        sign_in(http_event("POST", "/guests", body=json.dumps({"name": "x" * 2_000})), None),
    ]
    assert [answer["statusCode"] for answer in told] == [400, 403, 413]
    assert {answer["headers"]["Content-Type"] for answer in told} == {"application/problem+json"}
