"""How a server ends a stream. These run last."""

import time

from tests.conformance.case import CONTRACT, HTML, Run, case
from tests.conformance.client import Place, Stream

DRAIN_SECONDS = 10.0
READERS = 20


@case(CONTRACT, "publish resume rotation reconnect")
def a_planned_close_is_announced(run: Run) -> None:
    """`event: reconnect` with a `retry`, the last chunk, and the end of the connection."""
    assert run.target.rotation
    stream = run.open()
    stream.rest(run.target.rotation + 5)
    _was_sent_away(stream)


@case(f"{CONTRACT}, {HTML} 9.2.4", "publish resume rotation reconnect")
def a_planned_close_costs_nothing(run: Run) -> None:
    """Two of them in a row: coming back with the id, also after the wait that was asked for, shows every event once."""
    assert run.target.rotation
    stream, got, n = run.listen(), [], 0
    for _ in range(2):
        while not stream.closed:
            run.publish(n)
            n += 1
            stream.read_for(0.05)
        got += run.numbers(stream)
        run.publish(n)
        n += 1
        stream = run.open(after=stream.parser.last_id)
    run.publish("end")
    got += run.wait(stream, n - len(got) + 1)
    assert got == [*range(n), "end"], f"{n} were published, {len(got) - 1} came"


@case(CONTRACT, "stop reconnect")
def a_server_that_ends_sends_its_readers_away(run: Run) -> None:
    """Each gets `event: reconnect`, and is told another time to come back; new streams are not granted."""
    assert run.target.stop
    streams = [run.open() for _ in range(READERS)]
    for stream in streams:
        stream.begin()
    time.sleep(0.2)
    run.target.stop()
    for stream in streams:
        stream.rest(DRAIN_SECONDS)
        _was_sent_away(stream)
    waits = {stream.retries[-1] for stream in streams}
    assert len(waits) > READERS // 2, f"{READERS} readers come back after {sorted(waits)} ms"
    assert not _answers(run.target.stream), "new streams are still granted"


def _was_sent_away(stream: Stream) -> None:
    kinds = [event.type for event in stream.events]
    assert kinds[-1:] == ["reconnect"], f"the last event is {kinds[-1:]}, the last bytes {stream.raw[-80:]!r}"
    assert "retry" in stream.events[-1].fields, "the reconnect has no retry"
    assert stream.finished, f"the last chunk is missing: {stream.raw[-40:]!r}"
    assert not stream.parser.pending, f"an event was cut off: {stream.parser.pending}"


def _answers(place: Place) -> bool:
    """Whether a new stream is still granted: one that is sent away at once is not."""
    try:
        with Stream(place) as stream:
            stream.read_for(1)
            return stream.head.status == 200 and not stream.closed
    except (OSError, AssertionError):
        return False
