"""Login of the demo page, for demonstration only: POST /guests {"name": "..."} -> a token of 15 minutes. Any name, no password."""

import secrets

from realtime.errors import Code, RealtimeError
from realtime.event import loads
from realtime.tokens import Secret, SecretVerifier, bearer, issue

TOKEN_SECONDS = 900
MAX_NAME_CHARS = 40
MAX_BODY_BYTES = 1_000


class Guests:
    """Signs visitors in with the deployment's secret. Nobody picks his own `sub`."""

    def __init__(self, secret: Secret) -> None:
        self._secret = secret

    def admit(self, body: bytes, authorization: str | None) -> dict[str, object]:
        """{"token", "sub", "expires_in"}; who comes with a token of ours gets one for the same `sub`."""
        name, sub = _name(body), self._sub(authorization)
        return {"token": issue(self._secret(), sub, TOKEN_SECONDS, name=name), "sub": sub, "expires_in": TOKEN_SECONDS}

    def _sub(self, authorization: str | None) -> str:
        """A new one; or that of the guest who renews his token, since a publish's id counts within one `sub`."""
        token = bearer(authorization)
        if token is None:
            return f"guest-{secrets.token_hex(16)}"
        sub = SecretVerifier(self._secret).verify(token).sub
        if not sub.startswith("guest-"):
            raise RealtimeError(Code.FORBIDDEN, "only a guest's token is renewed here")
        return sub


def _name(body: bytes) -> str:
    if len(body) > MAX_BODY_BYTES:
        raise RealtimeError(Code.TOO_LARGE, f"a body has at most {MAX_BODY_BYTES} bytes")
    guest = loads(body)
    name = guest.get("name") if isinstance(guest, dict) and guest.keys() == {"name"} else None
    if not isinstance(name, str) or not (1 <= len(name) <= MAX_NAME_CHARS and name.isprintable()):
        raise RealtimeError(Code.INVALID, f'write {{"name": "..."}}, with 1 to {MAX_NAME_CHARS} printable characters')
    return name
