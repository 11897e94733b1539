"""Polling: HTTP API -> FastAPI -> log; only ever reads it."""

from mangum import Mangum

from realtime.runtime import Runtime
from services.http.app import create_app

handler = Mangum(create_app(Runtime.from_env(), ["reads"]), lifespan="off")
