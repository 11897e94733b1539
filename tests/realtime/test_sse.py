"""The format of Server-Sent Events, byte by byte."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime import sse
from realtime.cursor import Cursor
from realtime.errors import Code, RealtimeError
from realtime.event import Event

EVENT = Event("chat/lobby", "e1", 7, "message", '{"text":"hé\\n"}', 1_800_000_000_000)


def test_event_is_id_type_and_one_line_of_data() -> None:
    """And the blank line that dispatches it; characters beyond ASCII as they are."""
    chunk = sse.identified("e1-7", sse.body(EVENT, Cursor("e1", 6)))
    head, _, data = chunk.decode().partition("data: ")
    assert head == "id: e1-7\nevent: message\n"
    assert data.endswith("\n\n")
    assert json.loads(data)["data"] == {"text": "hé\n"}


@pytest.mark.parametrize(
    ("chunk", "bytes_"),
    [
        (sse.HEARTBEAT, b":\n\n"),
        (sse.retry(2345), b"retry: 2345\n\n"),
        (sse.reset("news", "e1-7"), b'id: e1-7\nevent: reset\ndata: {"topic":"news"}\n\n'),
        (sse.reconnect(400), b'event: reconnect\nretry: 400\ndata: {"after_ms":400}\n\n'),
        (sse.error(RealtimeError(Code.EXPIRED, "gone")), b'event: error\ndata: {"code":"expired","message":"gone"}\n\n'),
    ],
)
def test_control_events(chunk: bytes, bytes_: bytes) -> None:
    """As the wire contract has them."""
    assert chunk == bytes_


@given(st.lists(st.builds(Cursor, st.text("0123456789abcdef", min_size=1, max_size=12), st.integers(0, 10**15)), min_size=1, max_size=20))
def test_id_brings_all_cursors_back(cursors: list[Cursor]) -> None:
    """In the order of the stream's topics."""
    assert sse.split(sse.join(cursors), len(cursors)) == cursors


def test_star_is_a_topic_without_a_cursor() -> None:
    """In any place, also alone."""
    assert sse.split("e1-1.*.e3-3", 3) == [Cursor("e1", 1), None, Cursor("e3", 3)]
    assert sse.split("*", 1) == [None]


@pytest.mark.parametrize("id", ["", "e1", "e1-1.e2-2.e3-3", "e1-1.", "e1-1.\x00-2", "e1-1 e2-2"])
def test_other_ids_are_refused(id: str) -> None:
    """Of another stream, or made up."""
    with pytest.raises(RealtimeError) as refused:
        sse.split(id, 2)
    assert refused.value.code is Code.INVALID_CURSOR
