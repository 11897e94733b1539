"""HTTP/1.1 framing, accepted and refused as RFC 9112 says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conformance.client import Place
from tests.conformance.http1 import Chunks, ProtocolError, parse_head


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/2 200 OK",
        b"HTTP/1.1 20 OK",
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\nName : value",
        b"HTTP/1.1 200 OK\r\nName: a\r\n folded",
        b"HTTP/1.1 200 OK\nName: value",
        b"HTTP/1.1 200 OK\r\nName: a\0b",
        b"HTTP/1.1 200 OK\r\n: value",
    ],
)
def test_bad_heads(head: bytes) -> None:
    """Lenient clients accept some of these; a server must not send them."""
    with pytest.raises(ProtocolError):
        parse_head(head)


def test_good_head() -> None:
    """Names in lower case, values without the space around them, lists joined."""
    head = parse_head(b"HTTP/1.1 200 \r\nCache-Control:  no-store \r\nCACHE-CONTROL: No-Transform\r\nX:\r\nY: a b")
    assert (head.status, head.tokens("cache-control")) == (200, {"no-store", "no-transform"})
    assert (head.get("x"), head.get("y"), head.get("z")) == ("", "a b", None)


@pytest.mark.parametrize(
    "body", [b"3\nabc\r\n", b"3\r\nabcd\r\n", b"3\r\nabc\n", b"x\r\n", b"\r\n", b"-1\r\n", b" 3\r\nabc\r\n", b"0\r\n\r\nmore"]
)
def test_bad_chunks(body: bytes) -> None:
    """A wrong size, a missing CRLF, and anything after the last chunk."""
    with pytest.raises(ProtocolError):
        Chunks().feed(body)


@given(st.lists(st.binary(min_size=1)), st.booleans(), st.data())
def test_chunks_in_any_pieces(parts: list[bytes], last: bool, draw: st.DataObject) -> None:
    """However the network cuts them, the data comes out, and the end is seen."""
    raw = b"".join(b"%x;note=1\r\n%b\r\n" % (len(part), part) for part in parts) + (b"00\r\nTrailer: x\r\n\r\n" if last else b"")
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(raw)))))
    chunks = Chunks()
    pieces = [raw[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    assert b"".join(chunks.feed(piece) for piece in pieces) == b"".join(parts)
    assert (chunks.finished, chunks.sizes) == (last, [len(part) for part in parts])


def test_place_with_header_fields() -> None:
    """A URL may bring header fields; what is no URL is refused."""
    place = Place.parse("https://a.example:8443/x?y=1 | Authorization: Bearer z | A: b:c")
    assert place == Place("https://a.example:8443/x?y=1", {"Authorization": "Bearer z", "A": "b:c"})
    assert place.with_query(after="a 1").target == "/x?y=1&after=a+1"
    for wrong in ("a.example/x", "ftp://a.example", "http://a.example | nothing"):
        with pytest.raises(ValueError, match="not a"):
            Place.parse(wrong)
