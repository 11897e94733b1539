"""`python -m services.http --port N --features FILE`: front door and reads on one port, for tests, benches and a first look."""

import argparse
import os
import sys

import uvicorn
from botocore.exceptions import NoRegionError
from starlette.middleware.cors import CORSMiddleware

from realtime.features import FeaturesError
from realtime.runtime import Runtime
from services.http.app import create_app

EXPOSED = ("ETag", "Last-Modified", "Poll-After", "Retry-After")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m services.http", description=__doc__)
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--features", default="features.toml")
    chosen = parser.parse_args()
    os.environ["FEATURES"] = chosen.features
    try:
        runtime = Runtime.from_env()
    except (FeaturesError, NoRegionError) as error:
        sys.exit(f"error: {error}")
    except KeyError as missing:
        sys.exit(f"error: {missing} is not set: name the tables, or serve from memory with REALTIME_LOG=memory")
    app = create_app(runtime)
    app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["*"], allow_headers=["*"], expose_headers=EXPOSED)
    uvicorn.run(app, host="127.0.0.1", port=chosen.port, log_level="warning", lifespan="off")


if __name__ == "__main__":
    main()
