"""The HTTP application: tickets, sessions and publish (the front door), and the reads that polling adds to it."""

import time
from collections.abc import Callable, Iterable
from typing import Literal

from fastapi import FastAPI

from realtime.runtime import Runtime
from services.http import access, problems, publish, reads

Part = Literal["front_door", "reads"]


def create_app(runtime: Runtime, parts: Iterable[Part] = ("front_door", "reads"), clock: Callable[[], float] = time.time) -> FastAPI:
    """The application with the parts that one deployment unit serves."""
    app = FastAPI(title="realtime blueprints", version="1", openapi_url=None, redirect_slashes=False)
    problems.install(app)
    if "front_door" in parts:
        app.include_router(access.router(runtime))
        app.include_router(publish.router(runtime))
    if "reads" in parts:
        app.include_router(reads.router(runtime, clock))
    return app
