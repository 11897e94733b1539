import json

import pytest

from realtime.client_json import described
from realtime.features import Access, Feature, Features

FEATURES = Features(
    {
        "metrics": Feature(name="metrics", keep="latest", interval=5, access=Access(read="public")),
        "alerts": Feature(name="alerts", pattern="sse"),
        "chat": Feature(name="chat", pattern="websocket", rooms=True),
        "orders": Feature(name="orders", pattern="fallback", latency=10),
    }
)
SHARED = {"public": False, "keep": "all"}


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("metrics", {"pattern": "polling", "public": True, "keep": "latest", "interval": 5}),
        ("alerts", {"pattern": "sse", "host": "service", **SHARED}),
        ("chat", {"pattern": "websocket", **SHARED}),
        ("orders", {"pattern": "fallback", "host": "service", "interval": 10, **SHARED}),
    ],
)
def test_a_client_learns_of_a_feature_what_its_pattern_needs(name: str, known: dict[str, object]) -> None:
    """Host where it streams, seconds between polls where it may poll, and for all: whether it is public and what is kept."""
    features = described(FEATURES, http="")["features"]

    assert isinstance(features, dict)
    assert features[name] == known


def test_what_is_not_deployed_is_left_out() -> None:
    """A client does not try a transport that is not there."""
    assert described(Features({}), http="https://a.example") == {"http": "https://a.example", "features": {}}


def test_every_transport_that_is_deployed_has_its_url() -> None:
    """An empty URL is the page's own origin, and so no missing transport."""
    known = described(Features({}), http="", websocket="wss://ws.example/live", service="", function="https://l.example", ticket=True)

    assert known["websocket"] == "wss://ws.example/live"
    assert known["sse"] == {"service": {"url": ""}, "lambda": {"url": "https://l.example", "ticket": True}}


def test_it_is_json() -> None:
    """Nothing in it needs a class of ours to be written to a file."""
    assert json.loads(json.dumps(described(FEATURES, http="")))["http"] == ""
