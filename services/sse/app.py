"""The SSE application: streams, publish for backends next to it, and what a load balancer asks."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from anyio import from_thread
from fastapi import APIRouter, FastAPI, Response
from fastapi.responses import JSONResponse
from starlette.middleware.cors import CORSMiddleware

from realtime.bus import Bus
from realtime.errors import Code, RealtimeError
from realtime.event import Event
from realtime.features import Topic
from realtime.hub import Hub
from realtime.policy import Principal
from realtime.publish import Publisher
from realtime.runtime import Runtime, origins
from services.http import access, problems, publish
from services.sse import stream
from services.sse.directed import Usher

if TYPE_CHECKING:
    from realtime.bus_switch import SwitchedBus


class Told(Bus, Protocol):
    """A bus that says which one it is."""

    @property
    def kind(self) -> str: ...


class Heard(Publisher):
    """A publisher whose events every hub's readers get as soon as the log has them. It works in the thread of a request."""

    def __init__(self, inner: Publisher, hub: Hub, bus: "SwitchedBus | None") -> None:
        self._inner = inner
        self._hub = hub
        self._bus = bus

    def authorize(self, topic: str, principal: Principal | None) -> Topic:
        return self._inner.authorize(topic, principal)

    def publish(self, *args: Any, **options: Any) -> Event:
        event = self._inner.publish(*args, **options)
        from_thread.run_sync(self._hub.hear, event.topic, (event,))
        if self._bus:
            self._bus.spread((event,))
        return event


def create_app(runtime: Runtime, hub: Hub, bus: "SwitchedBus | None" = None) -> FastAPI:
    """The hub's application. Without a bus it hears only what is published here."""
    heard = replace(runtime, publisher=Heard(runtime.publisher, hub, bus))
    return assembled(runtime, hub, bus, [publish.router(heard)], stream.Manners(), stream.Draining())


def assembled(
    runtime: Runtime, hub: Hub, bus: Told | None, routers: Iterable[APIRouter], manners: stream.Manners, draining: stream.Draining
) -> FastAPI:
    """Streams, sessions, health and more. `draining.now = True`: send everybody elsewhere."""
    work: list[asyncio.Task[None]] = []

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        work.extend(asyncio.ensure_future(part.run()) for part in (hub, bus, Usher(hub, runtime.directions)) if part)
        yield
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)

    app = FastAPI(title="realtime blueprints: streams", version="1", openapi_url=None, redirect_slashes=False, lifespan=lifespan)
    app.state.draining = draining
    problems.install(app)
    app.include_router(stream.router(runtime, hub, draining, manners))
    for router in (access.sessions(runtime), *routers):
        app.include_router(router)

    @app.get("/healthz")
    async def healthy() -> Response:
        """200 while heartbeats, rotation, the bus and the usher run; else the process is to be replaced."""
        return _status("a part of the service has stopped" if any(task.done() for task in work) else None, status="ok")

    @app.get("/readyz")
    async def ready() -> Response:
        """200 while new readers are welcome and would get every event at once; which bus brings them."""
        deaf = bus is not None and not bus.ready
        trouble = "the service is about to end" if draining.now else "the bus is not connected" if deaf else None
        return _status(trouble, status="ready", bus=bus.kind if bus else "none")

    return app


def allow_origins(app: FastAPI, env: Mapping[str, str]) -> None:
    """Answer what browsers ask before they let a page of another origin in."""
    allowed = origins(env)  # with a list of them, pages may also send their session's cookie
    app.add_middleware(
        CORSMiddleware,
        allow_origins=allowed or ["*"],
        allow_credentials=bool(allowed),
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID", "X-Amz-Content-Sha256"],
        expose_headers=["Content-Location", "Retry-After"],
    )


def _status(trouble: str | None, **well: str) -> Response:
    if trouble:
        return problems.problem(RealtimeError(Code.UNAVAILABLE, trouble, retry_after=1))
    return JSONResponse(well, headers={"Cache-Control": "no-store"})
