"""Every error as `application/problem+json` (RFC 9457), from the one table."""

import json
import logging
import math
import random

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from realtime.errors import Code, RealtimeError

logger = logging.getLogger(__name__)

_RETRY_JITTER = 0.5


def install(app: FastAPI) -> None:
    """Map the core's, the framework's and unforeseen errors."""
    app.add_exception_handler(RealtimeError, lambda _, error: problem(error))
    app.add_exception_handler(RequestValidationError, lambda _, error: problem(_invalid(error)))
    app.add_exception_handler(HTTPException, lambda _, error: _refused(error))
    app.add_exception_handler(Exception, _failed)


def problem(error: RealtimeError) -> Response:
    """The response that tells this error."""
    headers = {"Cache-Control": "no-store"}
    if error.retry_after is not None:
        spread = 1 + random.uniform(0, _RETRY_JITTER)  # noqa: S311 - so that not everybody comes back at once
        headers["Retry-After"] = str(math.ceil(error.retry_after * spread))
    if error.code is Code.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    body = json.dumps(error.problem(), ensure_ascii=False)
    return Response(body, error.code.value.status, headers, "application/problem+json")


def _invalid(error: RequestValidationError) -> RealtimeError:
    first = error.errors()[0]
    return RealtimeError(Code.INVALID, f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}")


def _refused(error: HTTPException) -> Response:
    code = Code.METHOD_NOT_ALLOWED if error.status_code == Code.METHOD_NOT_ALLOWED.value.status else Code.NOT_FOUND
    response = problem(RealtimeError(code, code.value.meaning))
    response.headers.update(error.headers or {})
    return response


def _failed(_: Request, error: Exception) -> Response:
    logger.error("request failed", exc_info=error)
    return problem(RealtimeError(Code.INTERNAL, Code.INTERNAL.value.meaning))
