"""Counts the capacity units that a DynamoDB client uses, as the service reports them with every answer.

MiniStack 1.5 computes writes as AWS does, 1 per KB of the item. A read it reports as half a unit (one if consistent)
whatever its size, as AWS does up to 4 KB a request; for larger items its figure is too low. moto reports fixed ones.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from botocore.model import OperationModel
    from mypy_boto3_dynamodb import DynamoDBClient

_READS = frozenset({"GetItem", "Query", "BatchGetItem", "Scan"})


class Meter:
    """Hooks into the client for good: every later call asks for its consumed capacity and is added up."""

    def __init__(self, client: "DynamoDBClient") -> None:
        self.reset()
        client.meta.events.register("before-parameter-build.dynamodb", self._ask)
        client.meta.events.register("after-call.dynamodb", self._add)

    def reset(self) -> None:
        """Start from zero."""
        self.reads = 0.0
        """Read units since then."""
        self.writes = 0.0
        """Write units since then."""
        self.calls = 0
        """Requests since then; what the SDK repeats counts once."""

    def _ask(self, params: dict[str, Any], model: "OperationModel", **_: object) -> None:
        if model.input_shape is not None and "ReturnConsumedCapacity" in model.input_shape.members:
            params["ReturnConsumedCapacity"] = "TOTAL"

    def _add(self, parsed: dict[str, Any], model: "OperationModel", **_: object) -> None:
        consumed = parsed.get("ConsumedCapacity", [])  # a batch has a list: one entry per table
        units = sum(table["CapacityUnits"] for table in (consumed if isinstance(consumed, list) else [consumed]))
        self.calls += 1
        if model.name in _READS:
            self.reads += units
        else:
            self.writes += units
