"""The bodies of requests and responses, as they stand in the OpenAPI document."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, JsonValue

from realtime.errors import Code
from realtime.strict import Strict
from realtime.tickets import MAX_TOPICS


class NewEvent(Strict):
    """An event to publish."""

    type: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$")]
    data: JsonValue


class Event(BaseModel):
    """An event of the log. `at` is RFC 3339, UTC, with milliseconds."""

    topic: str
    seq: int
    epoch: str
    type: str
    data: JsonValue
    at: str


class Delivered(Event):
    """An event as a reader gets it: `prev` is the cursor that it follows for this reader."""

    prev: str


class Newest(BaseModel):
    """The newest event; `seq` 0 and nulls while there is none."""

    topic: str
    seq: int
    epoch: str
    type: str | None
    data: JsonValue
    at: str | None


class Page(BaseModel):
    """What follows a cursor. `recovered` false: the cursor could not be honoured, reload your state and go on from `cursor`."""

    events: list[Delivered]
    cursor: str
    recovered: bool
    poll_after: float


class TicketRequest(Strict):
    """What the ticket is for."""

    use: Literal["sse", "websocket"]
    topics: Annotated[list[Annotated[str, Field(max_length=300)]], Field(min_length=1, max_length=MAX_TOPICS)]


class Ticket(BaseModel):
    """A single-use credential for a URL; `expires_in` is in seconds."""

    ticket: str
    expires_in: int


class Problem(BaseModel):
    """An RFC 9457 problem; `code` is a name of docs/errors.md."""

    type: str
    title: str
    status: int
    code: str
    detail: str


def _problems(*codes: Code) -> dict[int | str, dict[str, Any]]:
    found = dict[int | str, dict[str, Any]]()
    for code in (*codes, Code.INTERNAL, Code.UNAVAILABLE):
        meaning = found.get(code.value.status, {}).get("description")
        text = f"`{code.wire}`: {code.value.meaning}"
        found[code.value.status] = {
            "description": f"{meaning}; {text}" if meaning else text,
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
    return found


_CALLER = (Code.UNAUTHORIZED, Code.FORBIDDEN, Code.UNKNOWN_TOPIC, Code.NOT_FOUND)

READ_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"model": Newest | Page, "description": "the newest event, or a page of events"},
    304: {"description": "nothing new: If-None-Match or If-Modified-Since holds"},
    **_problems(Code.INVALID, Code.INVALID_CURSOR, *_CALLER),
}
PUBLISH_RESPONSES: dict[int | str, dict[str, Any]] = {
    201: {"model": Event, "description": "the event as it stands in the log"},
    **_problems(Code.INVALID, *_CALLER, Code.KEY_REUSED, Code.TOO_LARGE, Code.TOO_MANY_REQUESTS),
}
TICKET_RESPONSES: dict[int | str, dict[str, Any]] = {
    201: {"model": Ticket, "description": "a ticket"},
    **_problems(Code.INVALID, *_CALLER, Code.TOO_LARGE),
}
SESSION_RESPONSES: dict[int | str, dict[str, Any]] = {
    204: {"description": "the cookie is set"},
    **_problems(Code.INVALID, Code.UNAUTHORIZED),
}


def body_of(model: type[BaseModel]) -> dict[str, Any]:
    """The OpenAPI description of a body that the route parses itself, strictly."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
