"""Which records of the log's stream matter to a consumer. Lambda drops the others, and charges nothing for them."""

from collections.abc import Mapping
from typing import Any

from realtime.dynamo import HEAD
from realtime.features import Feature


def new_heads(features: Mapping[str, Feature]) -> dict[str, Any]:
    """The filter for new heads of the features' topics."""
    return {"dynamodb": {"NewImage": {"entry": {"S": [HEAD]}, "topic": {"S": topics(features)}}}}


def topics(features: Mapping[str, Feature]) -> list[str | dict[str, str]]:
    """What a filter says of the features' topics: the name, or how it begins where there are rooms."""
    return [{"prefix": f"{name}/"} if feature.rooms else name for name, feature in features.items()]
