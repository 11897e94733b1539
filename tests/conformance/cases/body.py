"""The stream's bytes: framing, lines, fields, heartbeats, and that data arrives unharmed."""

import json
from typing import Any

from tests.conformance.case import CONTRACT, HTML, Run, case
from tests.conformance.client import Stream

HEARTBEAT_SLACK = 1.25
"""Share of the time that a heartbeat may be late."""

TEXTS = {
    "lines": "one\ntwo\r\nthree\rfour\n\nsix",
    "colons and spaces": ": a\n data: b: \n",
    "other planes": "é 漢字 \U0001f468\u200d\U0001f469\u200d\U0001f467 \U0010fffd \ufeff",
    "ends of lines elsewhere": "a\u2028b\u2029c\x85d\x0be\x0cf",
    "NUL and DEL": "a\0b\x7f",
    "JSON and HTML": '"\\/</script>&amp;{}[],',
}


@case(f"{HTML} 9.2.5", "publish")
def bytes_are_utf_8(run: Run) -> None:
    """Also where an event has characters of four bytes."""
    stream = run.listen()
    run.publish(1, text="".join(TEXTS.values()))
    run.wait(stream, 1)
    stream.body.decode()


@case(f"{HTML} 9.2.5")
def every_line_is_of_the_format(run: Run) -> None:
    """A comment, or a field that the format knows, with a value that it can have; whatever else a client would ignore."""
    stream = run.listen() if run.target.publish else run.open()
    stream.begin(run.target.heartbeat * HEARTBEAT_SLACK)
    stream.read_for(0.2)
    assert not stream.parser.ignored, f"lines that mean nothing: {stream.parser.ignored[:3]}"
    assert not stream.parser.unterminated, f"a line without an end: {stream.parser.unterminated[:60]!r}"


@case("RFC 9112 7.1", "publish")
def chunks_are_framed(run: Run) -> None:
    """Size in hexadecimal, CRLF, as many bytes, CRLF; an event leaves at once, and not with the next one."""
    stream = run.listen()
    for n in range(5):
        run.publish(n, fill="x" * 10**n if 10**n < run.target.size / 2 else "")
        run.wait(stream, n + 1)
        assert not stream.parser.pending, f"an event without its blank line: {stream.parser.pending}"


@case("RFC 9112 2.2, 9.3")
def bytes_after_the_request_do_no_harm(run: Run) -> None:
    """A pipelined request waits, or ends the stream: its answer must not stand in the middle of it."""
    stream = run.open()
    stream.begin()
    stream.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    stream.read_for(0.3)
    assert b"HTTP/1." not in stream.body, f"an answer in the stream: {stream.body[-80:]!r}"


@case(f"{HTML} 9.2.6", "retry")
def retry_is_told(run: Run) -> None:
    """Only digits, between 0.1 and 60 s."""
    retry = _retry(run)
    assert 100 <= retry <= 60_000, f"retry is {retry} ms"


@case(CONTRACT, "retry")
def retry_differs(run: Run) -> None:
    """Clients of a server that has gone must not all come back in the same instant."""
    values = {_retry(run) for _ in range(8)}
    assert len(values) >= 4, f"eight connections were told {sorted(values)}"


@case(f"{HTML} 9.2.7")
def heartbeat_comes(run: Run) -> None:
    """Every 15 seconds or so a comment, or another line that gives no event, against proxies that drop what is idle; not only once."""
    stream = run.open()
    stream.begin(run.target.heartbeat * HEARTBEAT_SLACK)
    for _ in range(2):
        _beat(stream, run.target.heartbeat * HEARTBEAT_SLACK + 0.5)


@case(CONTRACT, "publish ids")
def event_has_an_id_of_its_own(run: Run) -> None:
    """In its own block, never the same twice, and without a character that a header could not carry back."""
    stream = run.listen()
    for n in range(10):
        run.publish(n)
    run.wait(stream, 10)
    events = [event for event, _ in run.mine(stream)]
    assert all(event.fields.count("id") == 1 for event in events), f"fields are {[event.fields for event in events]}"
    assert len({event.id for event in events}) == len(events), f"ids are {[event.id for event in events]}"
    assert all(event.id.isascii() and event.id.isprintable() and event.id == event.id.strip() for event in events), (
        "an id is no header value"
    )


@case(CONTRACT, "publish envelope")
def data_is_one_json_object(run: Run) -> None:
    """With topic, seq, epoch, type, data, at and prev; id is `epoch-seq`, and prev the id before."""
    stream = run.listen()
    run.publish(0)
    run.publish(1)
    run.wait(stream, 2)
    last = None
    for event, _ in run.mine(stream):
        body: dict[str, Any] = json.loads(event.data)
        assert body.keys() == {"topic", "seq", "epoch", "type", "data", "at", "prev"}, f"its members are {list(body)}"
        assert event.id == f"{body['epoch']}-{body['seq']}", f"id is {event.id}"
        assert event.type == body["type"], f"event is {event.type}, type is {body['type']}"
        assert last in {None, body["prev"]}, f"prev is {body['prev']} after {last}"
        last = event.id


@case(f"{HTML} 9.2.6", "publish")
def text_arrives_unharmed(run: Run) -> None:
    """Line ends, NUL, U+2028, colons, emoji: what was published is what a client reads."""
    stream = run.listen()
    run.publish(1, text=TEXTS)
    run.wait(stream, 1)
    got = run.mine(stream)[-1][1]["text"]
    assert got == TEXTS, f"not as published: {[name for name in TEXTS if got.get(name) != TEXTS[name]]}"


@case(CONTRACT, "publish")
def big_event_arrives(run: Run) -> None:
    """As many bytes as the server takes, in one event, between two small ones."""
    stream = run.listen()
    run.publish(0)
    run.publish(1, fill="é" * ((run.target.size - 100) // 2))
    run.publish(2)
    assert run.wait(stream, 3) == [0, 1, 2]
    fill = run.mine(stream)[-2][1]["fill"]
    assert fill == "é" * ((run.target.size - 100) // 2), f"{len(fill)} characters came"


def _retry(run: Run) -> int:
    stream = run.open()
    stream.until(lambda: bool(stream.retries), "a retry of digits", 1)
    return stream.retries[0]


def _beat(stream: Stream, seconds: float) -> None:
    def beats() -> int:
        return len(stream.comments) + stream.parser.empty

    before = beats()
    stream.until(lambda: beats() > before, "a heartbeat", seconds)
