"""Who may read and who may publish: checked on every read, replay, message and push."""

from dataclasses import dataclass
from typing import Literal

from realtime.errors import Code, RealtimeError
from realtime.features import Topic

Action = Literal["read", "publish"]


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a request comes from. `expires` (Unix seconds) is when the credential ends, and with it every push."""

    sub: str
    expires: float
    claims: dict[str, object]

    @property
    def service(self) -> bool:
        """A backend of ours, not a person: its token carries `"role": "service"`."""
        return self.claims.get("role") == "service"


def allowed(topic: Topic, action: Action, principal: Principal | None) -> bool:
    """Whether the feature's rule for the action admits the caller (None: anonymous)."""
    rule: str = getattr(topic.feature.access, action)
    if rule == "public":
        return True
    if principal is None:
        return False
    if rule == "user":
        return True
    if rule == "service":
        return principal.service
    if rule == "owner":
        return topic.room == principal.sub
    return _admits(principal.claims.get(rule.removeprefix("claim:")), topic)


def check(topic: Topic, action: Action, principal: Principal | None) -> None:
    """Raise `unauthorized` for a stranger and `forbidden` for a caller whom the rule does not admit."""
    if not allowed(topic, action, principal):
        known(principal)
        raise RealtimeError(Code.FORBIDDEN, f"this caller may not {action} this topic")


def known(principal: Principal | None) -> Principal:
    """The caller, or `unauthorized` for a stranger."""
    if principal is None:
        raise RealtimeError(Code.UNAUTHORIZED, "send a token: Authorization: Bearer <token>")
    return principal


def _admits(claim: object, topic: Topic) -> bool:
    """A claim of `true` admits to the whole feature; a room's name, or a list of them, to those rooms."""
    return claim is True or (topic.room is not None and (claim == topic.room or (isinstance(claim, list) and topic.room in claim)))
