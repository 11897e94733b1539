"""A Lambda function: the real handler, its context, its time."""

import json
import uuid
from collections.abc import Callable
from typing import Any

from .limits import INTEGRATION_SECONDS

Event = dict[str, Any]
Handler = Callable[[Event, Any], Any]


class FunctionError(Exception):
    """The handler raised, gave what is no JSON, or ran out of the function's own time."""


class TimedOut(FunctionError):
    """It took longer than the gateway waits. What it did is done, its answer is lost."""


class Context:
    """The part of Lambda's context that handlers use: docs.aws.amazon.com/lambda/latest/dg/python-context.html."""

    def __init__(self, name: str, clock: Callable[[], float], seconds: float) -> None:
        self.function_name = name
        self.aws_request_id = str(uuid.uuid4())
        self._clock = clock
        self._deadline = clock() + seconds

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the function's own time-out."""
        return max(0, int((self._deadline - self._clock()) * 1000))


class Function:
    """A handler that runs in `invoke`. Nothing stops it: whether it was too slow is seen from the clock when it returns."""

    def __init__(self, handler: Handler, name: str, clock: Callable[[], float], seconds: float) -> None:
        self._handler = handler
        self._name = name
        self._clock = clock
        self._seconds = seconds

    def invoke(self, event: Event) -> Any:
        """The handler's answer; FunctionError, whose cause is what the handler raised."""
        began, failure = self._clock(), None
        try:
            answer = self._handler(event, Context(self._name, self._clock, self._seconds))
            json.dumps(answer)
        except Exception as error:  # noqa: BLE001 - whatever a function raises, Lambda reports
            failure = error
        took = self._clock() - began
        if took > min(self._seconds, INTEGRATION_SECONDS):
            late = TimedOut if self._seconds >= INTEGRATION_SECONDS else FunctionError
            raise late(f"{self._name} took {took:.1f} s") from failure
        if failure is not None:
            raise FunctionError(f"{self._name} failed: {failure!r}") from failure
        return answer


def proxy_answer(answer: Any) -> dict[str, Any]:
    """What a Lambda proxy integration may answer: a statusCode, perhaps headers and a body of text."""
    if not isinstance(answer, dict) or type(answer.get("statusCode")) is not int:
        raise FunctionError(f"an answer has a statusCode, unlike {answer!r}")
    if not isinstance(answer.get("body"), str | None) or not isinstance(answer.get("headers"), dict | None):
        raise FunctionError(f"body is text and headers an object, unlike in {answer!r}")
    return answer
