"""Bounded streams and answers on the real asset, as Lambda would run it: one request per environment, frozen in between."""

import asyncio
import json
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import httpx2
import pytest

from realtime.cursor import START
from realtime.errors import Code, RealtimeError
from realtime.event import NewEvent
from realtime.features import Access, Feature, Features, Limits
from realtime.log import Moved
from tests.endpoint import Endpoint
from tests.hubs import SOAK, Reader, all_connected
from tests.lambdas import Lambdas, bearer, lambdas, stopped

CLIENTS = 100 if SOAK else 8
SECONDS = 600 if SOAK else 24
STREAM_SECONDS = 30 if SOAK else 5  # the least that features.toml allows is 30
A_SECOND = 5
TOPICS = [f"feed/{letter}" for letter in "abcde"]
PATH = "/stream?" + "&".join(f"topic={topic}" for topic in TOPICS)
FEED = Feature(name="feed", pattern="sse", host="lambda", latency=2.0, stream=STREAM_SECONDS, rooms=True, access=Access(read="public"))
ANSWERS = Feature(
    name="answers", pattern="sse", host="lambda", latency=0.5, stream=30.0, rooms=True, access=Access(read="owner"), limits=Limits()
)


@pytest.fixture(scope="module")
def running(endpoint: Endpoint, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lambdas]:
    features = Features({"feed": FEED, "answers": ANSWERS})
    with lambdas(endpoint, tmp_path_factory.mktemp("lambdas"), features, {"MODEL": "ngram"}, timeout=315) as found:
        yield found


class Publisher:
    """Appends numbers, five at once, to one topic after the other; `after` shows whether they went in although nobody said so."""

    def __init__(self, running: Lambdas) -> None:
        self._log = running.log
        self._topics = [running.features.topic(name) for name in TOPICS]
        self._ends = [START] * len(TOPICS)

    def publish(self, second: int) -> None:
        place = second % len(TOPICS)
        events = [NewEvent.of("n", number) for number in range(second * A_SECOND, (second + 1) * A_SECOND)]
        for _ in range(20):
            try:
                self._ends[place] = self._log.append(self._topics[place], events, after=self._ends[place])[-1].cursor
            except Moved as moved:
                self._ends[place] = moved.end
            except RealtimeError as error:
                assert error.code is Code.UNAVAILABLE
                time.sleep(0.1)
                continue
            return
        raise AssertionError(f"the events of second {second} were never accepted")


@pytest.mark.soak
@pytest.mark.timeout(1_500)
def test_every_client_has_everything_once_across_its_streams(running: Lambdas) -> None:
    """Streams of 30 s over five topics, for ten minutes (`SOAK=full`), at five events a second: once, in order, no reset.

    Five in one append: the endpoint and a hundred processes share the cores of this machine.
    """

    async def test() -> None:
        readers = [Reader(running, PATH, head_seconds=120, cursor=".".join(["0-0"] * len(TOPICS))) for _ in range(CLIENTS)]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(reader.run()) for reader in readers]
            await all_connected(readers, 180)
            publisher = Publisher(running)
            began, count = time.monotonic(), SECONDS * A_SECOND
            for second in range(SECONDS):
                await asyncio.sleep(max(0.0, began + second - time.monotonic()))
                await asyncio.to_thread(publisher.publish, second)
            took = time.monotonic() - began
            await _settle(readers, count)
            for task in tasks:
                task.cancel()
        print(json.dumps({"clients": CLIENTS, "seconds": round(took), "events": count, "connections": sum(r.connections for r in readers)}))
        for reader in readers:
            assert [reader.odd, len(reader.seen)] == [[], count]
            for place, topic in enumerate(TOPICS):
                mine = [event for event in reader.seen if event["topic"] == topic]
                assert [event["seq"] for event in mine] == list(range(1, len(mine) + 1))
                assert [event["data"] for event in mine] == [n for n in range(count) if n // A_SECOND % len(TOPICS) == place]
        away = 3  # seconds from a stream's end to the next one, at most: a busy machine takes its time
        assert sum(reader.connections for reader in readers) >= CLIENTS * SECONDS / (STREAM_SECONDS + away)

    asyncio.run(test())


async def _settle(readers: list[Reader], count: int, seconds: float = 60.0) -> None:
    for _ in range(int(seconds * 10)):
        if all(len(reader.seen) >= count for reader in readers):
            return
        await asyncio.sleep(0.1)


class Asking:
    """Somebody who asks, is cut off again and again, and comes back with the id that he has."""

    def __init__(self, running: Lambdas, sub: str) -> None:
        self.running = running
        self.sub = sub
        self.pieces: dict[int, str] = {}
        self.text: dict[int, str] = {}  # what came from the log
        self.ids: list[str] = []
        self.place = ""
        self.cuts = 0
        self.ended = ""

    def ask(self, max_tokens: int, cut_at: list[int]) -> None:
        body = {"messages": [{"role": "user", "content": "How do I resume?"}], "max_tokens": max_tokens}
        self._read("POST", "/answers", cut_at, json=body)
        while not self.ended:
            self._read("GET", self.place, cut_at)

    def _read(self, method: str, path: str, cut_at: list[int], **more: Any) -> None:
        headers = bearer(self.sub) | ({"Last-Event-ID": self.ids[-1]} if self.ids else {})
        with httpx2.Client(base_url=self.running.url, timeout=60) as client, client.stream(method, path, headers=headers, **more) as answer:
            assert answer.status_code == 200
            self.place = self.place or "/" + answer.headers["content-location"]
            kind = ""
            for line in answer.iter_lines():
                name, _, value = line.partition(": ")
                kind = value if name == "event" else kind
                if name == "id":
                    self.ids.append(value)
                elif name == "data":
                    self._take(kind, json.loads(value))
                if cut_at and len(self.pieces) >= cut_at[0]:
                    cut_at.pop(0)
                    self.cuts += 1
                    return

    def _take(self, kind: str, event: dict[str, Any]) -> None:
        if kind in ("preview", "text"):
            found = {event["data"]["first"] + number: piece for number, piece in enumerate(event["data"]["pieces"])}
            assert not (kind == "text" and found.keys() & self.text.keys()), "a batch came twice"
            self.text |= found if kind == "text" else {}
            self.pieces |= found
        elif kind in ("done", "failed", "cancelled"):
            self.ended = kind


def test_answer_of_two_thousand_pieces_survives_five_cuts(running: Lambdas) -> None:
    """The Lambda goes on without its client. Everything arrives, each batch once, for at most 30 appends."""
    asking = Asking(running, "ann")
    asking.ask(2_222, [10, 200, 700, 1_200, 1_700])
    assert (asking.cuts, asking.ended) == (5, "done")
    assert asking.text == asking.pieces
    assert sorted(asking.pieces) == list(range(len(asking.pieces)))
    assert len(asking.pieces) >= 2_000
    appends = running.appends(asking.place.removeprefix("/topics/").removesuffix("/stream"))
    print(json.dumps({"pieces": len(asking.pieces), "appends": appends, "cuts": asking.cuts}))
    assert appends <= 30


def test_delete_stops_the_generator_within_one_batch(running: Lambdas) -> None:
    """Another environment serves the DELETE; the writer finds out with its next append, and its environment is free."""
    with httpx2.Client(base_url=running.url, timeout=60, headers=bearer("bob")) as client:
        body = {"messages": [{"role": "user", "content": "Long?"}], "max_tokens": 4_000}
        with client.stream("POST", "/answers", json=body) as answer:
            lines = answer.iter_lines()
            until(lines, '"first":124')  # from here on a batch takes two seconds
            at = answer.headers["content-location"].split("/")[3]
            assert stopped(running, at, "ann") == 404  # it may wait for an environment to start, which then serves the next one
            batch = next_batch(running, f"answers/bob/{at}")
            assert stopped(running, at, "bob") == 204
            rest = list(lines)
    last = max(place for place, line in enumerate(rest) if '"type":"text"' in line)
    previews = [line for line in rest[last:] if '"type":"preview"' in line]
    print(json.dumps({"previews_after_delete": len(previews)}))
    assert "event: cancelled" in rest
    assert f'"first":{batch},' in rest[last]
    assert len(previews) <= 100


def until(lines: Iterator[str], mark: str) -> None:
    assert next((line for line in lines if mark in line), None), f"{mark} never came"


def next_batch(running: Lambdas, topic: str) -> int:
    """The first piece of the batch that comes next, as soon as it is in the log."""
    read = partial(running.log.recent, running.features.topic(topic), 1)
    before, deadline = read().cursor, time.monotonic() + 30
    while (page := read()).cursor == before:
        assert time.monotonic() < deadline, "no batch came"
        time.sleep(0.02)
    data: Any = page.events[-1].data
    return int(data["first"])
