"""Streams as sse-starlette's documentation makes them: a queue and a generator per reader. uvicorn runs it without the project."""

import asyncio
from collections.abc import AsyncIterator

from sse_starlette import EventSourceResponse  # type: ignore[import-not-found] # not of the project: uv brings it for this bench
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

queues: set[asyncio.Queue[str]] = set()


async def stream(_: Request) -> Response:
    answer: Response = EventSourceResponse(_events(), ping=15)
    return answer


async def publish(request: Request) -> Response:
    data = (await request.body()).decode()
    for queue in queues:
        queue.put_nowait(data)
    return Response(status_code=204)


async def _events() -> AsyncIterator[dict[str, str]]:
    queue = asyncio.Queue[str]()
    queues.add(queue)
    try:
        yield {"comment": "first bytes"}
        while True:
            yield {"data": await queue.get()}
    finally:
        queues.discard(queue)


app = Starlette(routes=[Route("/alerts", stream), Route("/publish", publish, methods=["POST"])])
