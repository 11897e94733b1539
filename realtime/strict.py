"""Bodies that clients send, as models: strict, and with one sentence about the first mistake."""

from collections.abc import Callable
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from realtime.errors import Code, RealtimeError
from realtime.event import loads

Parsed = TypeVar("Parsed")


class Strict(BaseModel):
    """No unknown keys, no conversions."""

    model_config = ConfigDict(extra="forbid", strict=True)


def parsed(validate: Callable[[object], Parsed], raw: bytes) -> Parsed:
    """The body as a model; anything else is `invalid`, naming the first field that is wrong."""
    try:
        return validate(loads(raw))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        raise RealtimeError(Code.INVALID, f"{where}: {first['msg']}") from None
