"""The one table of errors: what a client is told, on every transport, and whether it should try again."""

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple


class Row(NamedTuple):
    """One line of the table.

    `status` is the HTTP status, `close` the WebSocket close code (RFC 6455 7.4.2 leaves 4000-4999 to applications; API
    Gateway cannot send one, so there the name travels in an `error` frame), `retry` says when trying again can help.
    """

    status: int
    close: int
    retry: str
    meaning: str


class Code(Enum):
    """Every error that a client can meet; the member's lower-case name is the `code` on the wire."""

    INVALID = Row(400, 4400, "never: the request is wrong", "the request or its body does not have the form asked for")
    INVALID_CURSOR = Row(400, 4400, "without the cursor", "the cursor is not one that this log has given out")
    UNAUTHORIZED = Row(401, 4401, "with a new token or ticket", "no valid token, ticket or session came with the request")
    EXPIRED = Row(401, 4408, "with a new token: auth, or a new connection", "the token of this connection has expired")
    FORBIDDEN = Row(403, 4403, "never, as this caller", "the caller may not do this with this topic")
    UNKNOWN_TOPIC = Row(404, 4404, "never: the topic does not exist", "no feature serves this topic")
    NOT_FOUND = Row(404, 4404, "never: the path does not exist", "nothing is served at this path")
    METHOD_NOT_ALLOWED = Row(405, 4405, "never: another method is meant", "the path does not know this method")
    KEY_REUSED = Row(409, 4409, "with another key", "the idempotency key belongs to another body")
    TOO_LARGE = Row(413, 4413, "never: make it smaller", "the body is larger than the feature allows")
    TOO_MANY_REQUESTS = Row(429, 4429, "after Retry-After", "the caller is over the feature's rate limit")
    INTERNAL = Row(500, 1011, "once, with backoff", "the service failed; the failure is in its log")
    UNAVAILABLE = Row(503, 1013, "after Retry-After", "the service is busy or unreachable; publish again with the same key")

    @property
    def wire(self) -> str:
        return self.name.lower()


class RealtimeError(Exception):
    """A refusal: `code` for the program, `detail` (one sentence) for the person, `retry_after` in seconds or None.

    `more`: members that a problem and a WebSocket's error frame have besides (RFC 9457 3.2), `poll_after` say.
    """

    def __init__(self, code: Code, detail: str, retry_after: float | None = None, *, more: Mapping[str, object] | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.retry_after = retry_after
        self.more = dict(more or {})

    def problem(self) -> dict[str, object]:
        """The error as an RFC 9457 problem document."""
        row = self.code.value
        return {
            "type": f"urn:realtime:{self.code.wire}",
            "title": row.meaning,
            "status": row.status,
            "code": self.code.wire,
            "detail": self.detail,
            **self.more,
        }


def markdown() -> str:
    """The table as it stands in docs/errors.md."""
    head = "| code | HTTP | WebSocket close | try again | meaning |\n|---|---|---|---|---|\n"
    rows = ((code.wire, code.value) for code in Code)
    return head + "".join(f"| `{name}` | {r.status} | {r.close} | {r.retry} | {r.meaning} |\n" for name, r in rows)
