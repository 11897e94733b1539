"""The running service as other people's HTTP software sees it: REDbot, a browser's CORS, a shared cache."""

import os
import time

import httpx2
import pytest

from bench.edge import nginx
from bench.shared import STALE_SECONDS, shared_polling
from realtime.tokens import issue
from tests import redbot
from tests.helpers import SECRET

FULL = os.environ.get("SOAK") == "full"
FIGURES = {"at": "1997-01-05", "orders": 1, "cds": 2, "revenue": 3.5}


@pytest.fixture(scope="module")
def polled(server: str) -> str:
    """The URL of a topic with an event that is old enough to have a date."""
    headers = {"Authorization": f"Bearer {issue(SECRET, 'job', 60, role='service')}"}
    httpx2.post(f"{server}/topics/metrics/events", json={"type": "figures", "data": FIGURES}, headers=headers).raise_for_status()
    time.sleep(3)
    return f"{server}/topics/metrics"


@pytest.mark.parametrize("query", ["", "?after=0-0"])
def test_redbot_finds_no_error(polled: str, query: str) -> None:
    """REDbot: nothing bad, and both kinds of conditional request work."""
    notes = redbot.run(polled + query)
    assert not [note for note in notes if note.level == "bad"]
    working = {note.subject for note in notes if (note.level, note.category) == ("good", "Validation")}
    assert {"field-etag", "field-last-modified"} <= working


def test_page_of_another_origin_may_read_the_validators(polled: str) -> None:
    """CORS: a browser gets the ETag, and may send it back."""
    answer = httpx2.get(polled, headers={"Origin": "https://elsewhere.example"})
    assert "ETag" in answer.headers["access-control-expose-headers"]
    asked = {
        "Origin": "https://elsewhere.example",
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "if-none-match",
    }
    assert httpx2.request("OPTIONS", polled, headers=asked).status_code == 200


@pytest.mark.soak
@pytest.mark.skipif(not (nginx() or os.environ.get("CI")), reason="needs nginx: see the note of make test")
def test_pollers_share_the_origin_through_a_real_cache() -> None:
    """1,000 clients, 60 s, 5 s interval (full form) behind nginx set up as CloudFront: about one origin request per interval."""
    clients, seconds = (1_000, 60.0) if FULL else (200, 16.0)
    found = shared_polling(clients, seconds)
    print(found)
    assert found.origin_requests <= found.most_origin_requests
    assert (found.errors, found.others) == (0, 0)
    assert found.sightings == clients * found.events
    assert found.stale_max_s < STALE_SECONDS
