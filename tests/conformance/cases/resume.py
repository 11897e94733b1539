"""Going on after an id: exactly what follows, in order, once."""

import time
from concurrent.futures import ThreadPoolExecutor
from random import Random
from threading import Semaphore
from typing import Any

from tests.conformance.case import CONTRACT, HTML, Run, case
from tests.conformance.client import SECONDS

HISTORY = 50
JOINERS = 20
PUBLISHED = 200


@case(f"{HTML} 9.2.4", "publish resume")
def last_event_id_goes_on_from_there(run: Run) -> None:
    """From each of 50 positions: exactly what follows, in order, once."""
    before, ids = run.history(HISTORY)
    for position, cursor in enumerate([before, *ids[:-1]]):
        stream = run.open(after=cursor)
        got = run.wait(stream, HISTORY - position)
        assert got == list(range(position, HISTORY)), f"after {cursor} came {got}"
        stream.close()


@case(CONTRACT, "publish resume")
def what_was_missed_comes_before_what_is_new(run: Run) -> None:
    """Events published while the client was away are not lost, and the stream then goes on live."""
    stream = run.listen()
    cursor = stream.parser.last_id
    stream.close()
    for n in range(5):
        run.publish(n)
    back = run.open(after=cursor)
    run.wait(back, 5)
    run.publish(5)
    assert run.wait(back, 6) == [0, 1, 2, 3, 4, 5]


@case(CONTRACT, "publish resume")
def the_newest_id_repeats_nothing(run: Run) -> None:
    """Whoever has everything gets what comes next, and only that."""
    _, ids = run.history(3)
    back = run.open(after=ids[-1])
    back.read_for(0.3)
    assert not run.mine(back), f"came again: {run.numbers(back)}"
    run.publish(3)
    assert run.wait(back, 1) == [3]


@case(CONTRACT, "publish resume")
def joining_while_events_are_published_loses_nothing(run: Run) -> None:
    """20 readers come at random moments of a burst, half with an id: each sees a run without a hole, a repeat or a swap."""
    with run.listen() as stream:
        begin = stream.parser.last_id
    random = Random(run.token)
    delays = [random.uniform(0, 0.6) for _ in range(JOINERS)]
    joined = Semaphore(0)
    with ThreadPoolExecutor(JOINERS) as pool:
        readers = [pool.submit(_join, run, delay, begin if n % 2 else None, joined) for n, delay in enumerate(delays)]
        _burst(run, joined)
        for reader in readers:
            got, after = reader.result()
            assert got, "a reader saw nothing"
            first = 0 if after else got[0]
            assert got == list(range(first, PUBLISHED)), f"after {after}: {_first_fault(got, first)}"


@case(f"{HTML} 9.2.3, 9.2.4", "publish")
def an_empty_last_event_id_is_none(run: Run) -> None:
    """The header's grammar admits it, and a client without an id means nothing by it."""
    stream = run.listen(after="")
    run.publish(1)
    assert run.wait(stream, 1) == [1]
    assert not [event for event in stream.events if event.type == "reset"], "it was answered by a reset"


@case(CONTRACT, "publish resume after")
def after_in_the_query_goes_on_from_there(run: Run) -> None:
    """For the first connection of a client whose state came by another way."""
    _, ids = run.history(4)
    stream = run.open(run.target.stream.with_query(after=ids[1]))
    assert run.wait(stream, 2) == [2, 3]


@case(CONTRACT, "publish resume after")
def the_header_wins_over_the_query(run: Run) -> None:
    """EventSource comes back to the same URL, whose `after` is by then old."""
    _, ids = run.history(4)
    stream = run.open(run.target.stream.with_query(after=ids[0]), after=ids[2])
    run.wait(stream, 1)
    stream.read_for(0.2)
    assert run.numbers(stream) == [3], f"came {run.numbers(stream)}"


@case(CONTRACT, "refuse")
def a_broken_id_is_refused(run: Run) -> None:
    """400 before a stream begins: a program sees its mistake, and no client comes back with it for ever."""
    for cursor in ("!", "a b", "1", "-", "x" * 3000, "a-1.b-2.c-3", "a--1", "abc-01", "abc-1e3", "1-99999999999999999999"):
        stream = run.request(headers={"Last-Event-ID": cursor})
        assert stream.head.status == 400, f"status for {cursor[:20]!r} is {stream.head.status}"
        stream.answer()
        stream.close()


@case(CONTRACT, "publish reset envelope")
def an_id_of_another_life_is_reset(run: Run) -> None:
    """`event: reset`, then live: its events are gone, and the client has to load its state anew."""
    _, ids = run.history(1)
    _resets(run, f"zz9-{ids[0].rpartition('-')[2]}")


@case(CONTRACT, "publish reset envelope")
def an_id_of_the_future_is_reset(run: Run) -> None:
    """The same for an id that has not been given out: it must not be waited for in silence."""
    _, ids = run.history(1)
    epoch, _, seq = ids[0].rpartition("-")
    _resets(run, f"{epoch}-{int(seq) + 1000}")


@case(CONTRACT, "publish resume several publish_other")
def several_topics_share_a_stream(run: Run) -> None:
    """Its id stands for all of them: whoever comes back with it misses nothing of any, and gets nothing twice."""
    stream = run.listen(run.target.several)
    run.publish("hello", by=run.target.publish_other)
    for n in range(10):
        run.publish(n, by=run.target.publish_other if n % 2 else None)
    assert run.wait(stream, 10) == list(range(10))
    ids = [event.id for event, payload in run.mine(stream) if payload["n"] != "hello"]
    for position, cursor in enumerate(ids[:-1]):
        back = run.open(run.target.several, after=cursor)
        rest = list(range(position + 1, 10))
        got = run.wait(back, len(rest))
        assert sorted(got) == rest, f"after {cursor} came {got}"  # each topic in order; which topic is first is open
        assert [n for n in got if n % 2] == [n for n in rest if n % 2], f"out of order: {got}"
        assert [n for n in got if not n % 2] == [n for n in rest if not n % 2], f"out of order: {got}"
        assert back.parser.last_id == ids[-1], f"the id at the end is {back.parser.last_id}, not {ids[-1]}"
        back.close()


def _join(run: Run, delay: float, after: str | None, joined: Semaphore) -> tuple[list[Any], str | None]:
    time.sleep(delay)
    try:
        stream = run.open(after=after)
    finally:
        joined.release()
    stream.until(lambda: PUBLISHED - 1 in run.numbers(stream)[-1:], "the last event of the burst", 15)
    return run.numbers(stream), after


def _burst(run: Run, joined: Semaphore) -> None:
    """As fast as the server takes them, one after the other; the last one when all have joined."""
    for n in range(PUBLISHED - 1):
        run.publish(n)
    for _ in range(JOINERS):
        joined.acquire(timeout=SECONDS)
    time.sleep(0.3)
    run.publish(PUBLISHED - 1)


def _first_fault(got: list[Any], first: int) -> str:
    at = next((i for i, n in enumerate(got) if n != first + i), len(got))
    return f"{got[max(0, at - 2) : at + 3]} around position {at}"


def _resets(run: Run, cursor: str) -> None:
    stream = run.open(after=cursor)
    stream.until(lambda: any(event.type == "reset" for event in stream.events), "event: reset")
    run.publish(7)
    assert run.wait(stream, 1)[-1] == 7
    assert [event.type for event in stream.events].count("reset") == 1, "more than one reset"
    reset = next(event for event in stream.events if event.type == "reset")
    assert reset.id != cursor, "the reset leaves the client with the id that cannot be honoured"
    assert run.wait(run.open(after=reset.id), 1)[-1] == 7, "the id of the reset cannot be resumed"
