"""Signatures are those of botocore."""

from datetime import UTC, datetime
from unittest.mock import patch
from urllib.parse import quote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from realtime.sigv4 import Signer, digest_of
from tests.helpers import Clock

HOST = "abc123.execute-api.eu-west-1.amazonaws.com"
IDS = st.text(min_size=1, max_size=40).filter(lambda name: name.strip("."))  # "." and ".." are folders to botocore
TIMES = st.integers(1_700_000_000, 2_000_000_000)


@given(st.sampled_from([("POST", b"a frame"), ("POST", b""), ("DELETE", b"")]), IDS, st.sampled_from([None, "token/+=="]), TIMES)
def test_signature_is_that_of_botocore(request: tuple[str, bytes], name: str, token: str | None, now: int) -> None:
    """Any id, either method, with or without a session token, at any time."""
    (method, body), path = request, f"/live/@connections/{quote(name, safe='')}"
    assert _ours(_signer(token, Clock(now + 0.9)), method, path, body) == _botocore(method, path, body, token, now)


def test_signer_follows_the_time() -> None:
    """From second to second, and over midnight, when the key changes."""
    midnight = 1_800_057_600
    clock, path = Clock(midnight - 2), "/live/@connections/L0SM9cOFvHcCIhw%3D"
    signer = _signer(None, clock)
    for _ in range(8):
        assert _ours(signer, "POST", path, b"x") == _botocore("POST", path, b"x", None, int(clock.now))
        clock.sleep(0.5)


def _signer(token: str | None, clock: Clock) -> Signer:
    frozen = Credentials("AKID", "secret", token).get_frozen_credentials()
    return Signer(frozen, service="execute-api", region="eu-west-1", host=HOST, clock=clock)


def _ours(signer: Signer, method: str, path: str, body: bytes) -> dict[str, str]:
    lines = signer.headers(method, path, digest_of(body)).splitlines()
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


def _botocore(method: str, path: str, body: bytes, token: str | None, now: int) -> dict[str, str]:
    request = AWSRequest(method, f"https://{HOST}{path}", data=body)
    with patch("botocore.auth.get_current_datetime", lambda: datetime.fromtimestamp(now, UTC)):
        SigV4Auth(Credentials("AKID", "secret", token), "execute-api", "eu-west-1").add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()}
