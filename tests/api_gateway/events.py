"""The events that API Gateway gives to the functions, and the frames it writes itself.

The authorizer's event is in "Control access to WebSocket APIs with AWS Lambda REQUEST authorizers",
docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-lambda-auth.html. The guide shows no other:
their keys are those of AWS's Powertools, tests/events/apiGatewayWebSocketApi*.json of aws-powertools/powertools-lambda-python.
"""

import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from urllib.parse import urlencode

from .function import Event


@dataclass(frozen=True, slots=True)
class Deployment:
    """Where the API is."""

    api_id: str = "abcdef1234"
    stage: str = "live"
    region: str = "us-east-1"
    account: str = "123456789012"

    @property
    def domain(self) -> str:
        return f"{self.api_id}.execute-api.{self.region}.amazonaws.com"

    @property
    def method_arn(self) -> str:
        """What an authorizer allows or denies."""
        return f"arn:aws:execute-api:{self.region}:{self.account}:{self.api_id}/{self.stage}/$connect"


@dataclass(frozen=True, slots=True)
class Request:
    """A client's upgrade request."""

    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    subprotocols: tuple[str, ...] = ()
    source_ip: str = "203.0.113.7"

    def url(self, deployment: Deployment) -> str:
        return f"wss://{deployment.domain}/{deployment.stage}" + (f"?{urlencode(self.query)}" if self.query else "")

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers.items() if key.lower() == name.lower()), None)


@dataclass(slots=True)
class Caller:
    """What every event of a connection says. `connected_ms`: Unix milliseconds. `authorizer`: None without one."""

    id: str
    connected_ms: int
    identity: dict[str, str]
    authorizer: dict[str, str] | None = None


class Events:
    """Makes the events of one deployment."""

    def __init__(self, deployment: Deployment, clock: Callable[[], float], random: Random) -> None:
        self._deployment = deployment
        self._clock = clock
        self._random = random

    def new_id(self) -> str:
        """As AWS's ids of connections, requests and messages look: 15 characters and a =."""
        return urlsafe_b64encode(self._random.randbytes(11)).decode()

    def caller(self, request: Request) -> Caller:
        """A new connection's."""
        agent = request.header("User-Agent")
        identity = {"sourceIp": request.source_ip} | ({"userAgent": agent} if agent else {})
        return Caller(self.new_id(), int(self._clock() * 1000), identity)

    def authorizer(self, caller: Caller, request: Request) -> Event:
        """For the authorizer."""
        upgrade = {"Connection": "upgrade", "content-length": "0", "Upgrade": "websocket"}
        return {
            "type": "REQUEST",
            "methodArn": self._deployment.method_arn,
            **_headers(upgrade | self._request_headers(request)),
            **_query(request),
            "stageVariables": {},
            "requestContext": self._context(caller, "$connect", "CONNECT"),
        }

    def connect(self, caller: Caller, request: Request) -> Event:
        """For $connect. Without a query string the keys for it are left out."""
        query = _query(request) if request.query else {}
        context = self._context(caller, "$connect", "CONNECT")
        return {**_headers(self._request_headers(request)), **query, "requestContext": context, "isBase64Encoded": False}

    def message(self, caller: Caller, route: str, body: str) -> Event:
        """For a message's route."""
        context = self._context(caller, route, "MESSAGE") | {"messageId": self.new_id()}
        return {"requestContext": context, "body": body, "isBase64Encoded": False}

    def disconnect(self, caller: Caller, code: int, reason: str) -> Event:
        """For $disconnect."""
        headers = _headers({"Host": self._deployment.domain, "x-api-key": "", "X-Forwarded-For": "", "x-restapi": ""})
        why = {"disconnectStatusCode": code, "disconnectReason": reason}
        return {**headers, "requestContext": self._context(caller, "$disconnect", "DISCONNECT") | why, "isBase64Encoded": False}

    def _context(self, caller: Caller, route: str, kind: str) -> Event:
        now, request_id = self._clock(), self.new_id()
        context: Event = {
            "routeKey": route,
            "eventType": kind,
            "extendedRequestId": request_id,
            "requestTime": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
            "messageDirection": "IN",
            "stage": self._deployment.stage,
            "connectedAt": caller.connected_ms,
            "requestTimeEpoch": int(now * 1000),
            "identity": dict(caller.identity),
            "requestId": request_id,
            "domainName": self._deployment.domain,
            "connectionId": caller.id,
            "apiId": self._deployment.api_id,
        }
        return context if caller.authorizer is None else context | {"authorizer": dict(caller.authorizer)}

    def _request_headers(self, request: Request) -> dict[str, str]:
        offered = {"Sec-WebSocket-Protocol": ", ".join(request.subprotocols)} if request.subprotocols else {}
        return {
            "Host": self._deployment.domain,
            "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version": "13",
            "X-Amzn-Trace-Id": "Root=1-00000000-000000000000000000000000",
            "X-Forwarded-For": request.source_ip,
            "X-Forwarded-Port": "443",
            "X-Forwarded-Proto": "https",
            **offered,
            **request.headers,
        }


def error_frame(message: str, connection_id: str, request_id: str) -> str:
    """What the gateway itself tells a client, spaced as AWS spaces it."""
    return f'{{"message": "{message}", "connectionId":"{connection_id}", "requestId":"{request_id}"}}'


def _headers(headers: Mapping[str, str]) -> Event:
    return {"headers": dict(headers), "multiValueHeaders": {name: [value] for name, value in headers.items()}}


def _query(request: Request) -> Event:
    values = {name: [value] for name, value in request.query.items()}
    return {"queryStringParameters": dict(request.query), "multiValueQueryStringParameters": values}
