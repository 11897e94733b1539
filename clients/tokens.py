"""The token that a client acts with: the application's -> kept for 80 % of its life -> asked for anew."""

import asyncio
import json
import time
from base64 import urlsafe_b64decode
from collections.abc import Awaitable, Callable
from math import inf
from typing import Any

from clients.network import Refused

RENEW_AT = 0.8
"""Of a token's life."""

MAX_RENEW_SECONDS = 3_600.0
CALL_SECONDS = 30.0
"""What the application may take to get one."""

Source = Callable[[str | None], Awaitable[str | tuple[str, float]]]


class Tokens:
    """One token at a time; whoever needs one while it is being fetched waits for the same."""

    def __init__(self, source: str | Source | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._clock = clock
        self._text: str | None = None
        self._renew_at = -inf
        self._turn = asyncio.Lock()

    @property
    def given(self) -> bool:
        """Whether there is one at all."""
        return self._source is not None

    @property
    def renew_in(self) -> float:
        """Seconds until the next one is due; inf where there will be no other."""
        return max(0.0, self._renew_at - self._clock())

    async def get(self) -> str:
        """A token with some life left; `unauthorized` where the application has none."""
        async with self._turn:
            if self._text is None or self._renew_at <= self._clock():
                self._text, life = await self._made()
                self._renew_at = self._clock() + life
            return self._text

    def forget(self) -> None:
        """It was refused."""
        self._renew_at = -inf

    async def _made(self) -> tuple[str, float]:
        if isinstance(self._source, str):
            return self._source, inf
        if self._source is None:
            raise Refused("there is no token: give connect() one", code="unauthorized")
        async with asyncio.timeout(CALL_SECONDS):
            made = await self._source(self._text)
        text, seconds = made if isinstance(made, tuple) else (made, _life(made))
        return text, min(MAX_RENEW_SECONDS, seconds * RENEW_AT)


def _life(token: str) -> float:
    """Seconds that a JSON Web Token says it lives, unverified; an hour where it does not say so."""
    try:
        payload = token.split(".")[1]
        claims: dict[str, Any] = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return float(claims["exp"] - claims.get("iat", time.time()))
    except (IndexError, KeyError, TypeError, ValueError):
        return MAX_RENEW_SECONDS
