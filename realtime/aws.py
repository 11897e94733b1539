"""AWS clients whose every wait ends, and their errors in the words of the error table."""

import time
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from realtime.errors import Code, RealtimeError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_SECRET_SECONDS = 300.0
_SECRET_RETRY_SECONDS = 10.0
_ANSWERS = ("ConditionalCheckFailedException", "ParameterNotFound")
_CONFIG = Config(
    connect_timeout=1,
    read_timeout=1,
    retries={"mode": "standard", "total_max_attempts": 2},  # with jitter, of the SDK's own
    max_pool_connections=50,
    tcp_keepalive=True,
)


def dynamodb() -> "DynamoDBClient":
    """A client that gives up after two tries of 1 s to connect and 1 s to answer: DynamoDB takes milliseconds."""
    return cast("DynamoDBClient", client("dynamodb"))


def client(service: str) -> Any:
    """Any service's client, with the same limits on its waits. botocore's own: what boto3 adds to it takes 18 ms to import."""
    return _session().create_client(service, config=_CONFIG)


@cache
def _session() -> botocore.session.Session:
    return botocore.session.get_session()


def parameter(name: str) -> str | None:
    """The text of a parameter of Systems Manager, or None where there is none."""
    ssm = client("ssm")
    try:
        value: str = call(ssm.get_parameter, Name=name)["Parameter"]["Value"]
    except ssm.exceptions.ParameterNotFound:
        return None
    return value


class StoredSecret:
    """A secret of Secrets Manager, fetched at first use and again after five minutes: a rotation needs no deploy."""

    def __init__(self, arn: str) -> None:
        self._arn = arn
        self._value = ""
        self._until = 0.0

    def __call__(self) -> str:
        if time.monotonic() >= self._until:
            self._until = time.monotonic() + self._fetch()
        return self._value

    def _fetch(self) -> float:
        """Fetch it and return how long to keep it; where that fails, the one that was fetched before goes on serving."""
        try:
            self._value = call(client("secretsmanager").get_secret_value, SecretId=self._arn)["SecretString"]
        except RealtimeError:
            if not self._value:
                raise
            return _SECRET_RETRY_SECONDS
        return _SECRET_SECONDS


def call(operation: Callable[..., Any], **arguments: object) -> Any:
    """Call AWS: a failed condition and a missing parameter pass through, everything else is `unavailable` (the SDK retried it)."""
    try:
        return operation(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] in _ANSWERS:
            raise
        raise RealtimeError(Code.UNAVAILABLE, "the service's store does not answer just now", retry_after=1) from error
    except BotoCoreError as error:
        raise RealtimeError(Code.UNAVAILABLE, "the service's store does not answer just now", retry_after=1) from error
