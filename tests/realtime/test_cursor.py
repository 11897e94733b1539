"""Cursors: what was given out comes back, anything else is a clear error."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.cursor import Cursor
from realtime.errors import Code, RealtimeError


@given(st.from_regex(r"[0-9a-z]{1,16}", fullmatch=True), st.integers(0, 10**15))
def test_cursor_survives_the_wire(epoch: str, seq: int) -> None:
    """parse is the inverse of str."""
    assert Cursor.parse(str(Cursor(epoch, seq))) == Cursor(epoch, seq)


@pytest.mark.parametrize("text", ["", "5", "a-", "-5", "a-05", "a--5", "A-5", "a-5 ", "a-5\n", "a-٣", "a-99999999999999999", "é-1"])
def test_broken_cursor_is_refused(text: str) -> None:
    """A cursor that we never gave out is invalid_cursor."""
    with pytest.raises(RealtimeError) as refused:
        Cursor.parse(text)
    assert refused.value.code is Code.INVALID_CURSOR


@given(st.text(max_size=40))
def test_no_text_breaks_the_parser(text: str) -> None:
    """Any text is either a cursor that prints as itself, or refused."""
    try:
        assert str(Cursor.parse(text)) == text
    except RealtimeError as error:
        assert error.code is Code.INVALID_CURSOR
