"""`python -m tests.browser.bounded`: as services.sse.bounded with a shorter clock; streams that are resumed end after some 0.3 s."""

from collections.abc import Sequence

from realtime import hub
from realtime.features import Topic
from realtime.ngram import Ngram
from realtime.runtime import Runtime
from services.sse import bounded, stream


def lifetime(topics: Sequence[Topic]) -> float:
    return 0.3


def model_of(runtime: Runtime, name: str | None) -> Ngram:
    return Ngram(pace=75)


hub._TURN_SECONDS = 0.1
stream.RETRY_MS = (200, 600)
bounded.lifetime = lifetime
bounded.model_of = model_of

if __name__ == "__main__":
    bounded.main()
