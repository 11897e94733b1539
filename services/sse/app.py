"""The SSE application: streams, publish for backends next to it, and what a load balancer asks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from anyio import from_thread
from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse

from realtime.bus_switch import SwitchedBus
from realtime.errors import Code, RealtimeError
from realtime.event import Event
from realtime.features import Topic
from realtime.hub import Hub
from realtime.policy import Principal
from realtime.publish import Publisher
from realtime.runtime import Runtime
from services.http import access, problems, publish
from services.sse import stream


class Heard(Publisher):
    """A publisher whose events every hub's readers get as soon as the log has them. It works in the thread of a request."""

    def __init__(self, inner: Publisher, hub: Hub, bus: SwitchedBus | None) -> None:
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


def create_app(runtime: Runtime, hub: Hub, bus: SwitchedBus | None = None) -> FastAPI:
    """The application. Without a bus it hears only what is published here. `app.state.draining.now = True`: send everybody elsewhere."""
    draining = stream.Draining()
    work: list[asyncio.Task[None]] = []

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        work.extend(asyncio.ensure_future(part.run()) for part in (hub, bus) if part)
        yield
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)

    app = FastAPI(title="realtime blueprints: streams", version="1", openapi_url=None, redirect_slashes=False, lifespan=lifespan)
    app.state.draining = draining
    problems.install(app)
    app.include_router(stream.router(runtime, hub, draining))
    app.include_router(access.sessions(runtime))
    app.include_router(publish.router(replace(runtime, publisher=Heard(runtime.publisher, hub, bus))))

    @app.get("/healthz")
    async def healthy() -> Response:
        """200 while heartbeats, rotation and the bus run; else the process is to be replaced."""
        return _status("a part of the service has stopped" if any(task.done() for task in work) else None, status="ok")

    @app.get("/readyz")
    async def ready() -> Response:
        """200 while new readers are welcome and would get every event at once; which bus brings them."""
        deaf = bus is not None and not bus.ready
        trouble = "the service is about to end" if draining.now else "the bus is not connected" if deaf else None
        return _status(trouble, status="ready", bus=bus.kind if bus else "none")

    return app


def _status(trouble: str | None, **well: str) -> Response:
    if trouble:
        return problems.problem(RealtimeError(Code.UNAVAILABLE, trouble, retry_after=1))
    return JSONResponse(well, headers={"Cache-Control": "no-store"})
