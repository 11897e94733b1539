"""Conditional GET, RFC 9110 section 13, corner by corner."""

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.conditional import entity_tags, last_modified, not_modified

NOW = 1_800_000_000.0


def match(header: str) -> bool:
    return not_modified("e-5", None, header, None, NOW)


@pytest.mark.parametrize("header", ['"e-5"', 'W/"e-5"', '"a", "e-5"', '"a",W/"e-5" , "b"', "*", " * ", ' "e-5"', '"with,comma", "e-5"'])
def test_matching_tag_is_not_modified(header: str) -> None:
    """Weak comparison, lists, commas inside of tags, and the asterisk."""
    assert match(header)


@pytest.mark.parametrize("header", ["e-5", '"e-6"', '""', "", '"e-5', '"e-5" x', '"e-5""e-5"', 'w/"e-5"', "**", ',"e-5"x', '"E-5"'])
def test_other_or_broken_tag_gets_the_full_answer(header: str) -> None:
    """An unquoted tag, a broken list or another tag never matches."""
    assert not match(header)


def test_etag_wins_over_the_date() -> None:
    """With both sent, the date is not looked at (RFC 9110 13.1.3)."""
    date = formatdate(NOW - 100, usegmt=True)
    assert not not_modified("e-5", date, '"e-4"', date, NOW)
    assert not_modified("e-5", date, '"e-5"', formatdate(0, usegmt=True), NOW)


@pytest.mark.parametrize("date", ["", "yesterday", "Wed, 99 Nov 2026 00:00:00 GMT", formatdate(NOW + 60, usegmt=True)])
def test_date_that_is_broken_or_in_the_future_is_ignored(date: str) -> None:
    """RFC 9110 13.1.3: an invalid date is no condition; a client whose clock runs fast pays a full answer."""
    assert not not_modified("e-5", formatdate(NOW - 100, usegmt=True), None, date, NOW)


def test_date_is_not_offered_while_its_second_can_bring_another_change() -> None:
    """Two changes in one second: neither gets a date before the second is over."""
    at_ms = int(NOW * 1000) + 200
    assert last_modified(at_ms, NOW + 1.9) is None
    assert last_modified(at_ms, NOW + 2.0) == formatdate(NOW + 1, usegmt=True)


@given(st.floats(0, 3), st.floats(0, 3), st.floats(0, 6))
def test_date_never_hides_a_change(first: float, gap: float, wait: float) -> None:
    """Whoever fetched before a change, and sends back the date or the Date that it was given, gets the change."""
    change, fetched = NOW + first + gap, NOW + first
    seen = last_modified(int((NOW + first / 2) * 1000), fetched) or formatdate(int(fetched), usegmt=True)
    later = change + wait
    if int(change * 1000) > int(fetched * 1000):
        assert not not_modified("x", last_modified(int(change * 1000), later), None, seen, later)


@given(st.text(max_size=60))
def test_no_header_breaks_the_parser(header: str) -> None:
    """Whatever a client sends, the answer is a list or None."""
    tags = entity_tags(header)
    assert tags is None or all(isinstance(tag, str) for tag in tags)


@given(st.lists(st.from_regex(r"[!#-~]{0,8}", fullmatch=True), min_size=1, max_size=5), st.booleans())
def test_list_of_tags_is_read_whole(tags: list[str], weak: bool) -> None:
    """Every tag of a well-formed list is found."""
    assert entity_tags(", ".join(f'{"W/" if weak else ""}"{tag}"' for tag in tags)) == tags


def test_long_header_costs_no_time() -> None:
    """A list is read once through, and only so far: white space without end is refused at once."""
    assert entity_tags("x" + " " * 1_000_000 + "x") is None
    assert entity_tags('"a"' + " " * 1_000_000 + "x") is None
    assert entity_tags(", ".join(['"a"'] * 100_000)) is None
