"""The real local AWS endpoint, for tests that need more than moto: capacity figures, many processes, real HTTP."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local import endpoint
from local.places import Places
from local.tables import make_access_table, make_log_table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where it listens, and fresh tables on it."""

    places: Places

    @property
    def url(self) -> str:
        return self.places.endpoint

    def client(self, service: str) -> Any:
        return endpoint.client(self.places, service)

    def tables(self, name: str) -> "DynamoDBClient":
        """Make the tables <name>-log and <name>-access."""
        client: DynamoDBClient = self.client("dynamodb")
        make_log_table(client, f"{name}-log")
        make_access_table(client, f"{name}-access")
        return client
