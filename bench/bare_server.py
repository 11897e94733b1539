"""The least that a FastAPI application with uvicorn can be that streams a topic: what `ready` compares ours with."""

import sys
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

app = FastAPI()


@app.get("/topics/{topic}/stream")
def stream(topic: str) -> StreamingResponse:
    def events() -> Iterator[str]:
        yield f"data: {topic}\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


@app.get("/healthz")
def healthy() -> dict[str, str]:
    return {"status": "ok"}


uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
