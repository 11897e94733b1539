"""Lambda without AWS: an asset's own folder, run by AWS's runtime client in a clean process against a Runtime API.

The process gets an empty environment and finds exactly what it finds on Lambda: the asset, and what the runtime
provides (boto3 and awslambdaric); nothing of this project's virtual environment. A forgotten file or dependency is
an import error here, as it would be there.
"""

import json
import os
import queue
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from local.lambda_like import PYTHON, provided

ROOT = Path(__file__).parent.parent
SECONDS = 30

_PREFIX = "/2018-06-01/runtime"
_BOOTSTRAP = "from awslambdaric.__main__ import main; import sys; main(['awslambdaric', sys.argv[1]])"


class RuntimeApi:
    """The Lambda Runtime API (docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html), one invocation at a time."""

    process: "subprocess.Popen[bytes] | None" = None
    """Who asks for events."""

    def __init__(self) -> None:
        self._events: queue.Queue[tuple[str, object]] = queue.Queue()
        self._results: queue.Queue[tuple[bool, Any]] = queue.Queue()
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                invocation, event = api._events.get()
                self._answer(200, json.dumps(event).encode(), _invocation_headers(invocation))

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"null")
                api._results.put((self.path.endswith("/response"), body))
                self._answer(202, b"{}", {})

            def _answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    def invoke(self, event: object) -> Any:
        """What the handler returns; RuntimeError with the runtime's report if it fails, or where it ends without one."""
        self._events.put((str(uuid.uuid4()), event))
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            ended = self.process.poll() if self.process else None
            with suppress(queue.Empty):
                done, result = self._results.get(timeout=0.2)
                if not done:
                    raise RuntimeError(json.dumps(result))
                return result
            if ended is not None:
                raise RuntimeError(f"the function ended with code {ended}")
        raise RuntimeError(f"the function did not answer in {SECONDS} s")

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def function(asset: Path, handler: str, environment: Mapping[str, str]) -> Iterator[RuntimeApi]:
    """A running function of the asset: `invoke` it; it ends with the block."""
    api = RuntimeApi()
    clean = {
        "AWS_LAMBDA_RUNTIME_API": api.address,
        "LAMBDA_TASK_ROOT": str(asset),
        "PYTHONPATH": f"{asset}{os.pathsep}{provided()}",
        "PYTHONDONTWRITEBYTECODE": "1",  # /var/task is read-only
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        **environment,
    }
    api.process = process = subprocess.Popen([PYTHON, "-S", "-c", _BOOTSTRAP, handler], cwd=asset, env=clean)
    try:
        yield api
    finally:
        process.kill()
        process.wait()
        api.close()


def http_event(
    method: str, path: str, *, query: str = "", headers: Mapping[str, str] | None = None, body: str | None = None
) -> dict[str, Any]:
    """An HTTP API event in payload format 2.0, made from tests/events/http_api_v2.json."""
    event: dict[str, Any] = json.loads((ROOT / "tests/events/http_api_v2.json").read_text())
    event |= {"rawPath": path, "rawQueryString": query, "body": body}
    event["headers"] |= {name.lower(): value for name, value in (headers or {}).items()}
    event["requestContext"]["http"] |= {"method": method, "path": path}
    return event


def _invocation_headers(invocation: str) -> dict[str, str]:
    """What AWS sends with each event; the runtime client crashes where one is missing."""
    return {
        "Lambda-Runtime-Aws-Request-Id": invocation,
        "Lambda-Runtime-Deadline-Ms": str(int((time.time() + SECONDS) * 1000)),
        "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-east-1:123456789012:function:tested",
        "Lambda-Runtime-Trace-Id": "Root=1-00000000-000000000000000000000000;Sampled=0",
    }
