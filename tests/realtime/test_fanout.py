"""Fan-out: everybody gets the event, nobody waits for a dead one, and what is left over is handed on."""

from dataclasses import replace

import pytest

from realtime.event import Event
from realtime.fanout import Push
from realtime.frames import FRAME_BYTES, deliver
from realtime.gateway import Outcome
from realtime.log import MAX_BATCH
from tests.helpers import event
from tests.world import World

LOBBY = "chat/lobby"


def crowd(world: World, count: int, topic: str = LOBBY, **more: object) -> list[str]:
    names = [f"c{number:04}" for number in range(count)]
    for name in names:
        world.subscribe(world.connect(name), topic, **more)
    return names


def push(world: World, topic: str = LOBBY, count: int = 1) -> None:
    found = world.features.topic(topic)
    world.fanout.deliver(found, world.log.append(found, [event(number) for number in range(count)]))


def test_everybody_gets_it_through_all_pages(world: World) -> None:
    """1,200 subscribers in one shard: three pages of the memory store."""
    names = crowd(world, 1200)
    push(world)
    assert all(world.wire.events(name) == [1] for name in names)


def test_dead_connections_are_cleared_and_fail_nobody(world: World) -> None:
    """On 410 exactly the dead one's rows go; all others get the event."""
    crowd(world, 10)
    world.wire.closed = {"c0003", "c0007"}
    push(world)
    assert sum(world.wire.events(name) == [1] for name in world.wire.sent) == 8
    assert set(world.rows.connections) == set(world.rows.subscribers[f"{LOBBY}#0"]) == set(world.wire.sent)  # type: ignore[attr-defined]


def test_slow_connection_keeps_its_rows(world: World) -> None:
    """A push that was not taken is made good by the cursor, not by a disconnect."""
    crowd(world, 3)
    world.wire.outcomes["c0001"] = Outcome.FAILED
    push(world)
    assert len(world.rows.connections) == 3  # type: ignore[attr-defined]


@pytest.mark.parametrize("room", [0, 1, 499, 500, 501, 999])
def test_deadline_hands_the_rest_over(world: World, room: int) -> None:
    """Whoever was not begun is another invocation's: each gets the event, whatever the page the deadline fell into."""
    names = crowd(world, 1000)
    world.wire.room = room
    push(world)
    assert len(world.queue.messages) == 1
    world.wire.room = 1_000_000
    world.work()
    assert all(world.wire.events(name) == [1] for name in names)


def test_expired_token_ends_pushes_and_closes(world: World) -> None:
    """With a frame that says why; the others are not disturbed."""
    world.subscribe(world.connect("old", seconds=60), LOBBY)
    crowd(world, 2)
    world.clock.sleep(61)
    push(world)
    assert [frame["code"] for frame in world.wire.sent["old"]] == ["expired"]
    assert "old" in world.wire.closed
    assert set(world.rows.connections) == {"c0000", "c0001"}  # type: ignore[attr-defined]


def test_changed_rule_ends_the_subscription(world: World) -> None:
    """A deployment may have made a feature stricter: who was admitted by another rule has to ask again."""
    crowd(world, 1)
    chat = world.features["chat"]
    world.features._features["chat"] = replace(chat, access=replace(chat.access, read="claim:staff"))
    push(world)
    push(world)
    assert [(frame["code"], frame["topic"]) for frame in world.wire.sent["c0000"]] == [("forbidden", LOBBY)]


def test_batch_is_one_frame_where_it_may_be(world: World) -> None:
    """25 events: one message for those who take batches, 25 for others."""
    world.subscribe(world.connect("ann"), LOBBY, batch=True)
    world.subscribe(world.connect("bob"), LOBBY)
    push(world, count=MAX_BATCH)
    assert [len(frame["events"]) for frame in world.wire.sent["ann"]] == [MAX_BATCH]
    assert world.wire.events("bob") == list(range(1, MAX_BATCH + 1))


def test_newest_value_follows_whatever_the_reader_has(world: World) -> None:
    """Where only the newest counts, a skipped event is no gap."""
    world.subscribe(world.connect("ann"), "price")
    push(world, "price", count=3)
    ((seq, prev),) = [(frame["seq"], frame["prev"].split("-")[1]) for frame in world.wire.sent["ann"]]
    assert (seq, prev) == (3, "0")


def test_push_travels_through_the_queue_unchanged() -> None:
    """Data that is text in the log stays the same text."""
    pushed = Push((Event("chat/lobby", "e1", 7, "any", '{"b":1,"a":"☃"}', 5), Event("chat/lobby", "e1", 8, "any", "null", 5)), 3, "L0=")
    assert Push.decode(pushed.encode()) == pushed


def test_packed_frames_stay_within_a_frame() -> None:
    """32 KB each: what API Gateway bills as one message."""
    from realtime.cursor import START

    events = [(Event("chat/lobby", "e1", seq, "any", f'"{"x" * 5000}"', 5), START) for seq in range(1, 26)]
    frames = deliver("chat/lobby", events, batch=True)
    assert len(frames) == 5
    assert max(map(len, frames)) <= FRAME_BYTES


def test_push_that_comes_too_late_is_dropped(world: World) -> None:
    """After five minutes every client has compared its cursor with the head: old pushes must not hold up new ones."""
    crowd(world, 1)
    topic = world.features.topic(LOBBY)
    events = world.log.append(topic, [event()])
    world.clock.sleep(301)
    world.fanout.deliver(topic, events)
    assert world.wire.events("c0000") == []


def test_clearing_is_bounded(world: World) -> None:
    """A push removes 200 stale rows at most; the next meets the others."""
    world.wire.closed = {*crowd(world, 900)}
    push(world)
    assert 600 < len(world.rows.connections) <= 700  # type: ignore[attr-defined]


def test_failed_clearing_fails_nobody(world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """It is said in the log, and the push is done."""
    crowd(world, 3)
    world.wire.closed = {"c0001"}
    monkeypatch.setattr(world.rows, "remove", lambda *_: 1 / 0)
    push(world)
    assert world.wire.events("c0002") == [1]
    assert "1 stale rows could not be removed" in caplog.text


def test_queue_carries_ascii_alone() -> None:
    """SQS refuses some characters that JSON has: one U+FFFF must not keep an event from everybody."""
    odd = Push((Event("chat/lobby", "e1", 1, "any", '"\uffff\ufffe\U0001f600"', 5),), 0)
    assert odd.encode().isascii()
    assert Push.decode(odd.encode()) == odd
