"""What the transports share: requests with a time-out, refusals, timers, and how long to wait for another try."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import httpx2

ANSWER_SECONDS = 10.0
"""After which a server counts as gone."""

MAX_WAIT_SECONDS = 60.0
MAX_TOLD_SECONDS = 300.0
"""The longest wait that a server may ask for."""

_AGAIN = frozenset({408, 425, 429})  # of 4xx, those that may succeed later; every 5xx may
_AGAIN_CODES = frozenset({"too_many_requests", "unavailable", "internal"})  # the same, where there is no status
_SIGN_IN = frozenset({"unauthorized", "expired"})  # what a new token cures


class Refused(Exception):  # noqa: N818 - the word of the contract, in both clients
    """The server says no. `code` is a name of docs/errors.md; `status` 0 and `retry_after` 0 where nothing was said."""

    def __init__(self, message: str, *, code: str = "", status: int = 0, retry_after: float = 0.0, features: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.retry_after = retry_after
        self.features = features
        """Those that are directed down to something less, where that is why."""

    @classmethod
    def told(cls, facts: Mapping[str, Any], message: str = "", status: int = 0, retry_after: float = 0.0) -> "Refused":
        """What a problem document or an `error` frame says."""
        return cls(
            message or str(facts.get("message", "refused")),
            code=str(facts.get("code", "")),
            status=status,
            retry_after=retry_after or float(facts.get("retry_after", 0)),
            features=tuple(facts.get("features", ())),
        )

    @property
    def sign_in(self) -> bool:
        """Whether a new token may cure it."""
        return self.status == 401 or self.code in _SIGN_IN

    @property
    def final(self) -> bool:
        """Whether no later try can succeed."""
        if self.sign_in or self.code == "invalid_cursor":
            return False
        return self.status < 500 and self.status not in _AGAIN if self.status else self.code not in _AGAIN_CODES


def reason(error: BaseException) -> str:
    """Why something failed, in words."""
    if isinstance(error, TimeoutError):
        return str(error) or f"no answer within {ANSWER_SECONDS:g} s"
    return str(error) or type(error).__name__


def backoff(random: Random, failures: int, told: float = 0.0) -> float:
    """Full jitter, on the first retry too: anything from 0 to 1 s, 2 s, 4 s ... 60 s; but not before the server says."""
    return max(random.uniform(0, min(MAX_WAIT_SECONDS, 2.0 ** min(failures, 10))), min(MAX_TOLD_SECONDS, told))


@asynccontextmanager
async def asked(
    http: httpx2.AsyncClient, url: str, *, token: str | None = None, body: object = None, headers: Mapping[str, str] | None = None
) -> AsyncIterator[httpx2.Response]:
    """The head of an answer, whose body is still to be read; or its refusal. A POST where there is a body."""
    sent = {**(headers or {}), **({"Authorization": f"Bearer {token}"} if token else {})}
    request = http.build_request("GET", url, headers=sent) if body is None else http.build_request("POST", url, headers=sent, json=body)
    async with asyncio.timeout(ANSWER_SECONDS):
        response = await http.send(request, stream=True)
    try:
        if response.is_success or response.status_code == 304:
            yield response
            return
        async with asyncio.timeout(ANSWER_SECONDS):
            await response.aread()
        raise _refusal(response)
    finally:
        await response.aclose()


async def ask(http: httpx2.AsyncClient, url: str, **how: Any) -> httpx2.Response:
    """The same, with its body."""
    async with asked(http, url, **how) as response:
        async with asyncio.timeout(ANSWER_SECONDS):
            await response.aread()
        return response


def _refusal(response: httpx2.Response) -> Refused:
    try:
        problem = response.json()
    except ValueError:
        problem = None
    problem = problem if isinstance(problem, dict) else {}
    told = response.headers.get("Retry-After", "")
    detail = problem.get("detail", response.reason_phrase)
    return Refused.told(problem, f"{response.status_code}: {detail}", response.status_code, float(told) if told.isdecimal() else 0.0)


class Timers:
    """Calls to come, by name: one of each."""

    def __init__(self) -> None:
        self._handles: dict[str, asyncio.TimerHandle] = {}

    def after(self, seconds: float, name: str, action: Callable[[], object]) -> None:
        """In place of an earlier one of this name."""
        self.cancel(name)

        def run() -> None:
            del self._handles[name]
            action()

        self._handles[name] = asyncio.get_running_loop().call_later(seconds, run)

    def __contains__(self, name: str) -> bool:
        return name in self._handles

    def cancel(self, *names: str) -> None:
        """Those of these names; none named: all."""
        for name in names or tuple(self._handles):
            if handle := self._handles.pop(name, None):
                handle.cancel()
