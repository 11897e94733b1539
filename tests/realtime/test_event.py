"""Events: what goes in comes out, and what JSON cannot carry never goes in."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.cursor import Cursor
from realtime.errors import Code, RealtimeError
from realtime.event import MAX_DEPTH, Event, NewEvent, digest, loads

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4),
)


@given(json_values)
def test_encoded_event_is_json_with_the_same_data(data: object) -> None:
    """The text that is spliced together equals what a JSON library would have read."""
    event = Event("chat/a", "e1", 7, "note", NewEvent.of("note", data).data_json, 1_700_000_000_123)
    assert json.loads(event.encode(Cursor("e1", 6))) == {
        "topic": "chat/a",
        "seq": 7,
        "epoch": "e1",
        "type": "note",
        "data": data,
        "at": "2023-11-14T22:13:20.123Z",
        "prev": "e1-6",
    }


@pytest.mark.parametrize("type", ["", "a b", "x\ny", "é", "a" * 65, "-a", "reset", "reconnect", "error", "open"])
def test_type_that_would_confuse_a_stream_is_refused(type: str) -> None:
    """SSE puts the type on a line of its own, and keeps four names for itself."""
    with pytest.raises(RealtimeError) as refused:
        NewEvent.of(type, None)
    assert refused.value.code is Code.INVALID


@pytest.mark.parametrize("data", [float("nan"), float("inf"), "\ud800", {"a": "\udfff"}, {1, 2}])
def test_data_that_json_cannot_carry_is_refused(data: object) -> None:
    """NaN, infinities and half a surrogate pair would break a reader or the store."""
    with pytest.raises(RealtimeError):
        NewEvent.of("note", data)


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"NaN", b"[Infinity]", b"\xff", b'"\xed\xa0\x80"', b"1" * 5000, b"[" * 100_000, b"[" * 40 + b"]" * 40, b'{"a":' * 5000],
)
def test_body_that_is_not_plain_json_is_refused(raw: bytes) -> None:
    """Endless nesting, huge numbers and bytes that are not UTF-8 are `invalid`, not a failure."""
    with pytest.raises(RealtimeError) as refused:
        loads(raw)
    assert refused.value.code is Code.INVALID


def test_nesting_is_allowed_up_to_the_limit() -> None:
    """MAX_DEPTH levels pass."""
    assert loads(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)


def test_digest_does_not_depend_on_the_order_of_keys() -> None:
    """A client that repeats a body may write its keys in another order."""
    assert digest([NewEvent.of("t", {"a": 1, "b": 2})]) == digest([NewEvent.of("t", {"b": 2, "a": 1})])
    assert digest([NewEvent.of("t", {"a": 1})]) != digest([NewEvent.of("u", {"a": 1})])
