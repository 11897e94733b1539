"""Publishing: the one way into the log, whatever the transport: authorize, validate, count, append."""

import json
from typing import TYPE_CHECKING

from realtime.errors import Code, RealtimeError
from realtime.event import Event, NewEvent
from realtime.features import Features, Topic
from realtime.log import Log
from realtime.policy import Principal, check
from realtime.rate import RateLimit

if TYPE_CHECKING:
    from jsonschema_rs import Draft202012Validator

MAX_KEY_CHARS = 128


class Publisher:
    """Appends to the log what a caller may publish and what the feature's schema accepts."""

    def __init__(self, features: Features, log: Log, rate: RateLimit) -> None:
        self._features = features
        self._log = log
        self._rate = rate
        self._validators: dict[tuple[str, str], Draft202012Validator] = {}

    def authorize(self, topic: str, principal: Principal | None) -> Topic:
        """The topic, if the caller may publish to it: asked before the body is looked at."""
        found = self._features.topic(topic)
        check(found, "publish", principal)
        return found

    def admit(self, topic: Topic, principal: Principal | None) -> None:
        """Count one publish of the caller, or raise `too_many_requests`."""
        self._rate.admit(topic.feature, principal.sub if principal else "anonymous")

    def publish(
        self, topic: Topic, principal: Principal | None, type: str, data: object, key: str | None = None, *, claim: bool = False
    ) -> Event:
        """Append one event for a caller who was authorized for the topic. Nothing is stored if anything is wrong.

        `claim`: we push it to its subscribers ourselves (see `Log.append`).
        """
        if key is not None and not (1 <= len(key) <= MAX_KEY_CHARS and key.isascii() and key.isprintable()):
            raise RealtimeError(Code.INVALID, f"an idempotency key is 1 to {MAX_KEY_CHARS} printable ASCII characters")
        event = NewEvent.of(type, data)
        if event.size > topic.feature.limits.bytes:
            raise RealtimeError(Code.TOO_LARGE, f"{topic.feature.name} takes at most {topic.feature.limits.bytes} bytes of data")
        self._validate(topic, type, data)
        scoped = _scoped(key, principal)
        try:
            self.admit(topic, principal)
        except RealtimeError:
            if scoped and (earlier := self._log.appended(topic, (event,), scoped)):
                return earlier[0]  # a repeat is not another publish
            raise
        return self._log.append(topic, (event,), key=scoped, claim=claim)[0]

    def _validate(self, topic: Topic, type: str, data: object) -> None:
        if topic.feature.schema_file is None:
            return
        validator = self._validator(topic.feature.name, type)
        error = next(iter(validator.iter_errors(data)), None)
        if error is not None:
            where = "/".join(str(part) for part in error.instance_path)
            raise RealtimeError(Code.INVALID, f"data{'/' + where if where else ''}: {error.message[:200]}")

    def _validator(self, feature: str, type: str) -> "Draft202012Validator":
        found = self._validators.get((feature, type))
        if found is None:
            schemas = self._features.schemas[feature]
            if type not in schemas:
                raise RealtimeError(Code.INVALID, f"{feature} knows the types {', '.join(sorted(schemas))}")
            import jsonschema_rs  # noqa: PLC0415 - only features with a schema pay for it

            found = self._validators[feature, type] = jsonschema_rs.Draft202012Validator(schemas[type])
        return found


def _scoped(key: str | None, principal: Principal | None) -> str | None:
    """One caller's key never answers with another's event."""
    return None if key is None else json.dumps([principal.sub if principal else None, key])
