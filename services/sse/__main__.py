"""`python -m services.sse --port N --features FILE`: the SSE service, as its container runs it; alone with REALTIME_LOG=memory."""

import argparse
import os
import sys
from collections.abc import Mapping

from botocore.exceptions import NoRegionError

from realtime.aws import parameter
from realtime.bus_switch import ASK_SECONDS, SwitchedBus
from realtime.features import FeaturesError
from realtime.hub import MAX_STREAMS, Hub
from realtime.runtime import Runtime
from services.sse.app import allow_origins, create_app
from services.sse.server import Server


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m services.sse", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8081)
    parser.add_argument("--features", default=os.environ.get("FEATURES", "features.toml"))
    chosen = parser.parse_args()
    try:
        runtime = Runtime.from_env({**os.environ, "FEATURES": chosen.features})
    except (FeaturesError, NoRegionError) as error:
        sys.exit(f"error: {error}")
    except KeyError as missing:
        sys.exit(f"error: {missing} is not set: name the tables, or serve from memory with REALTIME_LOG=memory")
    hub = Hub(runtime.log, most=_most(os.environ))
    app = create_app(runtime, hub, _bus(hub, runtime, os.environ))
    allow_origins(app, os.environ)
    Server(app, hub, chosen.host, chosen.port).run()


def _most(env: Mapping[str, str]) -> int:
    """How many streams the process may have at once."""
    most = env.get("REALTIME_MAX_STREAMS", str(MAX_STREAMS))
    if not (most.isascii() and most.isdigit() and int(most) > 0):
        sys.exit(f"error: REALTIME_MAX_STREAMS is {most}: it must be a whole number of at least 1")
    return int(most)


def _bus(hub: Hub, runtime: Runtime, env: Mapping[str, str]) -> SwitchedBus | None:
    """None where the log is in memory: nobody else can publish to it."""
    if env.get("REALTIME_LOG") == "memory":
        return None
    name, every = env.get("BUS_PARAMETER"), float(env.get("BUS_SECONDS", ASK_SECONDS))
    return SwitchedBus(hub, runtime.log, lambda: parameter(name) if name else env.get("VALKEY_URL"), every=every)


if __name__ == "__main__":
    main()
