"""The log under everything that DynamoDB and a dying process may do: stale reads, lost answers, kills between two writes."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from realtime.cursor import START, Cursor
from realtime.errors import Code, RealtimeError
from realtime.event import Event
from realtime.features import Topic
from realtime.log import KEY_WINDOW_SECONDS, Append, Log, Receipt, Swapped
from realtime.memory import MemoryStore
from tests.helpers import Clock, event, topic


class Killed(Exception):
    """The process ended here."""


class Hostile:
    """A store that answers eventually consistent reads from any moment of the past, and ends the process where it is told to."""

    def __init__(self, rng: random.Random) -> None:
        self.real = MemoryStore()
        self.rng = rng
        self.past: dict[str, list[Append | None]] = {}
        self.kill = ""  # "", "before swap", "after swap"
        self.repeat = False  # the SDK sends the next put twice
        self.overtake: Append | None = None

    def head(self, topic: str, *, consistent: bool) -> Append | None:
        now = self.real.head(topic, consistent=True)
        return now if consistent else self.rng.choice([*self.past.get(topic, [None]), now])

    def heads(self, topics: Sequence[str]) -> Mapping[str, Append]:
        return {topic: head for topic in topics if (head := self.head(topic, consistent=False))}

    def history(
        self, topic: str, epoch: str, first: int, last: int, *, limit: int, consistent: bool, backward: bool = False
    ) -> Sequence[Append]:
        rows = self.real.history(topic, epoch, first, last, limit=limit, consistent=True, backward=backward)
        if consistent:
            return rows
        return [row for row in rows if self.rng.random() < 0.8]

    def receipt(self, topic: str, id: str) -> Receipt | None:
        return self.real.receipt(topic, id)

    def retire(self, head: Append, *, history: bool, receipt: bool) -> None:
        self.real.retire(head, history=history, receipt=receipt)
        if self.kill == "before swap":
            raise Killed

    def swap(self, expected: Append | None, new: Append) -> Swapped:
        swapped = self.real.swap(expected, new)
        self.past.setdefault(new.topic, [None]).append(self.real.head(new.topic, consistent=True))
        if self.kill == "after swap":
            raise Killed
        if self.repeat and swapped.done:
            self.repeat = False
            return Swapped(done=False, head=self.real.head(new.topic, consistent=True), repeated=True)
        return swapped


class Reader:
    def __init__(self) -> None:
        self.cursor = START
        self.got: list[Event] = []


class LogMachine(RuleBasedStateMachine):
    """Publishers with their own caches, readers with their own cursors, one hostile store."""

    readers = Bundle("readers")
    keep = "all"

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.published: list[object] = []  # data of what is in the log, in order
        self.number = 0
        self.everyone: list[Reader] = []
        self.keys: dict[str, Event] = {}  # what each known key made last

    @initialize(seed=st.integers(0, 2**32), publishers=st.integers(1, 3))
    def begin(self, seed: int, publishers: int) -> None:
        self.store = Hostile(random.Random(seed))
        self.logs = [self.new_log() for _ in range(publishers)]
        self.topic: Topic = topic("news", keep=self.keep)

    def new_log(self) -> Log:
        return Log(self.store, clock=self.clock, sleep=self.clock.sleep)

    @rule(target=readers)
    def reader(self) -> Reader:
        self.everyone.append(Reader())
        return self.everyone[-1]

    @rule(who=st.integers(0, 2), count=st.integers(1, 3), keyed=st.booleans(), repeat=st.booleans())
    def append(self, who: int, count: int, keyed: bool, repeat: bool) -> None:
        self.number += 1
        self.store.repeat = repeat
        batch = [event([self.number, n]) for n in range(count)]
        log = self.logs[who % len(self.logs)]
        made = log.append(self.topic, batch, key=f"k{self.number}" if keyed else None)
        self.store.repeat = False
        self.published += [[self.number, n] for n in range(count)]
        assert [e.seq for e in made] == list(range(len(self.published) - count + 1, len(self.published) + 1))

    @rule(who=st.integers(0, 2), where=st.sampled_from(["before swap", "after swap"]), again=st.integers(0, 2))
    def killed_and_published_again(self, who: int, where: str, again: int) -> None:
        """A publisher dies in mid-append; another process repeats with the same key."""
        self.number += 1
        key, batch = f"k{self.number}", [event([self.number])]
        self.store.kill = where
        try:
            self.logs[who % len(self.logs)].append(self.topic, batch, key=key)
        except Killed:
            self.logs[who % len(self.logs)] = self.new_log()
        self.store.kill = ""
        (made,) = self.logs[again % len(self.logs)].append(self.topic, batch, key=key)
        self.published.append([self.number])
        assert made.seq == len(self.published)

    @rule(who=st.integers(0, 2), key=st.sampled_from("abc"), body=st.integers(0, 1), repeat=st.booleans())
    def append_with_a_known_key(self, who: int, key: str, body: int, repeat: bool) -> None:
        """Within its window a key gives the first event again, or is refused for another body; after it, it is a new key."""
        self.store.repeat = repeat
        first = self.keys.get(key)
        until = first.at_ms / 1000 + KEY_WINDOW_SECONDS if first else 0.0
        remembered = self.clock.now < until
        try:
            (made,) = self.logs[who % len(self.logs)].append(self.topic, [event([key, body])], key=key)
        except RealtimeError as error:
            assert (error.code, remembered) == (Code.KEY_REUSED, True)
            assert first
            assert first.data != [key, body]
            return
        finally:
            self.store.repeat = False
        assert made.data == [key, body]
        ended_meanwhile = self.clock.now >= until  # a publisher who lost a race has waited
        if remembered and not (ended_meanwhile and made.seq > len(self.published)):
            assert first
            assert (made.seq, made.at_ms, made.data) == (first.seq, first.at_ms, first.data)
            return
        self.published.append([key, body])
        self.keys[key] = made
        assert made.seq == len(self.published)

    @rule(seconds=st.sampled_from([1, KEY_WINDOW_SECONDS - 1, KEY_WINDOW_SECONDS]))
    def time_passes(self, seconds: int) -> None:
        self.clock.now += seconds

    @rule(who=st.integers(0, 2))
    def restarted(self, who: int) -> None:
        self.logs[who % len(self.logs)] = self.new_log()

    @rule(reader=readers, limit=st.integers(1, 5))
    def poll(self, reader: Reader, limit: int) -> None:
        page = self.logs[0].read(self.topic, reader.cursor, limit)
        assert page.recovered
        for got, previous in page.deliveries():
            assert previous == reader.cursor
            reader.got.append(got)
            reader.cursor = got.cursor
        assert page.cursor == reader.cursor
        assert len(page.events) <= limit

    @rule(reader=readers, limit=st.integers(1, 6))
    def recent(self, reader: Reader, limit: int) -> None:
        """Never older than what the reader has, and without a hole; nothing for one who has the head."""
        page = self.logs[0].recent(self.topic, limit, reader.cursor)
        assert page.cursor.seq >= reader.cursor.seq
        if page.cursor != reader.cursor:
            assert [e.seq for e in page.events] == list(range(page.cursor.seq, 0, -1))[:limit][::-1]

    @rule(reader=readers)
    def subscribe(self, reader: Reader) -> None:
        """A consistent read misses nothing that was appended before it, whatever stale reads would say."""
        page = self.logs[0].read(self.topic, reader.cursor, 500, consistent=True)
        assert page.cursor.seq == len(self.published)

    @rule()
    def ask_for_the_heads(self) -> None:
        """A head may be stale; it is never ahead of the log."""
        assert all(cursor.seq <= len(self.published) for cursor in self.logs[0].heads([self.topic]).values())

    @rule()
    def foreign_cursor(self) -> None:
        assert not self.logs[0].read(self.topic, Cursor("ffff", 1)).recovered

    @invariant()
    def readers_have_a_prefix(self) -> None:
        for reader in self.everyone:
            self.judge(reader)

    def judge(self, reader: Reader) -> None:
        assert [e.data for e in reader.got] == self.published[: len(reader.got)]

    def teardown(self) -> None:
        for reader in self.everyone:
            for _ in range(1000):
                if not self.new_log().read(self.topic, reader.cursor, 500).events:
                    break
                self.poll(reader, 500)


class LatestMachine(LogMachine):
    """The same for keep = "latest": a reader may skip, and never sees an older event after a newer one."""

    keep = "latest"

    @rule(who=st.integers(0, 2), count=st.integers(1, 3), keyed=st.booleans(), repeat=st.booleans())
    def append(self, who: int, count: int, keyed: bool, repeat: bool) -> None:
        super().append(who, count, keyed, repeat)

    def judge(self, reader: Reader) -> None:
        seqs = [e.seq for e in reader.got]
        assert seqs == sorted(set(seqs))
        assert [e.data for e in reader.got] == [self.published[seq - 1] for seq in seqs]

    def recent(self) -> None:  # it is for keep = "all"
        pass


TestLog = LogMachine.TestCase
TestLatest = LatestMachine.TestCase
TestLog.settings = TestLatest.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def test_lost_answer_that_was_overtaken_is_found_in_history() -> None:
    """A put that went in, whose answer was lost and which others have superseded since, is not made twice."""

    class Overtaken(MemoryStore):
        def swap(self, expected: Append | None, new: Append) -> Swapped:
            swapped = super().swap(expected, new)
            if new.events[0].data_json == '"mine"' and swapped.done:
                Log(self).append(news, [event("theirs")])
                return Swapped(done=False, head=self.head(new.topic, consistent=True), repeated=True)
            return swapped

    news = topic("news")
    log = Log(Overtaken())
    assert [e.seq for e in log.append(news, [event("mine")])] == [1]
    assert [e.data for e in log.read(news, START).events] == ["mine", "theirs"]


def test_lost_answer_of_a_latest_topic_is_said_not_guessed() -> None:
    """Without history nothing can tell whether the put went in: the publisher is asked to repeat with a key."""

    class Overtaken(MemoryStore):
        def swap(self, expected: Append | None, new: Append) -> Swapped:
            if new.events[0].data_json == '"mine"':
                Log(self).append(figures, [event("theirs")])
                return Swapped(done=False, head=self.head(new.topic, consistent=True), repeated=True)
            return super().swap(expected, new)

    figures = topic("figures", keep="latest")
    try:
        Log(Overtaken()).append(figures, [event("mine")])
    except RealtimeError as error:
        assert error.code is Code.UNAVAILABLE
    else:
        raise AssertionError


def test_key_of_a_head_that_is_older_than_its_window_is_a_new_key() -> None:
    """A process with an outdated head in memory meets its own key there, an hour later: that is a new event."""
    clock, store, news = Clock(), MemoryStore(), topic("news")
    stale, other = (Log(store, clock=clock, sleep=clock.sleep) for _ in range(2))
    stale.append(news, [event("x")])
    other.append(news, [event("same")], key="k")
    clock.now += 3600
    assert stale.append(news, [event("same")], key="k")[0].seq == 3


@pytest.mark.parametrize("keep", ["all", "latest"])
def test_repeated_put_with_a_key_is_settled_by_the_key_alone(keep: str) -> None:
    """The SDK repeats a put that never went in, and an old event with the same key stands where ours would: ours is appended."""
    clock, kept = Clock(), topic("news", keep=keep)

    class Throttled(MemoryStore):
        def swap(self, expected: Append | None, new: Append) -> Swapped:
            return super().swap(expected, new)._replace(repeated=True)

    store = Throttled()
    stale, other = (Log(store, clock=clock, sleep=clock.sleep) for _ in range(2))
    stale.append(kept, [event("x")])
    other.append(kept, [event("old")], key="k")
    other.append(kept, [event("y")])
    clock.now += 3600
    (made,) = stale.append(kept, [event("new")], key="k")
    assert (made.seq, made.data) == (4, "new")
    assert stale.newest(kept).events[-1].data == "new"


def test_history_that_lags_behind_the_head_is_read_again() -> None:
    """An eventually consistent query without its last rows is no page: the head was seen, so what leads up to it must come."""

    class Lagging(MemoryStore):
        def history(self, *place: Any, consistent: bool, **how: Any) -> Sequence[Append]:
            rows = super().history(*place, consistent=consistent, **how)
            return rows if consistent else rows[:1]

    log, news = Log(Lagging()), topic("news")
    for n in range(6):
        log.append(news, [event(n)])
    assert [e.data for e in log.read(news, START).events] == list(range(6))
