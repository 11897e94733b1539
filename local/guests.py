"""Login of the local page, for demonstration only: POST /guests {"name": "..."} -> a token of 15 minutes. Any name, no password."""

import secrets
from typing import Annotated

from pydantic import AfterValidator, StringConstraints
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from realtime.errors import Code, RealtimeError
from realtime.strict import Strict, parsed
from realtime.tokens import SecretVerifier, bearer, issue
from services.http.bodies import RawBody
from services.http.problems import problem

TOKEN_SECONDS = 900


def _printable(name: str) -> str:
    if not name.isprintable():
        raise ValueError("only printable characters")
    return name


class Guest(Strict):
    """Who a visitor says he is. There is no `sub`: nobody picks his own."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=40), AfterValidator(_printable)]


class Guests:
    """Signs visitors in with the deployment's secret; without it nobody can be, and the path does not exist."""

    def __init__(self, secret: str | None) -> None:
        self._secret = secret

    async def sign_in(self, request: Request) -> Response:
        """201 {"token", "sub", "expires_in"}; who comes with a token of ours gets one for the same `sub`."""
        try:
            return self._admit(await RawBody()(request), request.headers.get("authorization"))
        except RealtimeError as error:
            return problem(error)

    def _admit(self, body: bytes, authorization: str | None) -> Response:
        if self._secret is None:
            raise RealtimeError(Code.NOT_FOUND, "this deployment has no guests")
        guest, sub = parsed(Guest.model_validate, body), self._sub(self._secret, authorization)
        token = issue(self._secret, sub, TOKEN_SECONDS, name=guest.name)
        return JSONResponse({"token": token, "sub": sub, "expires_in": TOKEN_SECONDS}, 201, {"Cache-Control": "no-store"})

    def _sub(self, secret: str, authorization: str | None) -> str:
        """A new one; or that of the guest who renews his token, since a publish's id counts within one `sub`."""
        token = bearer(authorization)
        if token is None:
            return f"guest-{secrets.token_hex(4)}"
        sub = SecretVerifier(lambda: secret).verify(token).sub
        if not sub.startswith("guest-"):
            raise RealtimeError(Code.FORBIDDEN, "only a guest's token is renewed here")
        return sub
