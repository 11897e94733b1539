"""Answers: every piece is in the log once, few appends, and nothing after the end."""

import json
from collections.abc import Callable, Generator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime import answers
from realtime.answers import ANSWER_SECONDS, BATCH_PIECES, LAST, PIECE_CHARS, TRIES, Message, Usage, Writer
from realtime.cursor import START
from realtime.errors import Code, RealtimeError
from realtime.event import Event, NewEvent
from realtime.features import MIN_ANSWER_BYTES, Topic
from realtime.log import Append, Log, Swapped
from realtime.memory import MemoryStore
from tests.helpers import Clock, topic

QUESTION = [Message("user", "Why?")]
MINE = topic("answers/ann/a1", pattern="sse", rooms=True, access={"read": "owner", "publish": "service"})


class Counted(MemoryStore):
    """Counts appends and reads, and fails when told to; `lost`: the append goes in, and its answer gets lost."""

    def __init__(self) -> None:
        super().__init__()
        self.appends = 0
        self.reads = 0
        self.down = 0
        self.lost = 0
        self.then_down = 0

    def head(self, topic: str, *, consistent: bool) -> Append | None:
        self.reads += 1
        return super().head(topic, consistent=consistent)

    def swap(self, expected: Append | None, new: Append) -> Swapped:
        self.appends += 1
        if self.down:
            self.down -= 1
            raise RealtimeError(Code.UNAVAILABLE, "down")
        swapped = super().swap(expected, new)
        if self.lost:
            self.lost -= 1
            self.down = self.then_down
            raise RealtimeError(Code.UNAVAILABLE, "lost")
        return swapped


class Says:
    """A model that says what it was given, a piece per step of the clock; callables are called in between."""

    name = "says"

    def __init__(self, clock: Clock, *pieces: str | Callable[[], object], pace: float = 50.0) -> None:
        self.clock = clock
        self.pieces = pieces
        self.pace = pace
        self.given = 0
        self.closed = False

    def answer(self, messages: Sequence[Message], max_tokens: int) -> Generator[str | Usage]:
        try:
            for piece in self.pieces:
                self.clock.sleep(1 / self.pace)
                if callable(piece):
                    piece()
                else:
                    self.given += 1
                    yield piece
            yield Usage(7, self.given, "end_turn")
        finally:
            self.closed = True


class Desk:
    """A log in memory, and writers over it."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.store = Counted()
        self.log = Log(self.store, clock=self.clock, sleep=self.clock.sleep)
        self.heard: list[Event] = []
        self.previews: list[str] = []

    def write(self, *pieces: str | Callable[[], object], pace: float = 50.0, **more: Any) -> Says:
        started = answers.begin(self.log, MINE, "says", "q")
        assert started
        model = Says(self.clock, *pieces, pace=pace)
        more = {"clock": self.clock, "sleep": self.clock.sleep, **more}
        Writer(self.log, MINE, started.cursor, self.heard.extend, self.previews.append, **more).run(model, QUESTION, 100)
        return model

    @property
    def events(self) -> list[Event]:
        return list(self.log.read(MINE, START, 500).events)

    @property
    def end(self) -> Event:
        return self.events[-1]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def pieces(events: Sequence[Event]) -> list[str]:
    """What a reader has who puts each piece where its number says."""
    found: dict[int, str] = {}
    for event in events:
        if event.type == answers.TEXT:
            data = json.loads(event.data_json)
            found |= {data["first"] + number: piece for number, piece in enumerate(data["pieces"])}
    assert list(found) == list(range(len(found)))
    return list(found.values())


@given(st.lists(st.text(max_size=30)), st.sampled_from([1.0, 10.0, 50.0, 500.0]))
def test_whatever_a_model_says_is_in_the_log(said: list[str], pace: float) -> None:
    """In order, each piece once, whatever its pace; then the usage, and nothing more."""
    desk = Desk()
    desk.write(*said, pace=pace)
    assert "".join(pieces(desk.events)) == "".join(said)
    assert [event.type in LAST for event in desk.events] == [False] * (len(desk.events) - 1) + [True]
    assert json.loads(desk.end.data_json) == {
        "pieces": len(desk.previews),
        "input_tokens": 7,
        "output_tokens": len(said),
        "stop_reason": "end_turn",
    }
    assert desk.heard == desk.events[1:]


@pytest.mark.parametrize("pace", [50.0, 51.0, 75.0, 100.0, 1_000.0])
def test_two_thousand_pieces_are_at_most_thirty_appends(desk: Desk, pace: float) -> None:
    """And as many write units times two; not one read, but for that of `started`."""
    desk.write(*(["word"] * 2_000), pace=pace)
    assert (desk.store.appends <= 30, desk.store.reads) == (True, 1)
    assert len(pieces(desk.events)) == 2_000


def test_previews_come_before_the_batch(desk: Desk) -> None:
    """Each piece at once, with its number; the log has them when the batch is full."""
    seen: list[int] = []
    desk.write(*("abcde"[:5]), lambda: seen.append(len(desk.heard)))
    assert [json.loads(preview) for preview in desk.previews] == [{"first": n, "pieces": [piece]} for n, piece in enumerate("abcde")]
    assert json.loads(desk.heard[0].data_json) == {"first": 0, "pieces": list("abcd")}
    assert (BATCH_PIECES[0], seen) == (4, [1])


def test_slow_model_is_not_waited_for(desk: Desk) -> None:
    """A batch is appended when it is two seconds old."""
    desk.write(*("abcd"), *("efghijkl"), pace=1)
    assert [len(json.loads(event.data_json)["pieces"]) for event in desk.events if event.type == answers.TEXT][:4] == [2, 2, 2, 2]


def test_no_event_is_bigger_than_a_feature_allows(desk: Desk) -> None:
    """Whatever the pieces: long ones, characters of four bytes, and those that JSON escapes."""
    desk.write("\x00" * 5_000, "\U0001f600" * 3_000, *("\x01" * PIECE_CHARS for _ in range(50)), pace=1_000)
    assert max(len(event.data_json.encode()) for event in desk.events) <= MIN_ANSWER_BYTES
    assert "".join(pieces(desk.events)) == "\x00" * 5_000 + "\U0001f600" * 3_000 + "\x01" * PIECE_CHARS * 50


def test_cancelled_answer_stops_within_one_batch(desk: Desk) -> None:
    """The batch that follows is refused, the model is closed, and the topic ends with `cancelled`."""
    model = desk.write(*("word",) * 150, lambda: answers.cancel(desk.log, MINE), *("more",) * 1_000)
    assert desk.end.type == answers.CANCELLED
    assert model.given <= 150 + BATCH_PIECES[-1]
    assert model.closed
    assert "more" not in pieces(desk.events)
    assert desk.heard == desk.events[1:]


def test_cancelling_twice_or_too_late_changes_nothing(desk: Desk) -> None:
    """An answer that has ended stays as it is."""
    desk.write("all")
    before = desk.events
    answers.cancel(desk.log, MINE)
    assert desk.events == before


def test_cancelling_what_is_not_there_is_not_found(desk: Desk) -> None:
    """Never asked, or expired."""
    with pytest.raises(RealtimeError) as refused:
        answers.cancel(desk.log, MINE)
    assert refused.value.code is Code.NOT_FOUND


def test_log_that_is_busy_is_tried_again(desk: Desk) -> None:
    """With pauses; no piece is lost or doubled."""
    desk.write(*("abcdefgh"), lambda: setattr(desk.store, "down", TRIES - 1), *("ijklmnopqrstuvwxyz"))
    assert "".join(pieces(desk.events)) == "abcdefghijklmnopqrstuvwxyz"
    assert desk.end.type == answers.DONE


def test_batch_whose_answer_was_lost_is_not_doubled(desk: Desk) -> None:
    """The log refuses the repeat, and the writer finds its own batch there."""
    desk.write(*("abcd"), lambda: setattr(desk.store, "lost", 1), *("efghijklmnop"))
    assert "".join(pieces(desk.events)) == "abcdefghijklmnop"
    assert len([event for event in desk.events if event.type == answers.TEXT]) == 3
    assert desk.heard == desk.events[1:]


def test_log_that_comes_back_late_still_gets_the_whole_end(desk: Desk) -> None:
    """A batch went in without an answer, and then nothing for longer than it is tried: `failed` follows that very batch."""

    def break_off() -> None:
        desk.store.lost, desk.store.then_down = 1, TRIES - 1

    desk.write(*("abcd"), break_off, *("efghijklmnop"), lambda: None)
    assert "".join(pieces(desk.events)) == "abcdefghijkl"
    assert desk.end.type == answers.FAILED


def test_model_that_fails_says_so_in_band(desk: Desk) -> None:
    """What it had said stays; the answer ends with the code of its refusal."""

    def busy() -> None:
        raise RealtimeError(Code.UNAVAILABLE, "the model is busy")

    desk.write("a", "b", busy)
    assert pieces(desk.events) == ["a", "b"]
    assert (desk.end.type, json.loads(desk.end.data_json)) == ("failed", {"code": "unavailable", "message": "the model is busy"})


def test_unforeseen_failure_tells_nothing_of_itself(desk: Desk) -> None:
    """`internal`, without the text of the exception."""
    desk.write("a", lambda: {}["secret"])  # type: ignore[index]
    assert json.loads(desk.end.data_json)["code"] == "internal"
    assert "secret" not in desk.end.data_json


@pytest.mark.parametrize("more", [{"seconds": 1.0}, {"stopping": lambda: True}])
def test_answer_that_may_not_go_on_is_ended(desk: Desk, more: dict[str, Any]) -> None:
    """It takes too long, or its process is about to end."""
    model = desk.write(*("word",) * 1_000, **more)
    assert desk.end.type == answers.FAILED
    assert model.given <= 51
    assert model.closed


def test_repeat_of_a_question_begins_nothing(desk: Desk) -> None:
    """The same key is the same answer; with another question it is refused."""
    desk.write("once")
    assert answers.begin(desk.log, MINE, "says", "q") is None
    assert answers.begun(desk.log, MINE, "q")
    with pytest.raises(RealtimeError) as refused:
        answers.begun(desk.log, MINE, "another")
    assert refused.value.code is Code.KEY_REUSED


def test_key_of_an_expired_answer_is_refused(desk: Desk) -> None:
    """Its events are gone, so nobody can say what was asked."""
    desk.write("once")
    desk.clock.now += MINE.retain_seconds + 1
    with pytest.raises(RealtimeError) as refused:
        answers.begin(desk.log, MINE, "says", "q")
    assert refused.value.code is Code.KEY_REUSED


def test_id_is_the_callers_own() -> None:
    """One caller's key never leads to another's answer; without a key every answer is another."""
    assert answers.new_id("ann", "k") == answers.new_id("ann", "k") != answers.new_id("bob", "k")
    assert answers.new_id("ann", None) != answers.new_id("ann", None)


def test_reader_who_has_all_is_told_so(desk: Desk) -> None:
    """At the last event, and in a topic without any; not before it."""
    assert answers.over(desk.log, MINE, START, desk.clock)
    desk.write("all")
    assert not answers.over(desk.log, MINE, desk.events[0].cursor, desk.clock)
    assert answers.over(desk.log, MINE, desk.end.cursor, desk.clock)
    assert answers.over(desk.log, MINE, None, desk.clock)


def test_answer_that_was_broken_off_is_ended_by_a_reader(desk: Desk) -> None:
    """Its process died. Nobody waits longer than an answer may take, and two readers end it once."""
    started = answers.begin(desk.log, MINE, "says", "q")
    assert started
    assert not answers.over(desk.log, MINE, started.cursor, desk.clock)
    desk.clock.now += ANSWER_SECONDS + 1
    assert [answers.over(desk.log, MINE, started.cursor, desk.clock) for _ in range(2)] == [False, False]
    assert [event.type for event in desk.events] == ["started", "failed"]


def test_last_events_are_those_of_answers_alone() -> None:
    """Another feature may have events of these names."""

    def made(topic: str, kind: str) -> Event:
        return Event(topic, "e", 1, kind, "{}", 0)

    assert [answers.last(made("answers/ann/x", kind)) for kind in ("done", "failed", "cancelled", "text")] == [True, True, True, False]
    assert not answers.last(made("orders", "done"))


def test_batch_and_cancellation_at_the_same_instant(desk: Desk) -> None:
    """Whichever the log takes first: either the batch is there before `cancelled`, or not at all."""
    started = answers.begin(desk.log, MINE, "says", "q")
    assert started
    other: list[Topic] = []
    append = desk.log.append

    def between(topic: Topic, events: Sequence[NewEvent], **how: Any) -> tuple[Event, ...]:
        if not other and events[0].type == answers.CANCELLED:
            other.append(topic)
            append(topic, [NewEvent.of("text", {"first": 0, "pieces": ["a"]})])
        return append(topic, events, **how)

    desk.log.append = between  # type: ignore[method-assign]
    answers.cancel(desk.log, MINE)
    assert [event.type for event in desk.events] == ["started", "text", "cancelled"]
