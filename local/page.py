"""The page's server: web/ and, on the same origin, the front door, as a CloudFront distribution would put them."""

import argparse
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import uvicorn
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from local.guests import Guests
from local.places import ROOT
from realtime.errors import Code, RealtimeError
from services.http.problems import problem

_OURS_ALONE = frozenset(  # of one connection, or set anew by this server
    ["host", "connection", "keep-alive", "transfer-encoding", "upgrade", "te", "content-length", "accept-encoding", "date", "server"]
)
_POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self' ws://localhost:*; "
_POLICY += "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


class Fresh(StaticFiles):
    """Static files that a browser asks for again each time, so that an edit is seen; scripts and styles are our own files only."""

    def file_response(self, *place: Any, **how: Any) -> Response:
        response = super().file_response(*place, **how)
        response.headers.update({"Cache-Control": "no-cache", "Content-Security-Policy": _POLICY})
        return response


def create_app(upstream: str, *, websocket_url: Callable[[], str | None] = lambda: None, signing_secret: str | None = None) -> Starlette:
    """Serve web/ and what it needs to know, sign guests in, and pass /topics, /tickets and /sessions on to `upstream`."""
    client = httpx2.AsyncClient(
        base_url=upstream, timeout=15, limits=httpx2.Limits(max_connections=100), headers={"accept-encoding": "identity"}
    )

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with client:
            yield

    async def forward(request: Request) -> Response:
        headers = [(name, value) for name, value in request.headers.items() if name not in _OURS_ALONE]
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        outgoing = client.build_request(request.method, path, headers=headers, content=await request.body())
        try:
            answer = await client.send(outgoing, stream=True)
        except httpx2.HTTPError:
            return problem(RealtimeError(Code.UNAVAILABLE, "the front door does not answer", retry_after=1))
        response = StreamingResponse(answer.aiter_raw(), answer.status_code, background=BackgroundTask(answer.aclose))
        response.raw_headers = [(n.lower(), v) for n, v in answer.headers.raw if n.decode().lower() not in _OURS_ALONE]
        return response

    async def client_facts(_: Request) -> Response:
        url = websocket_url()
        return JSONResponse({"websocket": url} if url else {}, headers={"Cache-Control": "no-store"})

    own = [Route("/client.json", client_facts), Route("/guests", Guests(signing_secret).sign_in, methods=["POST"])]
    passed_on = [Route(path, forward, methods=["GET", "HEAD", "POST"]) for path in ("/topics/{rest:path}", "/tickets", "/sessions")]
    return Starlette(routes=[*own, *passed_on, Mount("/", Fresh(directory=ROOT / "web", html=True))], lifespan=lifespan)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.page", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    chosen = parser.parse_args()
    env, state = os.environ, Path(os.environ["STATE"])

    def websocket_url() -> str | None:
        """Read at each request: a deployment that adds the pattern needs no new start."""
        try:
            found: str | None = json.loads(state.read_text())["endpoints"].get("websocket")
        except FileNotFoundError:  # it is being taken down
            return None
        return found

    app = create_app(env["FRONT_DOOR"], websocket_url=websocket_url, signing_secret=env.get("SIGNING_SECRET"))
    uvicorn.run(app, host="127.0.0.1", port=chosen.port, log_level="warning")


if __name__ == "__main__":
    main()
