"""The core's parts, put together from the environment of a function or a service."""

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from realtime.direct import Directions
from realtime.features import Features, load
from realtime.log import Log
from realtime.policy import Principal
from realtime.publish import Publisher
from realtime.rate import RateLimit
from realtime.sessions import Sessions
from realtime.tickets import Tickets
from realtime.tokens import OidcVerifier, Secret, SecretVerifier, Verifier, bearer

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@dataclass(frozen=True, slots=True)
class Runtime:
    """Everything a transport needs of the core."""

    features: Features
    log: Log
    publisher: Publisher
    tickets: Tickets
    sessions: Sessions
    verifier: Verifier
    directions: Directions = field(default_factory=Directions)

    def principal(self, authorization: str | None) -> Principal | None:
        """Who an `Authorization` header speaks for; None without one, `unauthorized` for a bad one."""
        token = bearer(authorization)
        return None if token is None else self.verifier.verify(token)

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ, client: "DynamoDBClient | None" = None) -> "Runtime":
        """Build from the variables that docs/configuration.md lists; a missing one is a KeyError that names it.

        `client`: one that the caller has made already, which takes 20 ms.
        """
        features = load(Path(env.get("FEATURES", "features.toml")))
        secret: Secret
        if env.get("REALTIME_LOG") == "memory":
            from realtime.memory import MemoryCounters, MemoryDirections, MemoryStore, MemoryTickets  # noqa: PLC0415 - for tests and single servers

            log, tickets, counters = Log(MemoryStore()), Tickets(MemoryTickets()), RateLimit(MemoryCounters())
            directions = Directions(MemoryDirections())
            key = env.get("REALTIME_SECRET") or secrets.token_hex(32)
            secret = lambda: key  # noqa: E731 - the protocol is a call, the value is here already
        else:
            from realtime.aws import StoredSecret, dynamodb  # noqa: PLC0415 - boto3 only where it is used
            from realtime.dynamo import DynamoCounters, DynamoDirections, DynamoStore, DynamoTickets  # noqa: PLC0415

            client, access = client or dynamodb(), env.get("ACCESS_TABLE", "")
            log = Log(DynamoStore(client, env["LOG_TABLE"]))
            tickets, counters = Tickets(DynamoTickets(client, access)), RateLimit(DynamoCounters(client, access))
            directions = Directions(DynamoDirections(client, access) if access else None)
            secret = StoredSecret(env.get("SECRET_ARN", ""))
        sessions = Sessions(secret, list(origins(env)))
        return cls(features, log, Publisher(features, log, counters), tickets, sessions, _verifier(env, secret), directions)


def origins(env: Mapping[str, str]) -> tuple[str, ...]:
    """The web origins that may use the deployment; none: any."""
    return tuple(origin for origin in env.get("ORIGINS", "").split(",") if origin)


def _verifier(env: Mapping[str, str], secret: Secret) -> Verifier:
    if issuer := env.get("OIDC_ISSUER"):
        return OidcVerifier(issuer, env["OIDC_AUDIENCE"], env["OIDC_JWKS_URL"])
    return SecretVerifier(secret)
