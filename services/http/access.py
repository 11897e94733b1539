"""Credentials for browsers, which cannot set headers on EventSource or WebSocket: tickets in the URL, or a cookie."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from realtime.policy import allowed, check, essential, known
from realtime.runtime import Runtime
from realtime.strict import parsed
from realtime.tickets import TICKET_SECONDS
from services.http.bodies import Authorization, RawBody
from services.http.schemas import SESSION_RESPONSES, TICKET_RESPONSES, Ticket, TicketRequest, body_of

_NO_STORE = {"Cache-Control": "no-store"}


def router(runtime: Runtime) -> APIRouter:
    """The ticket and session routes."""
    routes = APIRouter()

    @routes.post("/tickets", status_code=201, responses=TICKET_RESPONSES, openapi_extra=body_of(TicketRequest))
    def ticket(raw: Annotated[bytes, Depends(RawBody())], authorization: Authorization = None) -> Response:
        """A single-use ticket, good for 30 seconds, for a stream or socket that begins with these topics."""
        principal = known(runtime.principal(authorization))
        body = parsed(TicketRequest.model_validate, raw)
        for name in body.topics:
            topic = runtime.features.topic(name)
            if body.use == "sse" or not allowed(topic, "publish", principal):
                check(topic, "read", principal)
        made = runtime.tickets.issue(body.use, tuple(body.topics), essential(runtime.features, principal))
        answer = Ticket(ticket=made, expires_in=TICKET_SECONDS)
        return Response(answer.model_dump_json(), 201, _NO_STORE, "application/json")

    routes.include_router(sessions(runtime))
    return routes


def sessions(runtime: Runtime) -> APIRouter:
    """The session route alone: a cookie is good for its host only, so the hub makes them too."""
    routes = APIRouter()

    @routes.post("/sessions", status_code=204, responses=SESSION_RESPONSES)
    def session(authorization: Authorization = None) -> Response:
        """A cookie session for native EventSource, as long as the token lives."""
        cookie = runtime.sessions.set_cookie(known(runtime.principal(authorization)))
        return Response(status_code=204, headers={"Set-Cookie": cookie, **_NO_STORE})

    return routes
