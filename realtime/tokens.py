"""Access tokens: JSON Web Tokens signed with the stack's own secret (HS256), or by an OpenID Connect issuer.

Every credential says what it is for: access tokens have the audience `realtime` (or the issuer's own), session cookies
`realtime-session`, tickets are stored with their use. None is accepted where another belongs.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from realtime.errors import Code, RealtimeError
from realtime.policy import Principal

if TYPE_CHECKING:
    from jwt import PyJWKClient

ACCESS_AUDIENCE = "realtime"
MAX_TOKEN_BYTES = 8192  # what a header line may hold at API Gateway is 10,240 bytes for all of them

MAX_SUBJECT_CHARS = 256
"""It becomes part of a topic and of DynamoDB keys (2 KB at most)."""

CLOCK_SECONDS = 10
"""How far the issuer's clock may be from ours."""

_OIDC_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA")

Secret = Callable[[], str]
"""Gives the signing secret; called only when a token has to be judged or made."""


class Verifier(Protocol):
    def verify(self, token: str) -> Principal:
        """The principal of a valid access token; `unauthorized` for any other text."""


class SecretVerifier:
    """Accepts tokens that were signed with the stack's secret for one audience."""

    def __init__(self, secret: Secret, audience: str = ACCESS_AUDIENCE) -> None:
        self._secret = secret
        self._audience = audience

    def verify(self, token: str) -> Principal:
        return _principal(token, self._secret, ("HS256",), self._audience)


class OidcVerifier:
    """Accepts tokens of one OpenID Connect issuer, whose keys are fetched (3 s at most) and kept for five minutes."""

    def __init__(self, issuer: str, audience: str, jwks_url: str) -> None:
        self._issuer = issuer
        self._audience = audience
        self._jwks_url = jwks_url
        self._keys: PyJWKClient | None = None

    def verify(self, token: str) -> Principal:
        return _principal(token, lambda: self._key(token), _OIDC_ALGORITHMS, self._audience, issuer=self._issuer)

    def _key(self, token: str) -> Any:
        from jwt import PyJWKClient  # noqa: PLC0415 - public reads never need it

        if self._keys is None:
            self._keys = PyJWKClient(self._jwks_url, lifespan=300, timeout=3)
        return self._keys.get_signing_key_from_jwt(token)  # knows its algorithm: a token that names another is refused


def issue(secret: str, sub: str, seconds: int, audience: str = ACCESS_AUDIENCE, **claims: object) -> str:
    """Sign a token for `sub`, valid for `seconds`; a backend's own carries `role="service"`."""
    import jwt  # noqa: PLC0415

    now = int(time.time())
    return jwt.encode({**claims, "sub": sub, "aud": audience, "iat": now, "exp": now + seconds}, secret, algorithm="HS256")


def bearer(authorization: str | None) -> str | None:
    """The token of an `Authorization: Bearer` header, or None where there is no such header."""
    if authorization is None:
        return None
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise RealtimeError(Code.UNAUTHORIZED, "the Authorization header must read: Bearer <token>")
    return token.strip()


def sent(authorization: str | None) -> str | None:
    """The caller's own `Authorization` header: CloudFront's origin access control puts its signature (SigV4) in that place."""
    return None if authorization is None or authorization.startswith("AWS4-HMAC-SHA256 ") else authorization


def _principal(token: str, key: Callable[[], Any], algorithms: tuple[str, ...], audience: str, issuer: str | None = None) -> Principal:
    import jwt  # noqa: PLC0415 - 80 ms of import (cryptography) that public reads never need

    if len(token) > MAX_TOKEN_BYTES:
        raise RealtimeError(Code.UNAUTHORIZED, f"the token is longer than {MAX_TOKEN_BYTES} bytes")
    try:
        claims = jwt.decode(
            token,
            key(),
            algorithms=list(algorithms),
            audience=audience,
            issuer=issuer,
            leeway=CLOCK_SECONDS,
            options={"require": ["exp", "sub", "aud", *(["iss"] if issuer else [])]},
        )
        expires = float(claims["exp"])
    except jwt.ExpiredSignatureError:
        raise RealtimeError(Code.UNAUTHORIZED, "the token has expired: get a new one") from None
    except jwt.PyJWKClientConnectionError:
        raise RealtimeError(Code.UNAVAILABLE, "the issuer's keys cannot be fetched just now", retry_after=5) from None
    except (jwt.PyJWTError, ValueError, OverflowError, RecursionError):
        raise RealtimeError(Code.UNAUTHORIZED, "the token is not one that this deployment accepts") from None
    sub = claims["sub"]
    if not (1 <= len(sub) <= MAX_SUBJECT_CHARS and sub.isprintable()):
        raise RealtimeError(Code.UNAUTHORIZED, f"the token's sub must be 1 to {MAX_SUBJECT_CHARS} printable characters")
    return Principal(sub, expires, claims)
