"""Request bodies: bounded while they arrive, strict once they are there."""

from typing import Annotated

from fastapi import Header, Request
from starlette.requests import ClientDisconnect

from realtime.errors import Code, RealtimeError
from realtime.features import MAX_EVENT_BYTES

MAX_BODY_BYTES = 2 * MAX_EVENT_BYTES
"""The largest event, with room for escapes and white space."""

Authorization = Annotated[str | None, Header(description="Bearer <token>")]


class RawBody:
    """A dependency that reads the body and stops at `MAX_BODY_BYTES`, whatever Content-Length says."""

    async def __call__(self, request: Request) -> bytes:
        body = bytearray()
        try:
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise RealtimeError(Code.TOO_LARGE, f"a body has at most {MAX_BODY_BYTES} bytes")
        except ClientDisconnect:
            raise RealtimeError(Code.INVALID, "the body ended before it was whole") from None
        return bytes(body)
