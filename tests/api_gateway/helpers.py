"""Small makers for the gateway's own tests."""

from random import Random
from typing import Any

from .clock import Clock, VirtualClock
from .function import Event
from .gateway import WebSocketApi


class Spy:
    """A function that keeps its events and gives one answer, or raises it."""

    def __init__(self, answer: object = None) -> None:
        self.events: list[Event] = []
        self.contexts: list[Any] = []
        self._answer = {"statusCode": 200} if answer is None else answer

    def __call__(self, event: Event, context: Any) -> Any:
        self.events.append(event)
        self.contexts.append(context)
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def gateway(clock: Clock | None = None, *, routes: dict[str, Any] | None = None, **settings: Any) -> WebSocketApi:
    """An API whose messages all go to one function, unless `routes` says otherwise."""
    integrations = {"$default": Spy()} if routes is None else routes
    return WebSocketApi(clock or VirtualClock(), integrations=integrations, random=Random(1), **settings)


class Client:
    """A client that remembers what it got. `closed`: code and reason, once the gateway has closed it."""

    def __init__(self, api: WebSocketApi, **request: Any) -> None:
        self.frames: list[str] = []
        self.closed: tuple[int, str] | None = None
        self.connection = api.connect(on_frame=self.frames.append, on_close=self._on_close, **request)
        self.id = self.connection.id
        self.send = self.connection.send

    def _on_close(self, code: int, reason: str) -> None:
        assert self.closed is None, "closed twice"
        self.closed = code, reason


def policy(effect: str = "Allow", resource: str = "*", **more: Any) -> dict[str, Any]:
    """An authorizer's answer."""
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": resource}
    return {"principalId": "ann", "policyDocument": {"Version": "2012-10-17", "Statement": [statement]}, **more}
