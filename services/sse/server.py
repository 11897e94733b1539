"""uvicorn as streams need it: our protocol, and an end in which every reader is told where he stands."""

import socket

import uvicorn
from fastapi import FastAPI

from realtime.hub import Hub
from services.sse.transport import END_SECONDS, StreamingProtocol

DRAIN_SECONDS = 2.0
KEEP_ALIVE_SECONDS = 120
"""Longer than an ALB keeps an idle connection (60 s unless configured): else it sends a request into one that just closes."""

BACKLOG = 4096


class Server(uvicorn.Server):
    """A server that on SIGTERM stops accepting and turns /readyz red, sends its readers away over two seconds, and ends."""

    def __init__(self, app: FastAPI, hub: Hub, host: str, port: int) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                host=host,
                port=port,
                loop="uvloop",
                http=StreamingProtocol,
                ws="none",
                lifespan="on",
                access_log=False,
                log_level="warning",
                proxy_headers=False,
                server_header=False,
                backlog=BACKLOG,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=int(END_SECONDS) + 1,
            )
        )
        self._draining = app.state.draining
        self._hub = hub

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._draining.now = True
        for listener in self.servers:
            listener.close()
        await self._hub.drain(DRAIN_SECONDS)
        await super().shutdown(sockets)
