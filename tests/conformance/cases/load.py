"""Clients that behave badly, and the others beside them."""

import time

from tests.conformance.case import CONTRACT, Run, case
from tests.conformance.client import Stream

FLOOD_BYTES = 8 * 1024 * 1024
"""More than the kernels' buffers of one connection take on either side, so that a server has to show what it does with the rest."""

SMALL_BUFFER = 4096
PROMPT_SECONDS = 1.0


@case(CONTRACT, "publish resume bounded")
def a_reader_that_does_not_read_is_closed(run: Run) -> None:
    """It is not buffered for without end, others get their events meanwhile, and its id brings it back with nothing lost."""
    frozen, prompt = run.listen(buffer=SMALL_BUFFER), run.listen()
    published = _flood(run, prompt)
    assert _slowest(run, prompt) < PROMPT_SECONDS, f"beside it an event took {_slowest(run, prompt):.1f} s"
    frozen.read_for(2)
    got = run.numbers(frozen)
    assert frozen.closed, f"after {FLOOD_BYTES >> 20} MB it is still open, and {len(got)} of {published} events were kept for it"
    back = run.open(after=frozen.parser.last_id)
    run.wait(back, published - len(got), 15)
    assert got + run.numbers(back) == list(range(published)), f"{len(got)} before, {len(run.numbers(back))} after, {published} published"


@case("RFC 9112 9.6", "publish")
def a_half_closed_client_is_served_or_closed(run: Run) -> None:
    """A client that has shut its sending side gets the next events, or a proper end; never silence."""
    stream = run.listen()
    stream.half_close()
    stream.read_for(0.2)
    if not stream.closed:
        run.publish(1)
        stream.until(lambda: stream.closed or bool(run.numbers(stream)), "an event, or the end")


@case(CONTRACT, "publish")
def clients_that_vanish_disturb_nobody(run: Run) -> None:
    """50 of them, by RST, before, at and after the first byte: whoever stays gets every event."""
    stream = run.listen()
    for n in range(50):
        other = run.request()
        if n % 3:
            other.begin()
        other.reset()
        if n % 10 == 0:
            run.publish(n)
    assert run.wait(stream, 5) == [0, 10, 20, 30, 40]


@case(CONTRACT, "publish")
def readers_get_the_same(run: Run) -> None:
    """Five readers of one topic: the same events with the same ids, in the same order."""
    streams = [run.listen() for _ in range(5)]
    for n in range(10):
        run.publish(n)
    seen = []
    for stream in streams:
        run.wait(stream, 10)
        seen.append([(event.id, event.data) for event, payload in run.mine(stream) if payload["n"] != "hello"])
    assert all(one == seen[0] for one in seen), "they differ"


def _flood(run: Run, prompt: Stream) -> int:
    """Publish until there is more than fits anywhere; `sent` is read back from each event. Returns how many it took."""
    fill = "x" * (run.target.size - 200)
    number = FLOOD_BYTES // run.target.size
    for n in range(number):
        run.publish(n, fill=fill, sent=time.monotonic() - prompt.began)
        prompt.read_for(0.001)
    run.wait(prompt, number, 15)
    return number


def _slowest(run: Run, stream: Stream) -> float:
    """The longest way of an event, in seconds."""
    came: dict[int, float] = {id(item): at for at, item in stream.items}
    return max(came[id(event)] - float(payload["sent"]) for event, payload in run.mine(stream) if "sent" in payload)
