"""Publishing: POST /topics/{topic}/events -> authorize, validate, append."""

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Response

from realtime.runtime import Runtime
from realtime.strict import parsed
from services.http.bodies import Authorization, RawBody
from services.http.schemas import PUBLISH_RESPONSES, NewEvent, body_of


def router(runtime: Runtime) -> APIRouter:
    """The publish route."""
    routes = APIRouter()

    @routes.post("/topics/{topic:path}/events", status_code=201, responses=PUBLISH_RESPONSES, openapi_extra=body_of(NewEvent))
    def publish(
        topic: str,
        raw: Annotated[bytes, Depends(RawBody())],
        authorization: Authorization = None,
        idempotency_key: Annotated[str | None, Header(description="makes a repeat within five minutes harmless")] = None,
    ) -> Response:
        """Append one event to the topic's log. Nothing is stored unless the answer is 201."""
        principal = runtime.principal(authorization)
        found = runtime.publisher.authorize(topic, principal)
        body = parsed(NewEvent.model_validate, raw)
        event = runtime.publisher.publish(found, principal, body.type, body.data, idempotency_key)
        return Response(event.encode(), 201, {"Cache-Control": "no-store"}, "application/json")

    return routes
