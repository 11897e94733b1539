"""A stand-in for the API Gateway Management API over HTTP: keeps what is posted, for functions that run in processes of their own."""

import json
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote


class _Quiet(ThreadingHTTPServer):
    """A process that is killed resets its connections: that is no error here."""

    def handle_error(self, *_: object) -> None:
        pass


class Posts:
    """`url` is the WEBSOCKET_ENDPOINT; `frames` what each connection was sent."""

    def __init__(self) -> None:
        self.frames: dict[str, list[dict[str, Any]]] = defaultdict(list)
        posts = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                posts.frames[unquote(self.path.rpartition("/")[2])].append(json.loads(body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = _Quiet(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/live"

    def events(self, connection: str) -> list[int]:
        """The seqs of the events that it was sent."""
        return [frame["seq"] for frame in self.frames[connection] if frame["action"] == "event"]


@contextmanager
def posts() -> Iterator[Posts]:
    """It listens within the block."""
    made = Posts()
    threading.Thread(target=made.server.serve_forever, daemon=True).start()
    try:
        yield made
    finally:
        made.server.shutdown()
        made.server.server_close()
