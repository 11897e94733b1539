"""Access tokens of an OpenID Connect issuer, and the secret that is fetched once."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import boto3
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from moto import mock_aws

from realtime.errors import Code, RealtimeError
from realtime.tokens import OidcVerifier, SecretVerifier, issue

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def jwks() -> Iterator[str]:
    """An issuer's key set, over HTTP."""
    key = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key())) | {"kid": "k1", "use": "sig"}

    class Keys(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"keys": [key]}).encode())

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Keys)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def oidc_token(key: object = KEY, algorithm: str = "RS256", kid: str = "k1", **changes: object) -> str:
    claims = {"sub": "ann", "iss": "https://issuer", "aud": "app", "exp": time.time() + 60, **changes}
    return jwt.encode(claims, key, algorithm, headers={"kid": kid})  # type: ignore[arg-type]


def test_token_of_the_issuer_is_accepted(jwks: str) -> None:
    """Signature, issuer and audience are right: the subject is the principal."""
    assert OidcVerifier("https://issuer", "app", jwks).verify(oidc_token()).sub == "ann"


@pytest.mark.parametrize(
    "token",
    [
        oidc_token(iss="https://other"),
        oidc_token(aud="other"),
        oidc_token(exp=time.time() - 60),
        oidc_token(kid="k2"),
        oidc_token(key=rsa.generate_private_key(public_exponent=65537, key_size=2048)),
        oidc_token(key=ec.generate_private_key(ec.SECP256R1()), algorithm="ES256"),
        oidc_token(key="a-shared-secret-0123456789-0123456789", algorithm="HS256"),
        "nonsense",
    ],
)
def test_other_token_is_refused(jwks: str, token: str) -> None:
    """Another issuer, audience, key or algorithm, or expired."""
    with pytest.raises(RealtimeError) as refused:
        OidcVerifier("https://issuer", "app", jwks).verify(token)
    assert refused.value.code is Code.UNAUTHORIZED


def test_issuer_that_does_not_answer_is_unavailable_not_unauthorized() -> None:
    """A client with a good token is told to come back, not to log in again."""
    with pytest.raises(RealtimeError) as refused:
        OidcVerifier("https://issuer", "app", "http://127.0.0.1:9").verify(oidc_token())
    assert refused.value.code is Code.UNAVAILABLE


def test_clocks_may_differ_a_little() -> None:
    """A token that was issued two seconds ahead of our clock is good."""
    secret = "a-shared-secret-0123456789-0123456789"
    claims = {"sub": "ann", "aud": "realtime", "iat": time.time() + 2, "exp": time.time() + 60}
    assert SecretVerifier(lambda: secret).verify(jwt.encode(claims, secret, "HS256")).sub == "ann"


def test_tokens_of_one_purpose_are_refused_for_another() -> None:
    """The audience says what a token is for."""
    secret = "a-shared-secret-0123456789-0123456789"
    with pytest.raises(RealtimeError):
        SecretVerifier(lambda: secret, "realtime-session").verify(issue(secret, "ann", 60))


@mock_aws
def test_secret_is_fetched_at_first_use_and_kept() -> None:
    """Public reads never fetch it; then one call serves five minutes."""
    from realtime.aws import StoredSecret

    client = boto3.client("secretsmanager")
    arn = client.create_secret(Name="s", SecretString="one")["ARN"]
    secret = StoredSecret(arn)
    assert secret() == "one"
    client.put_secret_value(SecretId=arn, SecretString="two")
    assert secret() == "one"
    secret._until = 0
    assert secret() == "two"
    client.delete_secret(SecretId=arn, ForceDeleteWithoutRecovery=True)
    secret._until = 0
    assert secret() == "two", "the last one goes on serving while Secrets Manager does not answer"


@mock_aws
def test_missing_secret_is_unavailable() -> None:
    """A deployment that is not whole answers 503, not 500."""
    from realtime.aws import StoredSecret

    with pytest.raises(RealtimeError) as refused:
        StoredSecret("nothing")()
    assert refused.value.code is Code.UNAVAILABLE
