"""Cookie sessions, for native EventSource: it reconnects to the same URL by itself, so a spent ticket cannot serve it."""

import time
from collections.abc import Callable, Collection

from realtime.errors import Code, RealtimeError
from realtime.policy import Principal
from realtime.tokens import Secret, SecretVerifier, issue

COOKIE = "__Host-realtime"
"""The prefix makes browsers insist on Secure, Path=/ and no Domain (RFC 6265bis 4.1.3.2)."""

MAX_SESSION_SECONDS = 12 * 3600

_AUDIENCE = "realtime-session"


class Sessions:
    """Makes and judges session cookies. A cookie ends with the token that it was made from, after 12 hours at the latest."""

    def __init__(self, secret: Secret, origins: Collection[str], clock: Callable[[], float] = time.time) -> None:
        self._secret = secret
        self._verifier = SecretVerifier(secret, _AUDIENCE)
        self._origins = frozenset(origins)
        self._clock = clock

    def set_cookie(self, principal: Principal) -> str:
        """The value of a `Set-Cookie` header."""
        seconds = int(min(principal.expires - self._clock(), MAX_SESSION_SECONDS))
        if seconds <= 0:
            raise RealtimeError(Code.UNAUTHORIZED, "the token has expired: get a new one")
        claims = {name: value for name, value in principal.claims.items() if name not in ("sub", "aud", "iss", "iat", "exp", "nbf")}
        token = issue(self._secret(), principal.sub, seconds, _AUDIENCE, **claims)
        if len(token) > 4000:  # browsers drop cookies above 4096 bytes without a word
            raise RealtimeError(Code.INVALID, "the token's claims do not fit into a cookie: use tickets, or fewer claims")
        return f"{COOKIE}={token}; Max-Age={seconds}; Path=/; HttpOnly; Secure; SameSite=Strict"

    def verify(self, cookie: str, origin: str | None) -> Principal:
        """The principal of a cookie that came from one of our own pages.

        A browser sends no `Origin` with a GET to the page's own origin, so a request without one is of that origin (the
        cookie is SameSite=Strict); any other must be on the list.
        """
        if origin is not None and origin not in self._origins:
            raise RealtimeError(Code.FORBIDDEN, "this origin is not on the deployment's list")
        return self._verifier.verify(cookie)
