"""Login of the local page: POST /guests, as functions/shop answers it."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from functions.shop.guests import Guests
from realtime.errors import Code, RealtimeError
from services.http.bodies import RawBody
from services.http.problems import problem


def sign_in(secret: str | None) -> Callable[[Request], Awaitable[Response]]:
    """The route, with the deployment's secret; without it nobody can be signed in, and the path does not exist."""
    guests = Guests(lambda: secret) if secret else None

    async def answer(request: Request) -> Response:
        if guests is None:
            return problem(RealtimeError(Code.NOT_FOUND, "this deployment has no guests"))
        try:
            admitted = guests.admit(await RawBody()(request), request.headers.get("authorization"))
        except RealtimeError as error:
            return problem(error)
        return JSONResponse(admitted, 201, {"Cache-Control": "no-store"})

    return answer
