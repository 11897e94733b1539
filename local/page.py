"""The page's server: its files and, on the same origin, the front door and the streams, as ShopStack's distribution puts them."""

import argparse
import json
import os
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import uvicorn
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from local.guests import sign_in
from local.hubs import targets
from realtime.client_json import described
from realtime.errors import Code, RealtimeError
from realtime.features import ANSWERS, Feature, load
from services.http.problems import problem
from stacks.assets import FEATURES
from stacks.parts.page import content_policy, files

_OURS_ALONE = frozenset(  # of one connection, or set anew by this server
    ["host", "connection", "keep-alive", "transfer-encoding", "upgrade", "te", "content-length", "accept-encoding", "date", "server"]
)
_HEADERS = {
    "Cache-Control": "no-cache",  # a browser asks again each time, so that an edit is seen
    "Content-Security-Policy": content_policy("ws://localhost:*"),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_HOSTS = ["localhost", "127.0.0.1"]
"""By no other name: a page of elsewhere, whose name is made to lead here (DNS rebinding), would be of our own origin."""


class Deployment:
    """What the page has to know of the deployment in this folder. Read at each request: an edit needs no new start."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def websocket(self) -> str | None:
        """The URL of the WebSocket API; none where it is not deployed, or is being taken down."""
        return self._endpoint("websocket")

    @property
    def streams(self) -> str | None:
        """The URL of the streaming function."""
        return self._endpoint("streams")

    @property
    def facts(self) -> dict[str, object]:
        """The content of client.json."""
        function = "" if self.streams else None
        known = described(self._features(), http="", websocket=self.websocket, service="" if self.hub else None, function=function)
        answers = self.streams is not None and ANSWERS in self._state().get("on_lambda", [])
        return known | ({"answers": True} if answers else {})

    def _features(self) -> Mapping[str, Feature]:
        """Those that are deployed, which need not be those of the file by now."""
        file = self._folder / FEATURES
        return load(file) if file.exists() else {}

    def of_stream(self, topic: str) -> str | None:
        """The URL of what streams a topic."""
        on_lambda = topic.partition("/")[0] in self._state().get("on_lambda", [])
        return self.streams if on_lambda else self.hub

    def _endpoint(self, name: str) -> str | None:
        found: str | None = self._state().get("endpoints", {}).get(name)
        return found

    def _state(self) -> dict[str, Any]:
        try:
            state: dict[str, Any] = json.loads((self._folder / "state.json").read_text())
        except FileNotFoundError:
            return {}
        return state

    @property
    def hub(self) -> str | None:
        """The URL of one of the hubs, as a load balancer would choose."""
        ports = targets(self._folder)
        return f"http://127.0.0.1:{random.choice(ports)}" if ports else None  # noqa: S311 - a load balancer's dice


def create_app(upstream: str, deployment: Deployment, signing_secret: str | None = None) -> Starlette:
    """Serve the page and what it needs to know, sign guests in, and pass the rest on: streams to a hub, others to `upstream`."""
    limits = httpx2.Limits(max_connections=1_000)
    client = httpx2.AsyncClient(timeout=httpx2.Timeout(15, read=60), limits=limits, headers={"accept-encoding": "identity"})

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with client:
            yield

    def place(request: Request) -> str | None:
        path = request.url.path
        if path.startswith("/answers"):
            return deployment.streams
        if path.endswith("/stream"):
            return deployment.of_stream(path.removeprefix("/topics/") if path != "/stream" else request.query_params.get("topic", ""))
        return upstream

    async def forward(request: Request) -> Response:
        headers = [(name, value) for name, value in request.headers.items() if name not in _OURS_ALONE]
        path = request.scope["raw_path"].decode() + (f"?{request.url.query}" if request.url.query else "")
        where = place(request)
        if where is None:
            return problem(RealtimeError(Code.UNAVAILABLE, "nothing that streams runs just now", retry_after=1))
        outgoing = client.build_request(request.method, where + path, headers=headers, content=await request.body())
        try:
            answer = await client.send(outgoing, stream=True)
        except httpx2.HTTPError:
            return problem(RealtimeError(Code.UNAVAILABLE, "the service behind this page does not answer", retry_after=1))
        response = StreamingResponse(answer.aiter_raw(), answer.status_code, background=BackgroundTask(answer.aclose))
        response.raw_headers = [(n.lower(), v) for n, v in answer.headers.raw if n.decode().lower() not in _OURS_ALONE]
        return response

    async def client_facts(_: Request) -> Response:
        guests = {"guests": True} if signing_secret else {}
        return JSONResponse(deployment.facts | guests, headers={"Cache-Control": "no-store"})

    async def file(request: Request) -> Response:
        found = files().get(request.path_params["path"] or "index.html")
        return FileResponse(found, headers=_HEADERS) if found else problem(RealtimeError(Code.NOT_FOUND, "the page has no such file"))

    own = [Route("/client.json", client_facts), Route("/guests", sign_in(signing_secret), methods=["POST"])]
    paths = ("/topics/{rest:path}", "/stream", "/tickets", "/sessions", "/answers", "/answers/{id}")
    passed_on = [Route(path, forward, methods=["GET", "HEAD", "POST", "DELETE"]) for path in paths]
    trusted = Middleware(TrustedHostMiddleware, allowed_hosts=_HOSTS, www_redirect=False)
    return Starlette(routes=[*own, *passed_on, Route("/{path:path}", file)], middleware=[trusted], lifespan=lifespan)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.page", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    chosen = parser.parse_args()
    env = os.environ
    app = create_app(env["FRONT_DOOR"], Deployment(Path(env["FOLDER"])), env.get("SIGNING_SECRET"))
    uvicorn.run(app, host="127.0.0.1", port=chosen.port, log_level="warning")


if __name__ == "__main__":
    main()
