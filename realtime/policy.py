"""Who may read and who may publish: checked on every read, replay, message and push."""

import json
from dataclasses import dataclass, replace
from typing import Literal

from realtime.errors import Code, RealtimeError
from realtime.features import Features, Topic

Action = Literal["read", "publish"]

MAX_CLAIMS_BYTES = 2_000


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


def essential(features: Features, principal: Principal) -> Principal:
    """The principal with only those claims that a rule asks for: what tickets and rows of connections keep.

    `too_large` where these are over 2,000 bytes: they travel in the authorizer's answer, which may have 8 KB.
    """
    rules = [rule for feature in features.values() for rule in (feature.access.read, feature.access.publish)]
    names = {"role", *(rule.removeprefix("claim:") for rule in rules if rule.startswith("claim:"))}
    claims = {name: value for name, value in principal.claims.items() if name in names}
    if len(json.dumps(claims)) > MAX_CLAIMS_BYTES:
        raise RealtimeError(Code.TOO_LARGE, f"the claims that rules ask for have at most {MAX_CLAIMS_BYTES} bytes")
    return replace(principal, claims=claims)


def known(principal: Principal | None) -> Principal:
    """The caller, or `unauthorized` for a stranger."""
    if principal is None:
        raise RealtimeError(Code.UNAUTHORIZED, "send a token: Authorization: Bearer <token>")
    return principal


def _admits(claim: object, topic: Topic) -> bool:
    """A claim of `true` admits to the whole feature; a room's name, or a list of them, to those rooms."""
    return claim is True or (topic.room is not None and (claim == topic.room or (isinstance(claim, list) and topic.room in claim)))
