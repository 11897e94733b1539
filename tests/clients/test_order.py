"""The drop-and-hold rule: whatever feeds a topic's position, and in whatever order, each event is handed on once and in order."""

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from clients.order import MAX_HELD, START, Event, Order, Page, ahead

Feed = tuple[str, int, int]
"""`push` or `page`, the first event of it, and how many."""

FEEDS = st.lists(st.tuples(st.sampled_from(["push", "page"]), st.integers(1, 30), st.integers(1, 5)), max_size=60)


def event(seq: int, epoch: str = "e", prev: str = "") -> Event:
    return Event("t", seq, epoch, "note", seq, "2026-11-24T04:49:55.634Z", prev or f"{epoch}-{seq - 1}")


def seqs(events: Sequence[Event]) -> list[int]:
    return [event.seq for event in events]


def page(after: str | None, *numbers: int, epoch: str = "e", end: int | None = None, **more: Any) -> Page:
    """An answer whose events are these, or which ends at `end`."""
    last = numbers[-1] if numbers else end
    return Page(after, f"{epoch}-{last}", **{"recovered": after is not None, **more}, events=[event(number, epoch) for number in numbers])


@given(FEEDS, st.integers(0, 29))
def test_each_event_once_and_in_order(feeds: list[Feed], start: int) -> None:
    """Pushes that are lost, repeated and out of order, and reads of any age: what is handed on is a run without a hole."""
    order, got = Order(f"e-{start}"), list[int]()
    for kind, first, count in feeds:
        numbers = range(first, first + count)
        if kind == "push":
            got += seqs(order.push(event(number) for number in numbers))
        else:
            got += seqs(order.page(page(f"e-{first - 1}", *numbers))[1])
    assert got == list(range(start + 1, start + 1 + len(got)))
    assert order.cursor == f"e-{start + len(got)}"


@given(FEEDS, st.integers(0, 29))
def test_a_read_from_the_cursor_closes_every_gap(feeds: list[Feed], start: int) -> None:
    """After it, everything up to its end has been handed on, and nothing waits."""
    order, got = Order(f"e-{start}"), list[int]()
    for _, first, count in feeds:
        got += seqs(order.push(event(number) for number in range(first, first + count)))
    here = start + len(got)
    got += seqs(order.page(page(f"e-{here}", *range(here + 1, 41), end=here))[1])
    assert got == list(range(start + 1, 41))
    assert not order.gap


@given(st.permutations(range(1, 20)), st.integers(0, 19))
def test_what_was_pushed_before_the_first_page_follows_it(pushed: list[int], end: int) -> None:
    """Without a position everything is held until a page says where the topic stands."""
    order = Order()
    assert order.push(event(number) for number in pushed) == []
    lost, got = order.page(Page(None, f"e-{end}", recovered=False))
    assert not lost
    assert seqs(got) == list(range(1, 20))
    assert order.cursor == "e-19"


def test_a_replay_of_the_newest_begins_before_its_oldest() -> None:
    """By WebSocket it is pushed, and the page that says where the topic stands comes after it."""
    order = Order()
    order.push([event(8), event(9)])
    assert seqs(order.page(Page(None, "e-9", recovered=False))[1]) == [8, 9]


def test_a_page_without_a_position_brings_its_events() -> None:
    """As polling does: the newest ones, and then what follows."""
    order = Order()
    assert seqs(order.page(page(None, 7, 8))[1]) == [7, 8]
    assert order.cursor == "e-8"


def test_the_first_event_follows_an_empty_topic() -> None:
    """Whatever its epoch; but not the second one."""
    assert seqs(Order(START).push([event(1, "a")])) == [1]
    assert seqs(Order(START).push([event(1, "a", prev=START)])) == [1]
    assert Order(START).push([event(2, "a")]) == []


def test_what_skips_others_on_purpose_is_no_gap() -> None:
    """Where only the newest is kept, it follows whatever the reader has."""
    order = Order("e-3")
    assert seqs(order.push([event(9, prev="e-0")])) == [9]
    assert order.push([event(7, prev="e-0")]) == []


def test_another_epoch_is_never_a_silent_jump() -> None:
    """It waits for a read, which says that the position is lost."""
    order = Order("e-3")
    assert order.push([event(1, "f"), event(2, "f")]) == []
    assert order.gap
    lost, got = order.page(Page("e-3", "f-1", recovered=False))
    assert (lost, seqs(got), order.cursor) == (True, [2], "f-2")


def test_a_lost_position_without_another_begins_anew() -> None:
    """The server does not know the cursor: the next page says where the topic stands now."""
    order = Order("e-3")
    assert order.page(Page("e-3", None, recovered=False)) == (True, [])
    assert seqs(order.page(page(None, 1, epoch="f"))[1]) == [1]


def test_a_reset_of_somebody_elses_position_is_not_ours() -> None:
    """Two transports feed the topic, and one was behind: its cursor is gone, ours is not."""
    order = Order("e-30")
    assert order.page(Page("e-3", "e-40", recovered=False)) == (False, [])
    assert order.cursor == "e-30"


def test_what_is_held_of_a_past_life_is_dropped_by_an_answer() -> None:
    """Else it would be asked about for ever."""
    order = Order("f-3")
    order.push([event(9, "e")])
    assert order.gap
    order.page(page("f-3", end=3, epoch="f"))
    assert not order.gap


def test_what_is_held_is_bounded() -> None:
    """What does not fit comes with the next page."""
    order = Order("e-0")
    order.push(event(number) for number in range(2, 3 * MAX_HELD))
    assert len(order.push([event(1)])) == MAX_HELD + 1


def test_ahead() -> None:
    """Further on, or in another life."""
    assert ahead("e-10", "e-9")
    assert not ahead("e-9", "e-9")
    assert ahead("f-1", "e-9")
