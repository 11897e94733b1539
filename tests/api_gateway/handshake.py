"""The upgrade request: the authorizer, then $connect.

"Manage connected users and client apps: $connect and $disconnect routes",
docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-route-keys-connect-disconnect.html.
"""

import re
from collections.abc import Callable, Collection

from .events import Caller, Deployment, Events, Request
from .function import Function, FunctionError, TimedOut, proxy_answer
from .limits import URL_CHARACTERS
from .policy import Malformed, decide

SUBPROTOCOL = "sec-websocket-protocol"


class Refused(Exception):
    """The client gets no connection but this HTTP status. 101: it was the client that could not accept the subprotocol."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the handshake ended with status {status}")
        self.status = status


class Handshake:
    """What a request must pass. Whatever a function raised is told to `report`."""

    def __init__(
        self,
        deployment: Deployment,
        events: Events,
        *,
        authorizer: Function | None,
        identity_sources: Collection[str],
        connect: Function | None,
        report: Callable[[FunctionError], object],
    ) -> None:
        self._deployment = deployment
        self._events = events
        self._authorizer = authorizer
        self._sources = [_source(name) for name in identity_sources]
        self._connect = connect
        self._report = report

    def admit(self, caller: Caller, request: Request) -> str | None:
        """The subprotocol that $connect chose; Refused. Whom the authorizer found is in `caller` afterwards."""
        if len(request.url(self._deployment)) > URL_CHARACTERS:
            raise Refused(414)  # the guide gives the length, not the status
        if self._authorizer is not None:
            caller.authorizer = self._authorized(self._authorizer, caller, request)
        return None if self._connect is None else self._connected(self._connect, caller, request)

    def _authorized(self, authorizer: Function, caller: Caller, request: Request) -> dict[str, str]:
        """401 without an identity or where the function raises "Unauthorized", 403 where it denies, 500 for the rest."""
        if not all(_identity(request, source) for source in self._sources):
            raise Refused(401)
        try:
            grant = decide(authorizer.invoke(self._events.authorizer(caller, request)), self._deployment.method_arn)
        except FunctionError as error:
            if str(error.__cause__) == "Unauthorized":
                raise Refused(401) from error
            self._report(error)
            raise Refused(500) from error
        except Malformed as error:
            self._report(FunctionError(str(error)))
            raise Refused(500) from error
        if grant is None:
            raise Refused(403)
        return grant

    def _connected(self, connect: Function, caller: Caller, request: Request) -> str | None:
        """502 for a function that failed was seen by those who tried; 504 for one that was late is that of REST APIs."""
        try:
            answer = proxy_answer(connect.invoke(self._events.connect(caller, request)))
        except FunctionError as error:
            self._report(error)
            raise Refused(504 if isinstance(error, TimedOut) else 502) from error
        if not 200 <= answer["statusCode"] < 300:
            raise Refused(answer["statusCode"])
        headers = answer.get("headers") or {}
        return next((str(value) for name, value in headers.items() if name.lower() == SUBPROTOCOL), None)


def _source(name: str) -> tuple[str, str]:
    """`route.request.querystring.ticket` -> querystring, ticket."""
    found = re.fullmatch(r"route\.request\.(querystring|header)\.([\w.-]+)", name)
    if found is None:
        raise ValueError(f"identity sources here are route.request.querystring.* and route.request.header.*, not {name}")
    return found[1], found[2]


def _identity(request: Request, source: tuple[str, str]) -> str | None:
    kind, name = source
    return request.query.get(name) if kind == "querystring" else request.header(name)
