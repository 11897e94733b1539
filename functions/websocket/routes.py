"""Translates the gateway's routes: $connect, $disconnect, and every message to one method each."""

import json
import logging
from typing import Any

from realtime import frames
from realtime.errors import Code, RealtimeError
from realtime.policy import Principal
from realtime.websocket import Admission, WebSocket

SUBPROTOCOL = "realtime.v1"
"""Echoed where a client offers it: a browser that offered one and got none would not connect."""

Event = dict[str, Any]

logger = logging.getLogger("realtime.websocket")
_FAILED = RealtimeError(Code.INTERNAL, "the service failed: try again once")


class Routes:
    """The handler of all routes. Whatever happens in it, a client gets an error frame and never a traceback."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket

    def __call__(self, event: Event, _: object) -> Event:
        context = event["requestContext"]
        try:
            match context["eventType"]:
                case "CONNECT":
                    return self._connect(event, context)
                case "DISCONNECT":
                    self._socket.close(context["connectionId"])
                    return {"statusCode": 200}
                case _:
                    frame = self._socket.receive(context["connectionId"], event.get("body") or "")
                    return {"statusCode": 200, "body": frame.decode()} if frame else {"statusCode": 200}
        except RealtimeError as refusal:
            logger.warning("%s: %s", refusal.code.wire, refusal.detail)
            return _failed(context, refusal)
        except Exception:  # at the edge: whatever it is, it is logged here and told there
            logger.exception("a message could not be handled")
            return _failed(context, _FAILED)

    def _connect(self, event: Event, context: Event) -> Event:
        self._socket.open(context["connectionId"], admission_of(context["authorizer"]), context["connectedAt"])
        offered = [p.strip() for name, v in (event.get("headers") or {}).items() if _is_protocol(name) for p in v.split(",")]
        return {"statusCode": 200, **({"headers": {"Sec-WebSocket-Protocol": SUBPROTOCOL}} if SUBPROTOCOL in offered else {})}


def context_of(admission: Admission) -> dict[str, str]:
    """The admission as the authorizer hands it on: API Gateway passes text only."""
    principal = admission.principal
    scope = "" if admission.scope is None else json.dumps(admission.scope)
    return {"sub": principal.sub, "until": str(int(principal.expires)), "claims": json.dumps(principal.claims), "scope": scope}


def admission_of(context: dict[str, str]) -> Admission:
    """The admission that the authorizer handed on."""
    scope = tuple(json.loads(context["scope"])) if context["scope"] else None
    return Admission(Principal(context["sub"], float(context["until"]), json.loads(context["claims"])), scope)


def _failed(context: Event, refusal: RealtimeError) -> Event:
    """An error frame; but a handshake is refused, and a connection without a row never opened."""
    if context["eventType"] == "MESSAGE":
        return {"statusCode": 200, "body": frames.error(refusal, {}).decode()}
    return {"statusCode": refusal.code.value.status}


def _is_protocol(header: str) -> bool:
    return header.lower() == "sec-websocket-protocol"
