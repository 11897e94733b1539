"""The log's contract, point by point, over each store."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from realtime.cursor import START, Cursor
from realtime.errors import Code, RealtimeError
from realtime.log import KEY_WINDOW_SECONDS, Log, Store
from tests.helpers import Clock, event, topic

ALL, LATEST = topic("news"), topic("figures", keep="latest")


def seqs(log: Log, after: Cursor = START, limit: int = 100) -> list[int]:
    return [e.seq for e in log.read(ALL, after, limit).events]


def test_seq_counts_from_one_without_gaps(log: Log) -> None:
    """Every event gets the next seq of its topic."""
    assert [log.append(ALL, [event(n)])[0].seq for n in range(3)] == [1, 2, 3]


def test_topics_count_apart(log: Log) -> None:
    """One topic's events do not move another's seq."""
    log.append(ALL, [event()])
    assert log.append(topic("other"), [event()])[0].seq == 1


def test_concurrent_publishers_leave_no_gap_and_no_repeat(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Point 1: whatever the number of publishers, seq is 1..n, each once."""
    monkeypatch.setattr("realtime.log.APPEND_DEADLINE_SECONDS", 60.0)  # moto is slow, and an attempt's pause grows with the attempt
    logs = [Log(store) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        made = [e.seq for batch in pool.map(lambda n: logs[n % 4].append(ALL, [event(n)]), range(20)) for e in batch]
    assert sorted(made) == list(range(1, 21))
    assert seqs(logs[0]) == list(range(1, 21))


def test_data_comes_back_as_it_was_published(log: Log) -> None:
    """Type and data of every JSON kind survive the store."""
    data = {"text": "é\U0001f600", "n": 1.5, "deep": [None, True, {"a": []}]}
    log.append(ALL, [event(data, "note")])
    assert [(e.type, e.data) for e in log.read(ALL, START).events] == [("note", data)]


def test_batch_is_one_append(log: Log) -> None:
    """Up to 25 events go in together and are read one by one."""
    log.append(ALL, [event(n) for n in range(25)])
    log.append(ALL, [event()])
    first = log.read(ALL, START, limit=10)
    assert [e.seq for e in first.events] == list(range(1, 11))
    assert seqs(log, first.cursor) == list(range(11, 27))


@pytest.mark.parametrize("count", [0, 26])
def test_batch_has_bounds(log: Log, count: int) -> None:
    """No events, or more than 25, are refused and nothing is stored."""
    with pytest.raises(RealtimeError) as refused:
        log.append(ALL, [event()] * count)
    assert refused.value.code is Code.INVALID
    assert log.read(ALL, START).cursor == START


def test_batch_over_an_items_size_is_refused(log: Log) -> None:
    """An append that DynamoDB could not hold is too_large, not a failure of the store."""
    with pytest.raises(RealtimeError) as refused:
        log.append(ALL, [event("x" * 100_000)] * 3)
    assert refused.value.code is Code.TOO_LARGE


def test_key_makes_a_repeat_harmless(log: Log) -> None:
    """Point 3: the same key and body return the first event, also when others came between."""
    first = log.append(ALL, [event("a")], key="k")
    assert log.append(ALL, [event("a")], key="k") == first
    log.append(ALL, [event("b")])
    log.append(ALL, [event("c")])
    assert log.append(ALL, [event("a")], key="k") == first
    assert seqs(log) == [1, 2, 3]


def test_key_with_another_body_is_refused(log: Log) -> None:
    """Point 3: a key belongs to one body, in the head and in history."""
    for _ in range(2):
        log.append(ALL, [event("a")], key="k") if not seqs(log) else log.append(ALL, [event("x")])
        with pytest.raises(RealtimeError) as refused:
            log.append(ALL, [event("b")], key="k")
        assert refused.value.code is Code.KEY_REUSED


def test_key_is_forgotten_after_its_window(log: Log, clock: Clock) -> None:
    """Point 3: five minutes later the same key is a new event, whatever DynamoDB has deleted by then."""
    log.append(ALL, [event("a")], key="k")
    log.append(ALL, [event("b")])
    clock.now += KEY_WINDOW_SECONDS
    assert log.append(ALL, [event("a")], key="k")[0].seq == 3


def test_key_works_for_latest(log: Log) -> None:
    """Point 3 holds where no history is kept."""
    first = log.append(LATEST, [event("a")], key="k")
    log.append(LATEST, [event("b")])
    assert log.append(LATEST, [event("a")], key="k") == first


def test_empty_topic_has_the_start_cursor(log: Log) -> None:
    """Point 5: nothing was ever published: 0-0, and reading from there is no loss."""
    page = log.read(ALL, START)
    assert (str(page.cursor), page.events, page.recovered) == ("0-0", (), True)


def test_nothing_new_keeps_the_cursor(log: Log) -> None:
    """A reader at the head stays where it is."""
    cursor = log.append(ALL, [event()])[0].cursor
    assert log.read(ALL, cursor).cursor == cursor


def test_each_event_names_the_cursor_that_it_follows(log: Log) -> None:
    """Point 4: prev chains from the reader's own cursor."""
    a, b = log.append(ALL, [event(), event()])
    assert [str(previous) for _, previous in log.read(ALL, START).deliveries()] == ["0-0", str(a.cursor)]
    assert [previous for _, previous in log.read(ALL, a.cursor).deliveries()] == [a.cursor]
    assert b.seq == 2


def test_latest_gives_the_newest_only_and_skipping_is_no_gap(log: Log) -> None:
    """Point 4, keep = "latest": at most one event, whose prev is the reader's cursor."""
    cursor = log.append(LATEST, [event(1)])[0].cursor
    log.append(LATEST, [event(2)])
    log.append(LATEST, [event(3)])
    ((newest, previous),) = log.read(LATEST, cursor).deliveries()
    assert (newest.data, previous, newest.seq) == (3, cursor, 3)


def test_feature_that_turns_to_latest_keeps_its_newest_event(log: Log, clock: Clock) -> None:
    """A change of `keep` is one line: the newest event that was to expire now stays."""
    log.append(ALL, [event(1)])
    clock.now += 2 * ALL.retain_seconds
    assert [e.data for e in log.newest(topic("news", keep="latest")).events] == [1]


def test_latest_never_expires(log: Log, clock: Clock) -> None:
    """Point 4: the newest event is there however old it is."""
    log.append(LATEST, [event(1)])
    clock.now += 400 * 86_400
    assert [e.data for e in log.newest(LATEST).events] == [1]


@pytest.mark.parametrize("stale", ["another-1", "1-1"])
def test_cursor_of_another_epoch_is_a_reset(log: Log, stale: str) -> None:
    """Point 5: a cursor of another life of the topic is never honoured."""
    head = log.append(ALL, [event()])[0].cursor
    page = log.read(ALL, Cursor.parse(stale.replace("another", "abc")))
    assert (page.recovered, page.events, page.cursor) == (False, (), head)


def test_cursor_ahead_of_the_head_is_a_reset(log: Log) -> None:
    """Point 4: a cursor that the log has not reached is not ours to continue."""
    head = log.append(ALL, [event()])[0].cursor
    assert not log.read(ALL, Cursor(head.epoch, 2)).recovered


def test_reset_of_latest_brings_the_newest(log: Log) -> None:
    """Where the newest event is the whole state, a reset carries it, to be followed from the start."""
    log.append(LATEST, [event(7)])
    page = log.read(LATEST, Cursor("abc", 4))
    assert [(e.data, previous) for e, previous in page.deliveries()] == [(7, START)]
    assert not page.recovered


def test_wiped_table_resets_old_cursors(log: Log) -> None:
    """Point 5: an empty table cannot make an old cursor look valid, and neither can what is published after."""
    old = Cursor("abcdef", 1)
    assert not log.read(ALL, old).recovered
    log.append(ALL, [event()])
    assert not log.read(ALL, old).recovered


def test_expired_events_are_not_replayed(log: Log, clock: Clock) -> None:
    """Points 4 and 5: what TTL has not deleted yet is gone all the same, and the replay says so."""
    first = log.append(ALL, [event(1)])[0].cursor
    log.append(ALL, [event(2)])
    clock.now += ALL.retain_seconds - 10
    head = log.append(ALL, [event(3)])[0].cursor
    clock.now += 11
    page = log.read(ALL, first)
    assert (page.recovered, page.events, page.cursor) == (False, (), head)


def test_topic_whose_events_all_expired_keeps_its_position(log: Log, clock: Clock) -> None:
    """Point 5: the head outlives its event, so a reader who has everything is told so, and others are reset."""
    a, b = (log.append(ALL, [event(n)])[0].cursor for n in (1, 2))
    clock.now += ALL.retain_seconds + 1
    assert log.read(ALL, b).recovered
    assert not log.read(ALL, a).recovered
    assert log.append(ALL, [event(3)])[0].seq == 3


def test_recent_shows_the_last_events(log: Log) -> None:
    """A reader without a position sees the newest events, oldest first, across appends."""
    for n in range(6):
        log.append(ALL, [event(n), event(n)])
    page = log.recent(ALL, limit=5)
    assert [e.seq for e in page.events] == [8, 9, 10, 11, 12]
    assert next(page.deliveries())[1].seq == 7
    assert log.read(ALL, page.cursor).events == ()


def test_recent_leaves_out_the_expired(log: Log, clock: Clock) -> None:
    """What has expired is not shown, as far back as the first that has."""
    log.append(ALL, [event(1)])
    clock.now += ALL.retain_seconds - 10
    log.append(ALL, [event(2)])
    clock.now += 11
    assert [e.data for e in log.recent(ALL).events] == [2]


def test_time_rises_with_seq(log: Log, clock: Clock) -> None:
    """A publisher whose clock lags cannot turn the order of `at` round."""
    first = log.append(ALL, [event()])[0]
    clock.now -= 60
    assert log.append(ALL, [event()])[0].at_ms > first.at_ms


def test_busy_topic_gives_up_in_time(clock: Clock) -> None:
    """An append that never wins is `unavailable` after five seconds, with the seconds to wait."""
    from realtime.log import Append, Swapped
    from realtime.memory import MemoryStore

    class Lost(MemoryStore):
        def swap(self, expected: Append | None, new: Append) -> Swapped:
            return Swapped(done=False, head=expected)

    started = clock.now
    with pytest.raises(RealtimeError) as refused:
        Log(Lost(), clock=clock, sleep=clock.sleep).append(ALL, [event()])
    assert (refused.value.code, refused.value.retry_after) == (Code.UNAVAILABLE, 1)
    assert clock.now - started < 6


def test_query_cut_short_by_size_is_a_shorter_page_not_a_reset(clock: Clock) -> None:
    """DynamoDB ends a query at 1 MB: the page ends there too, and the next one goes on."""
    from collections.abc import Sequence

    from realtime.log import Append
    from realtime.memory import MemoryStore

    class Cut(MemoryStore):
        def history(self, *place: object, **how: object) -> Sequence[Append]:
            return super().history(*place, **how)[:2]  # type: ignore[arg-type]

    log = Log(Cut(), clock=clock)
    for n in range(5):
        log.append(ALL, [event(n)])
    first = log.read(ALL, START)
    assert (first.recovered, [e.seq for e in first.events]) == (True, [1, 2])
    assert seqs(log, first.cursor) == [3, 4, 5]


def test_heads_of_several_topics_are_asked_for_at_once(log: Log) -> None:
    """Those that have any event; an expired topic has its head still."""
    log.append(ALL, [event(1), event(2)])
    log.append(LATEST, [event(1)])
    heads = log.heads([ALL, LATEST, topic("empty")])
    assert {name: cursor.seq for name, cursor in heads.items()} == {"news": 2, "figures": 1}
    assert log.heads([]) == {}


def test_log_knows_its_own_cursors(log: Log) -> None:
    """Not those of another life, nor those that it has not given out."""
    (made,) = log.append(ALL, [event()])
    known = [log.knows(ALL, cursor) for cursor in (made.cursor, START, Cursor(made.epoch, 2), Cursor("ffff", 1))]
    assert known == [True, True, False, False]
    assert (log.knows(LATEST, START), log.knows(LATEST, made.cursor)) == (True, False)


def test_claim_stands_in_the_append(store: Store, log: Log) -> None:
    """And in that one alone: the next is again everybody's."""
    claimed = []
    for claim in (False, True, False):
        log.append(ALL, [event()], claim=claim)
        head = store.head("news", consistent=True)
        claimed.append(head is not None and head.claimed)
    assert claimed == [False, True, False]


def test_key_is_remembered_to_the_last_millisecond(log: Log, clock: Clock) -> None:
    """Appends in one millisecond get times of their own, which run ahead of the clock: they must not end a key's window."""
    (first,) = log.append(ALL, [event()], key="k")
    clock.sleep(KEY_WINDOW_SECONDS - 0.001)
    for number in range(5):
        log.append(ALL, [event(number)], key=f"k{number}")
    assert log.append(ALL, [event()], key="k") == (first,)
