"""A server of one topic in memory that can be given one fault; without one it conforms."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition

Events = list[tuple[int, str]]


class FaultyServer(ThreadingHTTPServer):
    """GET streams, POST publishes. `fault`: repeats, skips, swaps, forgets, gap, same id, late, cut or mangles."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, fault: str = "") -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.fault = fault
        self.log: list[str] = []
        self.news = Condition()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"

    def publish(self, raw: bytes) -> None:
        data = json.dumps(json.loads(raw), ensure_ascii=False)
        with self.news:
            self.log.append(self._harmed(data))
            self.news.notify_all()

    def follow(self, after: str) -> Iterator[Events]:
        """What a reader gets, in batches; an empty one is a heartbeat."""
        position, joining = len(self.log), self.fault == "gap"
        if after and self.fault != "forgets":
            position = max(0, int(after) + {"repeats": -1, "skips": 1}.get(self.fault, 0))
        while True:
            events = list(enumerate(self.log[position:], position + 1))
            position += len(events)
            if joining and len(events) > 1:  # what came between the read of what was missed and the first wait
                events.pop()
            joining = False
            yield events[::-1] if self.fault == "swaps" else events
            self._wait(position)

    def _wait(self, position: int) -> None:
        """For the next event, or until a heartbeat is due."""
        with self.news:
            seconds = 60 if self.fault == "late" else 0.2  # a heartbeat would end the event that is late
            self.news.wait_for(lambda: len(self.log) > position, seconds)

    def encode(self, events: Events) -> bytes:
        if not events:
            return b":\n\n"
        blocks = [f"id: {1 if self.fault == 'same id' else number}\ndata: {data}\n\n" for number, data in events]
        return ("".join(blocks)[:-1] if self.fault == "late" else "".join(blocks)).encode()

    def _harmed(self, data: str) -> str:
        if self.fault == "cut" and len(data) > 1000:
            return data.replace("éé", "")
        return " ".join(data.split("\u2028")) if self.fault == "mangles" else data


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultyServer

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            for events in self.server.follow(self.headers.get("Last-Event-ID", "")):
                self.wfile.write(self.server.encode(events))
        except ConnectionError:
            self.close_connection = True

    def do_POST(self) -> None:
        self.server.publish(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: it is a test."""
