"""Which records of the log's stream matter to a consumer. Lambda drops the others, and charges nothing for them."""

from collections.abc import Iterable
from typing import Any

from realtime.dynamo import HEAD
from realtime.features import Features, Pattern


def new_heads(features: Features, patterns: Iterable[Pattern], hosts: Iterable[str] = ("service", "lambda")) -> dict[str, Any]:
    """The filter for new heads of the topics that the patterns serve, on those hosts."""
    served, hosts = set(patterns), set(hosts)
    topics = [{"prefix": f"{name}/"} if f.rooms else name for name, f in features.items() if f.pattern in served and f.host in hosts]
    return {"dynamodb": {"NewImage": {"entry": {"S": [HEAD]}, "topic": {"S": topics}}}}
