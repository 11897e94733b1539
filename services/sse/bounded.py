"""`python -m services.sse.bounded --port N`: the streams of SseLambdaStack, in a Lambda behind the Web Adapter.

Python cannot stream a Lambda's response by itself: the adapter passes on what this server writes. An environment has one
request at a time and is frozen in between. A client that leaves is not seen, and its time is billed: so each stream ends after
the feature's `stream` seconds, and the client comes back with its cursor. What it costs while it is open: half a read unit per
topic each half of their lowest `latency`, in one call, and what is new most often comes with that.
"""

import argparse
import os
import random
from collections.abc import Collection, Sequence
from functools import partial

from fastapi import FastAPI

from realtime import answers
from realtime.bus_log import INTERVAL_SECONDS, LogBus
from realtime.cursor import Cursor
from realtime.features import ANSWERS, Topic, answered
from realtime.hub import Hub
from realtime.log import Log
from realtime.runtime import Runtime
from services.sse.app import allow_origins, assembled
from services.sse.server import Server
from services.sse.stream import Draining, Manners

SHORTEST = 0.8
"""Of a stream's seconds: they differ, so that clients who came together do not come back together."""

MAX_INTERVAL_SECONDS = 5.0


def create_app(runtime: Runtime, hub: Hub, bus: LogBus, model: answers.Model | None = None) -> FastAPI:
    """Bounded streams; with a model, answers too."""
    draining, manners, routers = Draining(), Manners("lambda", lifetime, partial(over, runtime.log)), []
    if model:
        from services.sse.answers import router  # noqa: PLC0415 - no cold start without answers pays for it

        routers = [router(runtime, hub, draining, manners, model)]
    return assembled(runtime, hub, bus, routers, manners, draining)


def lifetime(topics: Sequence[Topic]) -> float:
    """How many seconds a stream of these topics lives."""
    return min(topic.feature.stream for topic in topics) * random.uniform(SHORTEST, 1)  # noqa: S311 - jitter


def over(log: Log, topic: Topic, cursor: Cursor | None) -> bool:
    """Whether nothing will come after the cursor, or without one: an answer has ended."""
    return answered(topic.feature) and answers.over(log, topic, cursor)


def interval(topics: Collection[Topic]) -> float:
    """How often the log is looked at for these topics: twice within the lowest latency."""
    lowest = min((topic.feature.latency for topic in topics), default=0.0)
    return min(MAX_INTERVAL_SECONDS, max(INTERVAL_SECONDS, lowest / 2))


def model_of(runtime: Runtime, name: str | None) -> answers.Model | None:
    """The model that the environment names, if any feature needs one."""
    if name is None or ANSWERS not in runtime.features or not answered(runtime.features[ANSWERS]):
        return None
    if name == "ngram":
        from realtime.ngram import Ngram  # noqa: PLC0415 - each brings what the other does not need

        return Ngram()
    from realtime.bedrock import Bedrock  # noqa: PLC0415

    return Bedrock(name)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m services.sse.bounded", description=__doc__)
    parser.add_argument("--port", type=int, default=8080)
    chosen = parser.parse_args()
    env = os.environ
    runtime = Runtime.from_env(env)
    hub = Hub(runtime.log, answers.last)
    bus = LogBus(hub, runtime.log, interval=interval)
    app = create_app(runtime, hub, bus, model_of(runtime, env.get("MODEL")))
    allow_origins(app, env)
    Server(app, hub, "127.0.0.1", chosen.port).run()


if __name__ == "__main__":
    main()
