"""Translates the $connect authorizer's event: an IAM policy, and who the connection belongs to."""

import logging
from typing import Any

from functions.websocket.routes import context_of
from realtime.errors import Code, RealtimeError
from realtime.websocket import Gate

logger = logging.getLogger("realtime.authorizer")


class Authorizer:
    """Allows or denies one connection. A denial is 403 at the handshake; its reason is in the log, the credential never."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def __call__(self, event: dict[str, Any], _: object) -> dict[str, Any]:
        query = event.get("queryStringParameters") or {}
        headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
        try:
            admission = self._gate.admit(
                ticket=query.get("ticket"), authorization=headers.get("authorization"), origin=headers.get("origin")
            )
        except RealtimeError as refusal:
            level = logging.WARNING if refusal.code is Code.UNAVAILABLE else logging.INFO
            logger.log(level, "refused: %s: %s", refusal.code.wire, refusal.detail)
            return {"principalId": "anonymous", "policyDocument": _policy("Deny", event["methodArn"])}
        return {
            "principalId": admission.principal.sub,
            "policyDocument": _policy("Allow", event["methodArn"]),
            "context": context_of(admission),
        }


def _policy(effect: str, arn: str) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{"Action": "execute-api:Invoke", "Effect": effect, "Resource": arn}]}
