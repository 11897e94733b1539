"""Polling: GET /topics/{topic}, as the wire contract has it."""

from collections.abc import Callable

import pytest
from starlette.testclient import TestClient

from realtime.direct import Direction
from realtime.features import Feature
from realtime.memory import MemoryDirections
from realtime.runtime import Runtime
from tests.helpers import Clock, event
from tests.services.http.conftest import Token

Publish = Callable[..., dict[str, object]]


def test_newest_event_has_validators(client: TestClient, publish: Publish, clock: Clock) -> None:
    """keep = "latest": the newest event, its cursor as a quoted ETag, its date, and how the edge may share it."""
    event = publish("metrics", {"a": 1})
    clock.now += 10
    answer = client.get("/topics/metrics")
    assert answer.json() == event
    assert answer.headers["etag"] == f'"{event["epoch"]}-1"'
    assert answer.headers["last-modified"] == "Fri, 15 Jan 2027 08:00:01 GMT"
    assert answer.headers["cache-control"] == "public, max-age=0, s-maxage=5"
    assert answer.headers["poll-after"] == "5"


def test_empty_topic_is_200_with_nulls(client: TestClient) -> None:
    """Nothing was published yet: the same shape, null data, the start cursor."""
    answer = client.get("/topics/metrics")
    assert answer.status_code == 200
    assert answer.json() == {"topic": "metrics", "seq": 0, "epoch": "0", "type": None, "data": None, "at": None}
    assert answer.headers["etag"] == '"0-0"'


def test_known_etag_is_304_without_a_body(client: TestClient, publish: Publish) -> None:
    """Nothing new costs no body, and says again when to come back."""
    publish("metrics")
    etag = client.get("/topics/metrics").headers["etag"]
    answer = client.get("/topics/metrics", headers={"If-None-Match": etag})
    assert (answer.status_code, answer.content) == (304, b"")
    assert answer.headers["etag"] == etag
    assert answer.headers["poll-after"] == "5"
    assert answer.headers["cache-control"] == "public, max-age=0, s-maxage=5"


def test_directed_feature_is_polled_as_the_operator_says(
    client: TestClient, runtime: Runtime, directed: MemoryDirections, clock: Clock, bearer: Token
) -> None:
    """No more often than that, by whatever transport is named; a page that is not the last is still followed at once."""
    directed.put("chat", Direction("sse", 25, clock() + 600))
    last = runtime.log.append(runtime.features.topic("chat/lobby"), [event(1), event(2)])[-1]
    answer = client.get("/topics/chat/lobby", headers=bearer())
    assert (answer.json()["poll_after"], answer.headers["poll-after"]) == (25, "25")
    assert client.get(f"/topics/chat/lobby?after={last.epoch}-0&limit=1", headers=bearer()).headers["poll-after"] == "0"


def test_directive_does_not_make_the_edges_copy_last(
    client: TestClient, directed: MemoryDirections, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients are asked for patience; a shared copy is as old as the feature allows, and no older."""
    monkeypatch.setattr(Feature, "public", True)
    own = client.get("/topics/chat/lobby").headers
    directed.put("chat", Direction("polling", 3600, clock() + 600))
    clock.now += 20
    answer = client.get("/topics/chat/lobby").headers
    assert answer["poll-after"] == "3600"
    assert answer["cache-control"] == own["cache-control"]


def test_unquoted_etag_gets_the_full_answer(client: TestClient, publish: Publish) -> None:
    """A tag without its quotes is no tag."""
    publish("metrics")
    etag = client.get("/topics/metrics").headers["etag"]
    assert client.get("/topics/metrics", headers={"If-None-Match": etag.strip('"')}).status_code == 200


def test_several_if_none_match_lines_are_one_list(client: TestClient, publish: Publish) -> None:
    """RFC 9110 5.3: repeated fields are one list."""
    publish("metrics")
    etag = client.get("/topics/metrics").headers["etag"]
    answer = client.get("/topics/metrics", headers=[("If-None-Match", '"x"'), ("If-None-Match", f"W/{etag}")])
    assert answer.status_code == 304


def test_date_alone_works_for_clients_without_etags(client: TestClient, publish: Publish, clock: Clock) -> None:
    """If-Modified-Since with the date of the last answer: 304 until something changes."""
    publish("metrics")
    clock.now += 10
    date = client.get("/topics/metrics").headers["last-modified"]
    assert client.get("/topics/metrics", headers={"If-Modified-Since": date}).status_code == 304
    publish("metrics")
    clock.now += 10
    assert client.get("/topics/metrics", headers={"If-Modified-Since": date}).status_code == 200


def test_second_change_within_one_second_is_seen(client: TestClient, publish: Publish, clock: Clock) -> None:
    """Whole seconds do not hide a change: no date is given out before its second is over."""
    publish("metrics", 1)
    clock.now += 0.4
    first = client.get("/topics/metrics")
    assert "last-modified" not in first.headers
    publish("metrics", 2)
    clock.now += 5
    assert client.get("/topics/metrics", headers={"If-Modified-Since": "Fri, 15 Jan 2027 08:00:00 GMT"}).json()["data"] == 2


def test_page_follows_the_cursor(client: TestClient, publish: Publish) -> None:
    """?after=: every event after it, in order, with prev, the cursor to go on from, and when."""
    events = [publish("ticker", n) for n in range(3)]
    page = client.get("/topics/ticker", params={"after": f"{events[0]['epoch']}-1"}).json()
    assert [e["data"] for e in page["events"]] == [1, 2]
    assert [e["prev"] for e in page["events"]] == [f"{events[0]['epoch']}-1", f"{events[0]['epoch']}-2"]
    assert (page["cursor"], page["recovered"], page["poll_after"]) == (f"{events[0]['epoch']}-3", True, 2)


def test_page_is_bounded_by_limit(client: TestClient, publish: Publish) -> None:
    """A page ends at its limit, and its cursor is where the next one begins."""
    for n in range(5):
        publish("ticker", n)
    first = client.get("/topics/ticker", params={"after": "0-0", "limit": 2}).json()
    second = client.get("/topics/ticker", params={"after": first["cursor"], "limit": 9}).json()
    assert [e["data"] for e in first["events"] + second["events"]] == [0, 1, 2, 3, 4]


def test_page_with_nothing_new_is_304(client: TestClient, publish: Publish) -> None:
    """A reader at the head sends its cursor as after and as tag, and pays no body."""
    publish("ticker")
    page = client.get("/topics/ticker", params={"after": "0-0"})
    again = client.get("/topics/ticker", params={"after": page.json()["cursor"]}, headers={"If-None-Match": page.headers["etag"]})
    assert again.status_code == 304


def test_cursor_of_another_epoch_is_not_recovered(client: TestClient, publish: Publish) -> None:
    """A cursor that cannot be honoured says so, and where to go on."""
    event = publish("ticker")
    page = client.get("/topics/ticker", params={"after": "abc-7"}).json()
    assert (page["events"], page["recovered"], page["cursor"]) == ([], False, f"{event['epoch']}-1")


def test_without_a_cursor_the_newest_events_come(client: TestClient, publish: Publish) -> None:
    """keep = "all" without a position: the last `limit` events, to begin with."""
    for n in range(5):
        publish("ticker", n)
    page = client.get("/topics/ticker", params={"limit": 2}).json()
    assert [e["data"] for e in page["events"]] == [3, 4]


def test_head_answers_without_a_body(client: TestClient, publish: Publish) -> None:
    """HEAD has GET's headers (RFC 9110 9.3.2)."""
    publish("metrics")
    answer = client.head("/topics/metrics")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["etag"] == client.get("/topics/metrics").headers["etag"]


def test_private_answer_is_never_shared(client: TestClient, publish: Publish, bearer: Token) -> None:
    """A topic that needs a token is private, varies by it, and its interval is spread."""
    publish("alerts")
    answer = client.get("/topics/alerts", headers=bearer())
    assert answer.headers["cache-control"] == "private, no-cache"
    assert answer.headers["vary"] == "Authorization"
    assert 1 <= float(answer.headers["poll-after"]) <= 1.2


def test_interval_grows_while_the_log_is_slow(client: TestClient, runtime: object) -> None:
    """The server has the say in the interval: reads that take long stretch it, up to ten times."""
    from realtime.pace import Pace
    from tests.helpers import feature

    ticks = iter([0.0, 0.4] + [0.0, 0.5] * 50)
    pace = Pace(clock=lambda: next(ticks))
    for _ in range(40):
        with pace.reading():
            pass
    assert 20 <= pace.poll_after(feature(latency="5s", access={"read": "public"})) <= 25


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "limit=x", "after=", "after=x", "after=abc-01"])
def test_broken_query_is_400(client: TestClient, query: str) -> None:
    """Wrong limits and cursors that we never gave out."""
    answer = client.get(f"/topics/metrics?{query}")
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"


def test_page_that_ends_before_the_head_is_to_be_followed_at_once(client: TestClient, publish: Publish) -> None:
    """poll_after 0: there is more. The last page says the interval again."""
    for n in range(3):
        publish("ticker", n)
    page = client.get("/topics/ticker", params={"after": "0-0", "limit": 2})
    assert (page.json()["poll_after"], page.headers["poll-after"]) == (0, "0")
    assert client.get("/topics/ticker", params={"after": page.json()["cursor"]}).json()["poll_after"] == 2


def test_newest_events_are_304_for_one_who_has_them(client: TestClient, publish: Publish) -> None:
    """keep = "all" without a cursor: the tag of the head is nothing new; a new event is a new answer."""
    publish("ticker", 1)
    etag = client.get("/topics/ticker").headers["etag"]
    assert client.get("/topics/ticker", headers={"If-None-Match": etag}).status_code == 304
    publish("ticker", 2)
    assert client.get("/topics/ticker", headers={"If-None-Match": etag}).status_code == 200
