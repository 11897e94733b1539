"""The gateway of AWS: jobs -> signed requests on keep-alive sockets -> the API Gateway Management API (`@connections`).

asyncio, ssl and the parser are imported by the first run: a connect, the first call of a cold function, posts nothing.
"""

import os
import time
from collections.abc import Sequence
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from realtime.bucket import Bucket
from realtime.gateway import Job, Outcome
from realtime.sigv4 import Signer, digest_of

if TYPE_CHECKING:
    import asyncio
    import ssl

    from botocore.credentials import Credentials

    from realtime.sockets import Pool

_PORTS = {"https": 443, "http": 80}


class ManagementApi:
    """Posts to connections and closes them, at most `per_second` requests in any second. Threads take turns, run by run.

    `endpoint` is the stage's URL, which `/@connections` follows. A run raises where there are no AWS credentials; whatever
    else is wrong is an outcome, and a line in the log that says why.
    """

    def __init__(
        self, endpoint: str, *, per_second: float, credentials: "Credentials | None" = None, context: "ssl.SSLContext | None" = None
    ) -> None:
        self._url = urlsplit(endpoint)
        self._bucket = Bucket(per_second)
        self._given = credentials
        self._context = context
        self._turn = Lock()

    def run(self, jobs: Sequence[Job], *, seconds: float, patience: float | None = None) -> list[Outcome]:
        from realtime.posting import Posting  # noqa: PLC0415 - see above

        deadline = time.monotonic() + seconds
        if not self._turn.acquire(timeout=max(0.0, seconds)):
            return [Outcome.UNSENT] * len(jobs)
        try:
            posting = Posting(jobs, self._requests(), self._pool, self._bucket)
            return self._loop.run_until_complete(posting.outcomes(deadline, patience or seconds))
        finally:
            self._turn.release()

    def close(self) -> None:
        """Drop the sockets; no run may follow."""
        with self._turn:
            self._pool.clear()
            self._loop.run_until_complete(self._pool.settle())
            self._loop.close()

    def _requests(self) -> "_Requests":
        """Signed with the credentials of this moment: botocore renews those that expire."""
        region = os.environ.get("AWS_REGION") or os.environ["AWS_DEFAULT_REGION"]
        host = self._url.netloc.removesuffix(f":{_PORTS[self._url.scheme]}")
        signer = Signer(self._credentials.get_frozen_credentials(), service="execute-api", region=region, host=host)
        return _Requests(signer, host, f"{self._url.path.rstrip('/')}/@connections/")

    @cached_property
    def _credentials(self) -> "Credentials":
        import botocore.exceptions  # noqa: PLC0415 - not before there is something to sign
        import botocore.session  # noqa: PLC0415

        if found := self._given or botocore.session.get_session().get_credentials():
            return found
        raise botocore.exceptions.NoCredentialsError

    @cached_property
    def _loop(self) -> "asyncio.AbstractEventLoop":
        import asyncio  # noqa: PLC0415 - see above

        return asyncio.new_event_loop()

    @cached_property
    def _pool(self) -> "Pool":
        import ssl  # noqa: PLC0415 - see above

        from realtime.posting import SOCKETS  # noqa: PLC0415
        from realtime.sockets import Pool  # noqa: PLC0415

        scheme, context = self._url.scheme, None
        if scheme == "https":
            context = self._context or ssl.create_default_context()
        return Pool(self._loop, self._url.hostname or "", self._url.port or _PORTS[scheme], context, size=SOCKETS)


class _Requests:
    """The requests of jobs, as bytes. A frame that goes to many connections is hashed once."""

    def __init__(self, signer: Signer, host: str, path: str) -> None:
        self._signer = signer
        self._host = host
        self._path = path
        self._digests: dict[bytes, str] = {}

    def __call__(self, job: Job, number: int) -> bytes:
        """A POST for each frame, counted from 0, then the DELETE."""
        if number < len(job.frames):
            return self._request("POST", job.connection, job.frames[number])
        return self._request("DELETE", job.connection, b"")

    def _request(self, method: str, connection: str, body: bytes) -> bytes:
        path = self._path + quote(connection, safe="")
        digest = self._digests.get(body) or self._digests.setdefault(body, digest_of(body))
        signature = self._signer.headers(method, path, digest)
        return f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\n{signature}Content-Length: {len(body)}\r\n\r\n".encode() + body
