"""Front door: HTTP API -> FastAPI -> tickets, sessions and publish; writes the log."""

from mangum import Mangum

from realtime.runtime import Runtime
from services.http.app import create_app

handler = Mangum(create_app(Runtime.from_env(), ["front_door"]), lifespan="off")
