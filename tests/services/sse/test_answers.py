"""POST /answers and DELETE /answers/{id} over real HTTP, with bounded streams of their topics."""

import json
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

import httpx2
import pytest

from realtime import answers
from realtime.answers import Message, Usage, last
from realtime.bus_log import LogBus
from realtime.cursor import START
from realtime.errors import Code, RealtimeError
from realtime.features import Features
from realtime.hub import Hub
from realtime.log import Log
from realtime.runtime import Runtime
from realtime.tokens import issue
from services.sse import bounded
from tests.helpers import SECRET
from tests.services.sse.conftest import ORIGIN, Client, Served, bearer, running, token, until

ASKED = {"messages": [{"role": "user", "content": "Why?"}]}


class Told:
    """A model that says what the test tells it to, when it does; None ends the answer."""

    name = "told"

    def __init__(self) -> None:
        self.says: list[str | Exception | None] = []
        self.turn = threading.Condition()
        self.asked: list[tuple[Sequence[Message], int]] = []
        self.closed = 0

    def say(self, *pieces: str | Exception | None) -> None:
        with self.turn:
            self.says.extend(pieces)
            self.turn.notify_all()

    def _next(self, number: int) -> str | Exception | None:
        with self.turn:
            assert self.turn.wait_for(lambda: len(self.says) > number, timeout=20)
            return self.says[number]

    def answer(self, messages: Sequence[Message], max_tokens: int) -> Generator[str | Usage]:
        self.asked.append((messages, max_tokens))
        try:
            for number in range(10_000):
                piece = self._next(number)
                if isinstance(piece, Exception):
                    raise piece
                if piece is None:
                    break
                yield piece
            yield Usage(3, len(self.says) - 1, "end_turn")
        finally:
            self.closed += 1


@pytest.fixture
def model() -> Told:
    return Told()


@pytest.fixture
def served(runtime: Runtime, model: Told) -> Iterator[Served]:
    hub = Hub(runtime.log, last)
    with running(bounded.create_app(runtime, hub, LogBus(hub, runtime.log, interval=0.05), model), hub) as served:
        yield served
        model.say(None)


def ask(served: Served, sub: str = "ann", body: Any = None, **headers: str) -> Client:
    """A POST on a socket of its own."""
    text = json.dumps(body or ASKED)
    return Client(served.port, "/answers", {**bearer(sub), "Content-Length": str(len(text)), **headers}, method="POST", body=text.encode())


def refused(served: Served, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, str]:
    content = body if isinstance(body, bytes) else json.dumps(body or ASKED).encode()
    answer = httpx2.post(f"{served.url}/answers", content=content, headers=bearer() if headers is None else headers, timeout=5)
    return answer.status_code, answer.json()["code"]


def place(client: Client) -> str:
    """The path of the answer's stream."""
    (line,) = [line for line in client.until(b"\r\n\r\n").decode().split("\r\n") if line.startswith("content-location: ")]
    return "/" + line.removeprefix("content-location: ")


def events(got: bytes, *kinds: str) -> list[Any]:
    """The data of those events, in order."""
    found = []
    for block in got.decode().replace("\r\n", "\n").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
        if fields.get("event") in kinds:
            found.append(json.loads(fields["data"])["data"])
    return found


def last_id(got: bytes) -> str:
    return got.decode().rsplit("id: ", 1)[1].split("\n")[0]


def stop(served: Served, id: str, sub: str = "ann") -> int:
    return httpx2.delete(f"{served.url}/answers/{id}", headers=bearer(sub), timeout=5).status_code


def test_answer_is_streamed_as_it_is_written(served: Served, model: Told) -> None:
    """Each piece at once as a preview, then in a batch with an id, and at the end the usage; then the stream ends."""
    client = ask(served)
    client.until(b"event: started")
    model.say("Be")
    assert events(client.until(b'"Be"'), "preview") == [{"first": 0, "pieces": ["Be"]}]
    model.say("cause", None)
    got = client.rest()
    assert events(got, "text") == [{"first": 0, "pieces": ["Be", "cause"]}]
    assert events(got, "done") == [{"pieces": 2, "input_tokens": 3, "output_tokens": 2, "stop_reason": "end_turn"}]


def test_model_gets_the_conversation(served: Served, model: Told) -> None:
    """With its roles, and the most that it may say."""
    turns = [{"role": role, "content": role} for role in ("user", "assistant", "user")]
    ask(served, body={"messages": turns, "max_tokens": 7}).until(b"event: started")
    until(lambda: model.asked)
    assert model.asked == [([Message("user", "user"), Message("assistant", "assistant"), Message("user", "user")], 7)]


def test_answer_goes_on_when_who_asked_is_gone(served: Served, model: Told, runtime: Runtime) -> None:
    """As it must on Lambda. He resumes by the id that he got last, and has each piece once."""
    client = ask(served)
    where = place(client)
    model.say(*"abcd")
    at = last_id(client.until(b"event: text"))
    client.close()
    model.say(*"efghijklmnop", None)
    again = Client(served.port, where, {**bearer(), "Last-Event-ID": at}).rest()
    assert "".join(piece for text in events(again, "text") for piece in text["pieces"]) == "efghijklmnop"
    assert len(events(again, "done")) == 1


def test_second_device_follows_from_the_beginning(served: Served, model: Told) -> None:
    """While it is written, and with the same events."""
    first = ask(served)
    second = Client(served.port, f"{place(first)}?after=0-0", bearer())
    model.say(*"abcdefgh", None)
    assert events(second.rest(), "started", "text", "done") == events(first.rest(), "started", "text", "done")


def test_whoever_has_all_is_stopped(served: Served, model: Told) -> None:
    """204, after which no EventSource comes back: each visit is an invocation that is paid for."""
    client = ask(served, **{"Idempotency-Key": "k"})
    model.say("a", None)
    where, got = place(client), client.rest()
    headers = {**bearer(), "Last-Event-ID": last_id(got), "Idempotency-Key": "k"}
    assert httpx2.get(served.url + where, headers=headers, timeout=5).status_code == 204
    assert httpx2.get(served.url + where, headers=bearer(), timeout=5).status_code == 204
    assert httpx2.get(f"{served.url}/topics/answers/ann/nothing/stream", headers=bearer(), timeout=5).status_code == 204
    assert httpx2.post(f"{served.url}/answers", json=ASKED, headers=headers, timeout=5).status_code == 204


def test_delete_stops_the_model_within_one_batch(served: Served, model: Told) -> None:
    """Who asked sees `cancelled` at once; his response lasts until the model is closed. Again, or too late, is 204 as well."""
    client = ask(served)
    model.say(*"abcd")
    at = place(client).split("/")[4]
    client.until(b"event: text")
    assert stop(served, at) == 204
    assert events(client.until(b"event: cancelled\ndata: {") + client.until(b"\n\n\r\n"), "cancelled")
    assert not model.closed
    model.say(*["no"] * 8)
    client.rest()
    assert model.closed
    assert stop(served, at) == 204


def test_nobody_else_reads_or_stops_it(served: Served, model: Told) -> None:
    """His answer is not there for others: neither in his topic nor under his id."""
    client = ask(served)
    where = place(client)
    answer = httpx2.get(served.url + where, headers=bearer("bob"), timeout=5)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert stop(served, where.split("/")[4], "bob") == 404
    assert httpx2.get(served.url + where, timeout=5).status_code == 401


def test_repeat_with_a_key_goes_on_with_the_answer(served: Served, model: Told) -> None:
    """The model is asked once; the repeat gets what follows its id. Another question with this key is refused."""
    first = ask(served, **{"Idempotency-Key": "k"})
    model.say(*"abcd")
    at = last_id(first.until(b"event: text"))
    first.close()
    again = ask(served, **{"Idempotency-Key": "k", "Last-Event-ID": at})
    assert place(again) == place(first)
    model.say("e", None)
    assert [text["pieces"] for text in events(again.rest(), "text")] == [["e"]]
    assert len(model.asked) == 1
    other = {"messages": [{"role": "user", "content": "How?"}]}
    assert refused(served, other, {**bearer(), "Idempotency-Key": "k"}) == (409, "key_reused")


def test_failure_of_the_model_is_told_in_band(served: Served, model: Told) -> None:
    """The stream has begun: its status is 200, its last event `failed`."""
    client = ask(served)
    model.say("a", RealtimeError(Code.UNAVAILABLE, "the model is busy"))
    assert events(client.rest(), "failed") == [{"code": "unavailable", "message": "the model is busy"}]


def test_questions_are_counted(served: Served, model: Told) -> None:
    """As publishes of the feature, per caller."""
    model.say(None)
    for _ in range(3):
        ask(served).rest()
    assert refused(served) == (429, "too_many_requests")
    ask(served, "bob").rest()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        {"messages": []},
        {"messages": [{"role": "system", "content": "x"}]},
        {"messages": [{"role": "assistant", "content": "x"}]},
        {"messages": [{"role": "user", "content": "x"}] * 2},
        {"messages": [{"role": "user", "content": ""}]},
        {"messages": [{"role": "user", "content": "x", "more": 1}]},
        {**ASKED, "max_tokens": 0},
        {**ASKED, "max_tokens": 5_000},
        {**ASKED, "max_tokens": "7"},
        {**ASKED, "model": "x"},
    ],
)
def test_wrong_question_is_invalid(served: Served, model: Told, body: Any) -> None:
    """And nothing is begun."""
    assert refused(served, body) == (400, "invalid")
    assert model.asked == []


def test_stranger_is_refused(served: Served) -> None:
    """No token, one whose sub cannot be part of a topic, one that ends at once, a session of another origin, a bad key or id."""
    session = {"Cookie": f"__Host-realtime={issue(SECRET, 'ann', 600, 'realtime-session')}"}
    assert refused(served, headers={}) == (401, "unauthorized")
    assert refused(served, headers=bearer("https://ann")) == (400, "invalid")
    assert refused(served, headers={"Authorization": f"Bearer {issue(SECRET, 'ann', 3)}"}) == (401, "expired")
    assert refused(served, headers={**session, "Origin": "https://evil.example"}) == (403, "forbidden")
    assert refused(served, headers={**bearer(), "Idempotency-Key": "k" * 200}) == (400, "invalid")
    assert refused(served, headers={**bearer(), "Last-Event-ID": "x"}) == (400, "invalid_cursor")


@pytest.mark.parametrize("more", [{"Origin": ORIGIN}, {"Origin": "https://own.example", "Sec-Fetch-Site": "same-origin"}])
def test_session_may_ask_from_its_own_pages(served: Served, model: Told, more: dict[str, str]) -> None:
    """Behind origin access control no token arrives; a POST names the page's own origin, which need not be on the list."""
    cookie = f"__Host-realtime={issue(SECRET, 'ann', 600, 'realtime-session')}"
    model.say(None)
    text = json.dumps(ASKED)
    client = Client(
        served.port, "/answers", {"Cookie": cookie, "Content-Length": str(len(text)), **more}, method="POST", body=text.encode()
    )
    assert events(client.rest(), "done")


def test_response_of_who_asked_lasts_as_long_as_the_writer(
    served: Served, model: Told, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Lambda nothing goes on after it; not even where the answer's end cannot be written."""
    monkeypatch.setattr(answers, "PAUSE_SECONDS", 0.01)
    append = runtime.log.append

    def away(*place: Any, **how: Any) -> Any:
        if runtime.log.recent(place[0], 1).events:
            raise RealtimeError(Code.UNAVAILABLE, "down")
        return append(*place, **how)

    monkeypatch.setattr(runtime.log, "append", away)
    client = ask(served)
    client.until(b"event: started")
    model.say(*"abcd")
    client.rest()
    assert model.closed


def test_answer_that_was_broken_off_ends_for_who_repeats(served: Served, runtime: Runtime) -> None:
    """Its process died long ago: the repeat is told so, and then that there is nothing more."""
    topic = runtime.features.topic(f"answers/ann/{answers.new_id('ann', 'k')}")
    old = Log(runtime.log._store, clock=lambda: time.time() - answers.ANSWER_SECONDS - 1)
    asked = answers.digest([Message("user", "Why?")], 1_024)
    assert answers.begin(old, topic, "told", asked)
    got = ask(served, **{"Idempotency-Key": "k"}).rest()
    assert events(got, "failed")[0]["code"] == "unavailable"


SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=AKIA/20261124/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=0"}


def test_signature_of_cloudfront_is_no_token(served: Served, runtime: Runtime, model: Told) -> None:
    """Behind origin access control it stands where a token would: ticket and session count all the same."""
    model.say(None)
    session = {**SIGNED, "Cookie": f"__Host-realtime={issue(SECRET, 'ann', 600, 'realtime-session')}"}
    answer = httpx2.post(f"{served.url}/answers", json=ASKED, headers={**session, "Sec-Fetch-Site": "same-origin"}, timeout=5)
    where = f"{served.url}/{answer.headers['content-location']}?after=0-0"
    topic = answer.headers["content-location"].removeprefix("topics/").removesuffix("/stream")
    ticket = runtime.tickets.issue("sse", (topic,), runtime.verifier.verify(token()))
    assert httpx2.get(where, headers=session, timeout=5).status_code == 200
    assert httpx2.get(f"{where}&ticket={ticket}", headers=SIGNED, timeout=5).status_code == 200
    assert httpx2.get(where, headers=SIGNED, timeout=5).status_code == 401


def test_feature_of_another_host_is_not_served(served: Served) -> None:
    """Else whoever mistakes the URL has a stream that costs a thousand times as much."""
    answer = httpx2.get(f"{served.url}/topics/alerts/stream", headers=bearer(), timeout=5)
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_topic")


def test_stream_lives_as_long_as_its_feature_says(features: Features) -> None:
    """Between four fifths of it and all of it; of several the shortest."""
    lives = [bounded.lifetime([features.topic("answers/ann/x"), features.topic("feed")]) for _ in range(100)]
    assert 24 <= min(lives) < max(lives) <= 30


def test_log_is_looked_at_as_often_as_what_is_open_needs(features: Features) -> None:
    """Twice within the lowest latency of the topics that have a reader; other features cost nothing."""
    feed, answer = features.topic("feed"), features.topic("answers/ann/x")
    assert [bounded.interval(topics) for topics in ([feed], [feed, answer], [])] == [0.5, 0.25, 0.25]


def test_bounded_stream_ends_with_reconnect_and_resumes(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one begins where the last one ended."""
    monkeypatch.setattr(bounded, "lifetime", lambda _: 1.0)
    hub = Hub(runtime.log, last)
    with running(bounded.create_app(runtime, hub, LogBus(hub, runtime.log, interval=0.05)), hub) as served:
        first = Client(served.port, "/topics/feed/stream", bearer()).rest()
        assert first.decode().count("event: reconnect") == 1
        at = last_id(first)
        job = runtime.principal(bearer("job", role="service")["Authorization"])
        runtime.publisher.publish(runtime.features.topic("feed"), job, "note", "between")
        assert b'"between"' in Client(served.port, "/topics/feed/stream", {**bearer(), "Last-Event-ID": at}).until(b"between")


def test_without_a_model_there_are_no_answers(runtime: Runtime) -> None:
    """The deployment has no feature for them."""
    hub = Hub(runtime.log)
    with running(bounded.create_app(runtime, hub, LogBus(hub, runtime.log)), hub) as served:
        assert refused(served) == (404, "not_found")
        assert httpx2.get(f"{served.url}/readyz", timeout=5).json() == {"status": "ready", "bus": "log"}


def test_open_stream_costs_one_call_per_interval(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a unit a topic, in one call for all; what is new most often comes with it."""
    calls: list[str] = []

    def counted(name: str, inner: Callable[..., Any]) -> Callable[..., Any]:
        def call(*place: Any, **how: Any) -> Any:
            calls.append(name)
            return inner(*place, **how)

        return call

    for name in ("tails", "read", "recent"):
        monkeypatch.setattr(runtime.log, name, counted(name, getattr(runtime.log, name)))
    hub = Hub(runtime.log, last)
    with running(bounded.create_app(runtime, hub, LogBus(hub, runtime.log, interval=0.1)), hub) as served:
        client = Client(served.port, "/stream?topic=feed&topic=answers/ann/x", bearer())
        client.until(b"id: ")
        until(lambda: [stream.live for stream in list(hub._streams.values())] == [True])
        until(lambda: not any(feed.repair for feed in list(hub._feeds.values())))
        calls.clear()
        began = time.monotonic()
        job = runtime.principal(bearer("job", role="service")["Authorization"])
        runtime.publisher.publish(runtime.features.topic("feed"), job, "note", "new")
        client.until(b'"new"')
        time.sleep(0.25)
        until(lambda: len(calls) >= 2)
        most = 2 + (time.monotonic() - began) / 0.1
    assert set(calls) == {"tails"}
    assert len(calls) <= most


def test_answers_that_end_with_the_process_say_so(runtime: Runtime, model: Told) -> None:
    """SIGTERM: what is being written ends with `failed`, not with silence."""
    hub = Hub(runtime.log, last)
    with running(bounded.create_app(runtime, hub, LogBus(hub, runtime.log), model), hub) as served:
        where = place(ask(served))
        until(lambda: model.asked)
        served.server.should_exit = True
        until(lambda: served.app.state.draining.now)
        model.say("a")
    topic = runtime.features.topic(where.removeprefix("/topics/").removesuffix("/stream"))
    until(lambda: runtime.log.read(topic, START).events[-1].type == "failed")
