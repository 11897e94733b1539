"""The page's card of answers in Chromium: it shows what the log has, each piece once, whatever ends its connections."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from tests.browser.asking import Card, asking, words


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with asking() as url:
        yield url


@pytest.fixture
def card(page: Page, url: str) -> Card:
    return Card(page, url)


def test_answer_grows_as_it_is_written(card: Card) -> None:
    """Piece by piece, over one connection. A screen reader waits for the whole; at the end it is what the log has."""
    card.ask()
    card.until_pieces(20)
    assert (card.fact("state"), card.busy) == ("live", "true")
    card.until("state", "done")
    logged = card.logged()
    assert (card.text, card.busy) == (words(logged), "false")
    assert len(card.seen()) > 30  # the log has it in seven batches
    assert card.fact("tokens") == f"5 in, {logged[-1]['data']['output_tokens']} out"
    assert (card.fact("resumed"), card.errors) == ("0", [])


def test_cut_connection_loses_nothing(card: Card) -> None:
    """It is resumed; and again when the server ends that stream with `reconnect`."""
    card.ask()
    card.until_pieces(30)
    card.press("Cut the connection")
    card.until_problem("the connection was cut")
    card.until("state", "done")
    assert card.text == card.seen()[-1] == words(card.logged())
    assert int(card.fact("resumed")) >= 2
    assert card.errors == []


def test_stop_ends_it(card: Card) -> None:
    """Within a batch, of which none is older than two seconds. The text stays."""
    card.ask()
    card.until_pieces(10)
    card.press("Stop")
    card.until("state", "cancelled", 5_000)
    logged = card.logged()
    assert logged[-1]["type"] == "cancelled"
    assert 5 < len(card.text.split()) < 200
    assert card.text.startswith(words(logged))
    assert card.errors == []


def test_lost_question_is_repeated(page: Page, card: Card) -> None:
    """With its key: had the service got it, there would still be one answer."""
    page.route("**/answers", lambda route: route.abort(), times=1)
    card.ask()
    card.until_pieces(1)
    keys = [request.headers["idempotency-key"] for request in card.requests if request.method == "POST"]
    assert keys == [keys[0]] * 2


def test_next_question_stops_the_answer_before(card: Card) -> None:
    """Nobody waits for it any more, and a client that leaves stops nothing."""
    card.ask()
    card.until_pieces(10)
    card.ask("And what is a cursor?")
    card.until_pieces(1)
    assert [request.method for request in card.requests if "/answers" in request.url and request.method != "GET"] == [
        "POST",
        "DELETE",
        "POST",
    ]


def test_blocks_are_read_however_they_are_cut(page: Page, url: str) -> None:
    """Both line ends, several lines of data, a comment, a block without data, a colon in a value; an unfinished block is none."""
    text = ": hi\n\nretry: 5\r\nid: e-1\r\n\r\nevent: text\ndata: {a\u2028:\ndata:b}\n\ndata: cut"
    page.goto(url)
    read = """async ([text, size]) => {
        const { blocks } = await import("/clients/sse.js"), got = [], write = blocks(block => got.push(block))
        for (let at = 0; at < text.length; at += size) write(text.slice(at, at + size))
        return got
    }"""
    for size in (1, 2, 3, 7, len(text)):
        got = page.evaluate(read, [text, size])
        assert got == [{"": "hi"}, {"retry": "5", "id": "e-1"}, {"event": "text", "data": "{a\u2028:\nb}"}], size
