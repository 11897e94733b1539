"""`python -m services.http --port N --features FILE`: front door and reads on one port, for tests, benches and a first look."""

import argparse
import os

import uvicorn
from starlette.middleware.cors import CORSMiddleware

from realtime.runtime import Runtime
from services.http.app import create_app

EXPOSED = ("ETag", "Last-Modified", "Poll-After", "Retry-After")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m services.http", description=__doc__)
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--features", default="features.toml")
    chosen = parser.parse_args()
    os.environ["FEATURES"] = chosen.features
    app = create_app(Runtime.from_env())
    app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["*"], allow_headers=["*"], expose_headers=EXPOSED)
    uvicorn.run(app, host="127.0.0.1", port=chosen.port, log_level="warning", lifespan="off")


if __name__ == "__main__":
    main()
