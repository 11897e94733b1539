"""The parser against the rules of WHATWG HTML 9.2.5 and 9.2.6, as a table of bytes; and in pieces of any size."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conformance.parser import Comment, Event, Item, Parser, Retry

DATA = ("data",)

TABLE: list[tuple[str, bytes, list[Item]]] = [
    ("LF", b"data: a\n\n", [Event("message", "a", "", DATA)]),
    ("CR", b"data: a\r\r", [Event("message", "a", "", DATA)]),
    ("CRLF", b"data: a\r\n\r\n", [Event("message", "a", "", DATA)]),
    ("mixed line ends", b"data: a\rdata: b\r\n\n", [Event("message", "a\nb", "", DATA * 2)]),
    ("BOM", b"\xef\xbb\xbfdata: a\n\n", [Event("message", "a", "", DATA)]),
    ("only the first BOM", b"\n\xef\xbb\xbfdata: a\n\n", []),
    ("no space", b"data:a\n\n", [Event("message", "a", "", DATA)]),
    ("one space is removed", b"data:  a \n\n", [Event("message", " a ", "", DATA)]),
    ("a tab is not", b"data:\ta\n\n", [Event("message", "\ta", "", DATA)]),
    ("colons in the value", b"data: a: b\n\n", [Event("message", "a: b", "", DATA)]),
    ("field without colon", b"data\n\n", [Event("message", "", "", DATA)]),
    ("two of them", b"data\ndata\n\n", [Event("message", "\n", "", DATA * 2)]),
    ("no data, no event", b"event: a\nid: 1\n\n", []),
    ("the type does not last", b"event: a\n\ndata: b\n\n", [Event("message", "b", "", DATA)]),
    ("the id lasts", b"id: 1\n\ndata: b\n\n", [Event("message", "b", "1", DATA)]),
    ("an empty id clears it", b"id: 1\n\nid\ndata: b\n\n", [Event("message", "b", "", ("id", "data"))]),
    ("NUL in an id", b"id: 1\0\ndata: b\n\n", [Event("message", "b", "", ("id", "data"))]),
    ("the last type", b"event: a\nevent: b\ndata: c\n\n", [Event("b", "c", "", ("event", "event", "data"))]),
    ("names are exact", b"Data: a\n data: b\n\n", []),
    ("unknown field", b"foo: a\ndata: b\n\n", [Event("message", "b", "", ("foo", "data"))]),
    ("retry", b"retry: 0250\n", [Retry(250)]),
    ("retry, not digits", b"retry: 2.5\nretry:\nretry: -1\nretry: +1\nretry:  1\nretry: \xd9\xa3\n", []),
    ("comments", b": a\n:\n\n", [Comment(" a"), Comment("")]),
    ("no blank line at the end", b"data: a\n", []),
    ("bad UTF-8", b"data: \xff\xe2\x82\n\n", [Event("message", "\ufffd\ufffd", "", DATA)]),
    ("other line ends are data", "data: a\u2028b\x0bc\x85\n\n".encode(), [Event("message", "a\u2028b\x0bc\x85", "", DATA)]),
]


@pytest.mark.parametrize(("stream", "items"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_rules(stream: bytes, items: list[Item]) -> None:
    """Each rule gives these events."""
    assert Parser().feed(stream) == items


def test_what_a_client_ignores_is_kept() -> None:
    """Unknown fields, a bad retry and an id with NUL are reported; so is what the end of the stream cuts off."""
    parser = Parser()
    parser.feed(b"foo\nretry: x\nid: \0\ndata: a\ndat")
    assert parser.ignored == [b"foo", b"retry: x", b"id: \0"]
    assert (parser.pending, parser.unterminated) == (("foo", "retry", "id", "data"), b"dat")


LINES = [b"data: a", b"data", b"id: 1", b"id", b"event: e", b"retry: 5", b":", b"x", b"\xef\xbb\xbf", "é😀\u2028".encode()]
STREAMS = st.lists(st.one_of(st.sampled_from(LINES), st.sampled_from([b"\n", b"\r", b"\r\n"]), st.binary(max_size=4))).map(b"".join)


@given(STREAMS, st.data())
def test_pieces_change_nothing(stream: bytes, draw: st.DataObject) -> None:
    """However the network cuts a stream, the same events come out."""
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(stream)))))
    parser, whole = Parser(), Parser()
    pieces = [stream[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert [item for piece in pieces for item in parser.feed(piece)] == whole.feed(stream)
    assert (parser.last_id, parser.unterminated) == (whole.last_id, whole.unterminated)


@given(STREAMS)
def test_line_ends_are_alike(stream: bytes) -> None:
    """CR, LF and CRLF mean the same."""
    expected = Parser().feed(stream)
    for end in (b"\n", b"\r", b"\r\n"):
        assert Parser().feed(end.join(re.split(rb"\r\n|\r|\n", stream))) == expected
