"""What a case is, and what it gets: a `Run`, which opens streams and publishes events that it knows again."""

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from types import TracebackType
from typing import Any, Self

from tests.conformance import client
from tests.conformance.client import Place, Stream
from tests.conformance.parser import Event
from tests.conformance.target import Publish, Target

HTML = "WHATWG HTML"
CONTRACT = "wire contract"
SETTLED_SECONDS = 0.06


class Run:
    """One case against one server. Closes what it has opened."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.token = uuid.uuid4().hex[:12]
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def request(self, place: Place | None = None, headers: Mapping[str, str] | None = None, **options: Any) -> Stream:
        """Send a request; for the stream unless another place is named."""
        return self._stack.enter_context(Stream(place or self.target.stream, headers, **options))

    def open(self, place: Place | None = None, *, after: str | None = None, **options: Any) -> Stream:
        """A stream that has been granted; `after` goes as Last-Event-ID."""
        stream = self.request(place, {} if after is None else {"Last-Event-ID": after}, **options)
        assert stream.head.status == 200, f"status is {stream.head.status}: {stream.answer()[:200]!r}"
        return stream

    def listen(self, place: Place | None = None, **options: Any) -> Stream:
        """A stream that is known to be live: an event published meanwhile has come through it."""
        stream = self.open(place, **options)
        deadline = time.monotonic() + client.SECONDS
        while not self.mine(stream):
            assert time.monotonic() < deadline, f"nothing that is published arrives within {client.SECONDS:g} s"
            self.publish("hello")
            stream.read_for(SETTLED_SECONDS)
        stream.read_for(SETTLED_SECONDS)  # a second hello may be on its way
        return stream

    def publish(self, n: Any, *, by: Publish | None = None, **more: Any) -> None:
        """An event with this case's token, so that events of others do not disturb. Non-ASCII characters go as they are."""
        publish = by or self.target.publish
        assert publish
        publish(json.dumps({"token": self.token, "n": n} | more, ensure_ascii=False, indent=1))

    def mine(self, stream: Stream) -> list[tuple[Event, dict[str, Any]]]:
        """This case's events, each with what was published."""
        found = ((event, _payload(event.data, self.token)) for event in stream.events)
        return [(event, payload) for event, payload in found if payload]

    def numbers(self, stream: Stream) -> list[Any]:
        """The `n` of this case's events in the order in which they came, without the hellos."""
        return [payload["n"] for _, payload in self.mine(stream) if payload["n"] != "hello"]

    def wait(self, stream: Stream, count: int, seconds: float | None = None) -> list[Any]:
        """Their numbers, once there are so many."""
        stream.until(lambda: len(self.numbers(stream)) >= count, f"event {count} of this case", seconds)
        return self.numbers(stream)

    def history(self, count: int) -> tuple[str, list[str]]:
        """Publish 0, 1, 2 ...: the id before the first of them, and the id of each."""
        stream = self.listen()
        before = stream.parser.last_id
        for n in range(count):
            self.publish(n)
        self.wait(stream, count)
        ids = [event.id for event, payload in self.mine(stream) if payload["n"] != "hello"]
        stream.close()
        return before, ids


@dataclass(frozen=True, slots=True)
class Case:
    """`rule` is what the source says; `needs` are words of `Target.offers`."""

    name: str
    rule: str
    source: str
    needs: tuple[str, ...]
    check: Callable[[Run], None]

    def missing(self, target: Target) -> list[str]:
        """Why it must be skipped."""
        return [word for word in self.needs if word not in target.offers]


def case(source: str, needs: str = "") -> Callable[[Callable[[Run], None]], Case]:
    """Make a function a case: its name is the case's, and its docstring the rule."""

    def make(check: Callable[[Run], None]) -> Case:
        rule = " ".join((check.__doc__ or "").split())
        return Case(check.__name__.replace("_", " "), rule, source, tuple(needs.split()), check)

    return make


@lru_cache(maxsize=4096)
def _payload(data: str, token: str) -> dict[str, Any] | None:
    """What was published, wherever an envelope has put it."""
    try:
        return next((value for value in _objects(json.loads(data)) if value.get("token") == token), None)
    except ValueError:
        return None


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    for child in value if isinstance(value, list) else ():
        yield from _objects(child)
