"""Single-use, short-lived credentials in a URL, because browsers cannot set headers on EventSource or WebSocket.

A ticket is 256 random bits; only its SHA-256 is stored, so a copy of the table opens nothing. Making one writes one
unit, spending one writes one.
"""

import hashlib
import secrets
import time
from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol

from realtime.errors import Code, RealtimeError
from realtime.policy import Principal

TICKET_SECONDS = 30
MAX_TOPICS = 20
MAX_NAMES_CHARS = 2_000
"""Names of a ticket's topics together: they travel in the authorizer's answer, which may have 8 KB."""

Use = Literal["sse", "websocket"]


class Grant(NamedTuple):
    """What a ticket stands for."""

    use: Use
    topics: tuple[str, ...]
    principal: Principal


class TicketStore(Protocol):
    def put(self, hashed: str, grant: Grant, expires: int) -> None:
        """Store a grant; `expires` in Unix seconds."""

    def take(self, hashed: str, use: Use, now: int) -> Grant | None:
        """Remove and return an unexpired grant of that use, in one step; None leaves everything as it was."""


class Tickets:
    """Makes tickets and spends them, each once."""

    def __init__(self, store: TicketStore, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock

    def issue(self, use: Use, topics: tuple[str, ...], principal: Principal) -> str:
        """A new ticket, good for 30 seconds and one connection; `invalid` where the names of its topics are too long."""
        if sum(map(len, topics)) > MAX_NAMES_CHARS:
            raise RealtimeError(Code.INVALID, f"the names of a ticket's topics have at most {MAX_NAMES_CHARS} characters together")
        ticket = secrets.token_urlsafe(32)
        self._store.put(_hashed(ticket), Grant(use, topics, principal), int(self._clock()) + TICKET_SECONDS)
        return ticket

    def redeem(self, ticket: str, use: Use) -> Grant:
        """What the ticket stands for, once; `unauthorized` if it is spent, expired, meant for another use or made up."""
        grant = self._store.take(_hashed(ticket), use, int(self._clock()))
        if grant is None:
            raise RealtimeError(Code.UNAUTHORIZED, "the ticket is spent, expired or not meant for this: get a new one")
        return grant


def _hashed(ticket: str) -> str:
    return hashlib.sha256(ticket.encode(errors="replace")).hexdigest()
