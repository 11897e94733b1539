"""The conversation: what each frame does, what it is answered, and what is refused with which name."""

import json
import time
from dataclasses import replace
from typing import Any

import pytest

from realtime.direct import KNOWN_SECONDS, Direction
from realtime.errors import RealtimeError
from realtime.features import Limits
from realtime.frames import FRAME_BYTES
from realtime.gateway import Outcome
from realtime.policy import Principal
from realtime.tokens import issue
from realtime.websocket import REPLAY_EVENTS
from tests.helpers import SECRET, event
from tests.world import World

LOBBY = "chat/lobby"


def append(world: World, topic: str = LOBBY, count: int = 1, first: int = 1) -> None:
    """Events that a backend puts into the log: nobody pushes them."""
    for number in range(first, first + count):
        world.log.append(world.features.topic(topic), [event(number)])


# Subscribing


def test_subscribe_begins_at_the_head(world: World) -> None:
    """Without a cursor there is nothing to recover: what was before is not sent."""
    append(world, count=3)
    answer = world.subscribe(world.connect("ann"), LOBBY)
    assert (answer["action"], answer["recovered"], answer["cursor"][-2:]) == ("subscribed", False, "-3")
    assert world.wire.sent["ann"] == []


def test_subscribe_replays_what_follows_the_cursor(world: World) -> None:
    """In order, each with the cursor that it follows, and then `subscribed`."""
    append(world, count=5)
    cursor = world.subscribe(world.connect("ann"), LOBBY)["cursor"].replace("-5", "-2")
    answer = world.subscribe("ann", LOBBY, after=cursor)
    assert answer == {"action": "subscribed", "topic": LOBBY, "cursor": cursor.replace("-2", "-5"), "recovered": True}
    assert world.wire.events("ann") == [3, 4, 5]
    assert [e["prev"][-2:] for e in world.wire.sent["ann"]] == ["-2", "-3", "-4"]


def test_subscribe_can_begin_with_the_newest(world: World) -> None:
    """`recent` is for a first look."""
    append(world, count=5)
    assert not world.subscribe(world.connect("ann"), LOBBY, recent=2)["recovered"]
    assert world.wire.events("ann") == [4, 5]


def test_newest_value_is_sent_at_once(world: World) -> None:
    """A topic that keeps only its newest event sends it with the subscription."""
    append(world, "price", count=3)
    world.subscribe(world.connect("ann"), "price")
    assert world.wire.events("ann") == [3]


def test_batches_are_for_those_who_ask(world: World) -> None:
    """One frame with all events, where each would be billed as a message of its own."""
    append(world, count=5)
    world.subscribe(world.connect("ann"), LOBBY, after="0-0", batch=True)
    (frame,) = world.wire.sent["ann"]
    assert (frame["action"], [e["seq"] for e in frame["events"]]) == ("events", [1, 2, 3, 4, 5])


def test_long_replay_comes_in_parts(world: World) -> None:
    """`more` says that it is to be asked again, from the cursor."""
    append(world, count=REPLAY_EVENTS + 1)
    answer = world.subscribe(world.connect("ann"), LOBBY, after="0-0")
    assert answer["more"]
    assert "more" not in world.subscribe("ann", LOBBY, after=answer["cursor"])
    assert world.wire.events("ann") == list(range(1, REPLAY_EVENTS + 2))


@pytest.mark.parametrize("cursor", ["abc-7", "0-3"])
def test_cursor_of_another_log_cannot_be_recovered(world: World, cursor: str) -> None:
    """Nothing is replayed: the state is to be loaded anew."""
    append(world, count=2)
    assert world.subscribe(world.connect("ann"), LOBBY, after=cursor)["recovered"] is False
    assert world.wire.sent["ann"] == []


def test_expired_events_cannot_be_recovered(world: World) -> None:
    """Who was away for longer than events are kept is told so."""
    append(world, count=2)
    cursor = world.subscribe(world.connect("ann"), LOBBY)["cursor"].replace("-2", "-1")
    world.clock.sleep(3601)
    assert world.subscribe(world.connect("ann"), LOBBY, after=cursor)["recovered"] is False


def test_replay_that_is_not_taken_is_not_confirmed(world: World) -> None:
    """`subscribed` would move the client past what it never got."""
    append(world)
    world.connect("ann")
    world.wire.outcomes["ann"] = Outcome.FAILED
    assert world.subscribe("ann", LOBBY, after="0-0")["code"] == "unavailable"


def test_what_is_appended_while_subscribing_is_pushed_or_replayed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The row is written before the log is read: an append in between finds it."""
    world.connect("ann")
    world.connect("bob")
    joined = world.connections.subscribe

    def join_and_publish(*place: Any, **how: Any) -> Any:
        done = joined(*place, **how)
        monkeypatch.undo()
        world.publish("bob", LOBBY)
        return done

    monkeypatch.setattr(world.connections, "subscribe", join_and_publish)
    world.subscribe("ann", LOBBY, after="0-0")
    assert world.wire.events("ann") == [1, 1]


@pytest.mark.parametrize("how", [{"after": "0-0"}, {"recent": 10}])
def test_replay_is_read_consistently(world: World, monkeypatch: pytest.MonkeyPatch, how: dict[str, Any]) -> None:
    """A stale read would miss what was appended, and pushed to the others, just before the row was written."""
    append(world)
    fresh, stale = world.log._store.head, world.log._store.head(LOBBY, consistent=True)
    append(world)
    monkeypatch.setattr(world.log._store, "head", lambda topic, *, consistent: fresh(topic, consistent=True) if consistent else stale)
    world.subscribe(world.connect("ann"), LOBBY, **how)
    assert world.wire.events("ann") == [1, 2]


def test_unsubscribed_gets_nothing(world: World) -> None:
    """And no row is left."""
    world.subscribe(world.connect("ann"), LOBBY)
    assert world.say("ann", action="unsubscribe", topic=LOBBY) == {"action": "unsubscribed", "topic": LOBBY}
    world.publish(world.connect("bob"), LOBBY)
    assert world.wire.events("ann") == []


def test_one_connection_has_so_many_topics(world: World) -> None:
    """Fifty: what a lost connection costs to clear away is bounded."""
    world.connect("ann", teams=True)
    for number in range(50):
        world.clock.sleep(1)
        assert world.subscribe("ann", f"teams/{number}")["action"] == "subscribed"
    assert world.subscribe("ann", "teams/50")["code"] == "invalid"


def test_names_of_topics_are_bounded(world: World) -> None:
    """Every message writes the row that they stand in: long names must not make each cost ten times as much."""
    world.connect("ann", teams=True)
    answers = [world.subscribe("ann", f"teams/{number}{'x' * 120}") for number in range(20)]
    assert [answer["action"] for answer in answers].index("error") == 15


# Publishing


def test_publish_is_acknowledged_and_pushed(world: World) -> None:
    """To everybody who subscribes, the publisher too, before the ack."""
    for name in ("ann", "bob"):
        world.subscribe(world.connect(name), LOBBY)
    answer = world.publish("ann", LOBBY, data={"text": "hi"}, key="k1")
    (frame,) = world.wire.sent["bob"]
    assert answer == {"action": "ack", "id": "k1", "cursor": f"{frame['epoch']}-1"}
    assert (frame["data"], frame["prev"]) == ({"text": "hi"}, f"{frame['epoch']}-0")
    assert world.wire.events("ann") == [1]


def test_repeated_publish_adds_nothing_and_pushes_again(world: World) -> None:
    """The first may have died between append and push."""
    world.subscribe(world.connect("bob"), LOBBY)
    world.connect("ann")
    assert world.publish("ann", LOBBY) == world.publish("ann", LOBBY)
    assert world.wire.events("bob") == [1, 1]


def test_repeat_is_not_counted_as_another_publish(world: World) -> None:
    """Its rate is used up by the first; without the repeat a push that was killed would wait a minute."""
    world.features._features["chat"] = replace(world.features["chat"], limits=Limits(publish=1 / 60, bytes=200))
    world.connect("ann")
    first = world.publish("ann", LOBBY)
    assert world.publish("ann", LOBBY) == first
    assert world.publish("ann", LOBBY, key="2")["code"] == "too_many_requests"


def test_keys_of_two_people_never_meet(world: World) -> None:
    """Whatever characters their names and keys have."""
    one = world.publish(world.connect("c1", sub="a"), LOBBY, key="b#k")
    two = world.publish(world.connect("c2", sub="a#b"), LOBBY, key="k")
    assert one["cursor"] != two["cursor"]


def test_append_carries_the_claim(world: World) -> None:
    """The stream's filter leaves it alone; a backend's append has none."""
    world.publish(world.connect("ann"), LOBBY)
    append(world, "chat/other")
    claimed = {topic: world.log._store.head(topic, consistent=True).claimed for topic in (LOBBY, "chat/other")}  # type: ignore[union-attr]
    assert claimed == {LOBBY: True, "chat/other": False}


def test_big_topic_is_pushed_by_others(world: World) -> None:
    """One message of the queue per shard of a thousand readers; the publisher waits for none of them."""
    for number in range(40):
        world.subscribe(world.connect(f"c{number}"), "match")
    assert world.publish("c0", "match")["action"] == "ack"
    assert len(world.queue.messages) == 5
    world.work()
    assert all(world.wire.events(f"c{number}") == [1] for number in range(40))


# Ping


def test_pong_tells_the_heads(world: World) -> None:
    """Of the topics asked for, and only of those that have any event."""
    append(world, count=3)
    answer = world.say(world.connect("ann"), action="ping", cursors={LOBBY: "0-0", "chat/empty": "0-0"})
    assert (answer["action"], list(answer["heads"])) == ("pong", [LOBBY])
    assert answer["heads"][LOBBY].endswith("-3")
    assert world.say("ann", action="ping") == {"action": "pong", "heads": {}}


def test_ping_with_a_cursor_of_another_log_is_told_to_reset(world: World) -> None:
    """A wiped table begins a new epoch."""
    append(world)
    world.say(world.connect("ann"), action="ping", cursors={LOBBY: "abc-7", "chat/gone": "abc-1"})
    assert world.wire.sent["ann"] == [{"action": "reset", "topic": topic} for topic in (LOBBY, "chat/gone")]


def test_ping_about_a_wrong_topic_is_answered_for_the_others(world: World) -> None:
    """The heads are the last safety net: one feature that is gone must not take it from all topics."""
    append(world)
    answer = world.say(world.connect("ann"), action="ping", cursors={"gone": "0-0", LOBBY: "0-0", "chat/x": "zzz"})
    assert list(answer["heads"]) == [LOBBY]
    assert [(frame["code"], frame["topic"]) for frame in world.wire.sent["ann"]] == [
        ("unknown_topic", "gone"),
        ("invalid_cursor", "chat/x"),
    ]


def test_directed_topic_is_refused(world: World) -> None:
    """With how long it holds and how often to poll; it is no offence, and topics of other features are served."""
    world.directed.put("orders", Direction("polling", 10, world.clock() + 100))
    world.connect("ann")
    for _ in range(30):
        world.clock.now += 1
        answer = world.subscribe("ann", "orders/ann")
    assert (answer["code"], answer["topic"], answer["poll_after"], answer["features"]) == ("unavailable", "orders/ann", 10, ["orders"])
    assert 70 <= answer["retry_after"] <= 105
    assert world.subscribe("ann", LOBBY)["action"] == "subscribed"
    assert world.connections.admit("ann").subscriptions == {f"{LOBBY}#0"}  # type: ignore[union-attr]


def test_ping_ends_the_subscription_of_a_directed_topic(world: World) -> None:
    """The frame of a refused subscribe comes before the pong, whether the ping asks about the topic or not; pushes end."""
    for name in ("ann", "bob"):
        world.subscribe(world.connect(name), f"orders/{name}")
        world.subscribe(name, LOBBY)
    world.directed.put("orders", Direction("sse", 10, world.clock() + 100))
    world.clock.now += KNOWN_SECONDS
    assert world.say("ann", action="ping", cursors={"orders/ann": "0-0", LOBBY: "0-0"}) == {"action": "pong", "heads": {}}
    world.say("bob", action="ping")
    for name in ("ann", "bob"):
        (told,) = world.wire.sent[name]
        assert (told["action"], told["code"], told["topic"], told["poll_after"]) == ("error", "unavailable", f"orders/{name}", 10)
        assert world.connections.admit(name).subscriptions == {f"{LOBBY}#0"}  # type: ignore[union-attr]
    assert set(world.rows.subscribers) == {f"{LOBBY}#0"}  # type: ignore[attr-defined]


def test_topic_is_served_again_after_its_direction(world: World) -> None:
    """By itself: the client asks again when it was told to."""
    world.directed.put("orders", Direction("polling", 10, world.clock() + 100))
    assert world.subscribe(world.connect("ann"), "orders/ann")["code"] == "unavailable"
    world.clock.now += 100
    assert world.subscribe("ann", "orders/ann")["action"] == "subscribed"


def test_ping_moves_a_subscription_to_its_new_shard(world: World) -> None:
    """After a deployment that changed `readers`; until then the heads say what is missing."""
    world.subscribe(world.connect("ann"), LOBBY, batch=True)
    world.rows.join("ann", f"{LOBBY}#7")
    world.rows.enrol(f"{LOBBY}#7", world.rows.subscribers[f"{LOBBY}#0"]["ann"])  # type: ignore[attr-defined]
    world.rows.leave("ann", f"{LOBBY}#0", None)
    world.say("ann", action="ping", cursors={LOBBY: "0-0"})
    assert {key: row["ann"].batch for key, row in world.rows.subscribers.items()} == {f"{LOBBY}#0": True}  # type: ignore[attr-defined]


def test_old_connection_is_told_to_reconnect(world: World) -> None:
    """Between 100 and 120 minutes, each at a moment of its own."""
    world.connect("ann")
    world.clock.sleep(101 * 60)
    assert world.say("ann", action="ping")["action"] == "pong"
    (frame,) = world.wire.sent["ann"]
    assert frame["action"] == "reconnect"
    assert 0 <= frame["after_ms"] < 10 * 60 * 1000


# Tokens


def token(sub: str, **claims: Any) -> str:
    return issue(SECRET, sub, int(1_800_000_000 - time.time()) + 7150, **claims)


def test_token_is_renewed_in_band(world: World) -> None:
    """Pushes go on where the first token would have ended them."""
    world.subscribe(world.connect("ann", seconds=60), LOBBY)
    answer = world.say("ann", action="auth", token=token("ann"))
    assert (answer["action"], answer["expires_in"] // 100) == ("authenticated", 71)
    world.clock.sleep(100)
    world.publish(world.connect("bob"), LOBBY)
    assert world.wire.events("ann") == [1]


def test_new_token_takes_away_what_it_does_not_allow(world: World) -> None:
    """The subscription goes, with an error that names the topic."""
    world.subscribe(world.connect("ann", teams=True), "teams/red")
    world.say("ann", action="auth", token=token("ann", teams="blue"))
    assert world.wire.sent["ann"] == [
        {"action": "error", "code": "forbidden", "message": "the new token does not allow this topic", "topic": "teams/red"}
    ]
    world.publish(world.connect("bob", teams=True), "teams/red")
    assert world.wire.events("ann") == []


def test_topic_that_is_gone_does_not_keep_the_others_from_renewal(world: World) -> None:
    """A deployment took a feature's rooms away: that subscription goes, the next is renewed."""
    world.connect("ann", seconds=60)
    for topic in (LOBBY, "price"):
        world.subscribe("ann", topic)
    world.features._features["chat"] = replace(world.features["chat"], rooms=False)
    assert world.say("ann", action="auth", token=token("ann"))["action"] == "authenticated"
    assert [frame["topic"] for frame in world.wire.sent["ann"]] == [LOBBY]
    world.clock.sleep(61)
    world.publish(world.connect("bob"), "price")
    assert world.wire.events("ann") == [1]


def test_token_that_has_just_ended_is_refused(world: World) -> None:
    """Verifiers forgive ten seconds; a connection that is closed by the next push helps nobody."""
    world.connect("ann")
    just_ended = issue(SECRET, "ann", int(world.clock() - time.time()))
    world.clock.sleep(5)
    assert world.say("ann", action="auth", token=just_ended)["code"] == "unauthorized"


def test_token_of_somebody_else_is_refused(world: World) -> None:
    """A connection belongs to one person; a bad token changes nothing either."""
    world.connect("ann")
    assert world.say("ann", action="auth", token=token("bob"))["code"] == "forbidden"
    assert world.say("ann", action="auth", token="x")["code"] == "unauthorized"
    assert world.say("ann", action="ping")["action"] == "pong"


def test_message_after_the_token_s_end_closes_with_a_reason(world: World) -> None:
    """`expired`, and nothing is stored."""
    world.connect("ann", seconds=60)
    world.clock.sleep(61)
    assert world.publish("ann", LOBBY) == {}
    assert world.wire.sent["ann"][-1]["code"] == "expired"
    assert "ann" in world.wire.closed
    assert world.log.heads([world.features.topic(LOBBY)]) == {}


def test_late_renewal_is_accepted(world: World) -> None:
    """`auth` is the one message that an expired connection may still send."""
    world.connect("ann", seconds=60)
    world.clock.sleep(61)
    assert world.say("ann", action="auth", token=token("ann"))["action"] == "authenticated"


# Refusals


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("", "invalid"),
        ("{", "invalid"),
        ("null", "invalid"),
        ("[]", "invalid"),
        ('{"action":"fly"}', "invalid"),
        ('{"action":["subscribe"]}', "invalid"),
        ('{"action":"ping","more":1}', "invalid"),
        ('{"action":"ping","cursors":{"\\ud800":"0-0"}}', "invalid"),
        ('{"action":"subscribe","topic":"\\ud800"}', "invalid"),
        ('{"action":"subscribe","topic":"nothing"}', "unknown_topic"),
        ('{"action":"subscribe","topic":"figures"}', "unknown_topic"),
        ('{"action":"publish","topic":"chat/lobby","type":"any","data":1,"id":"\\ud800"}', "invalid"),
        ('{"action":"publish","topic":"chat/lobby","type":"any","data":1,"id":"1","\\ud800":1}', "invalid"),
        ('{"action":"publish","topic":"chat/lobby","type":"any","data":"\\ud800","id":"1"}', "invalid"),
        ('{"action":"subscribe","topic":"chat/lobby","after":"nonsense"}', "invalid_cursor"),
        ('{"action":"subscribe","topic":"chat/lobby","recent":101}', "invalid"),
        ('{"action":"publish","topic":"chat/lobby","type":"any","data":1}', "invalid"),
        ('{"action":"publish","topic":"chat/lobby","type":"any","data":NaN,"id":"1"}', "invalid"),
        ('{"action":"publish","topic":"chat/lobby","type":"message","data":{},"id":"1"}', "invalid"),
        ('{"action":"publish","topic":"chat/lobby","type":"other","data":{},"id":"1"}', "invalid"),
        ('{"action":"publish","topic":"chat/lobby","type":"any","data":"' + "x" * 300 + '","id":"1"}', "too_large"),
        ('{"action":"publish","topic":"orders/ann","type":"any","data":1,"id":"1"}', "forbidden"),
        ('{"action":"publish","topic":"chat/lobby","type":"any","data":' + "[" * 100_000 + ',"id":"1"}', "too_large"),
        ('{"action":"publish","topic":"chat/lobby","type":"any","data":' + "[" * 40 + "]" * 40 + ',"id":"1"}', "invalid"),
        ('{"action":"ping"}' + " " * FRAME_BYTES, "too_large"),
        ('{"action":"auth","token":"' + "x" * 9000 + '"}', "unauthorized"),
    ],
)
def test_wrong_messages_are_refused_by_name(world: World, body: str, code: str) -> None:
    """With an error of the table; nothing is stored and nobody else hears of it."""
    world.subscribe(world.connect("bob"), LOBBY)
    answer = world.raw(world.connect("ann"), body)
    assert (answer["action"], answer["code"]) == ("error", code)
    assert world.log.heads([world.features.topic(LOBBY)]) == {}
    assert world.wire.sent["bob"] == []


def test_refusal_names_the_frame(world: World) -> None:
    """A publish by its id, a subscribe by its topic."""
    world.connect("ann")
    assert world.publish("ann", "orders/ann", key="k9")["id"] == "k9"
    assert world.subscribe("ann", "orders/bob")["topic"] == "orders/bob"


@pytest.mark.parametrize("topic", ["teams/red", "orders/bob"])
def test_replay_is_tied_to_the_reader_s_rights(world: World, topic: str) -> None:
    """Neither events nor a cursor of a topic that is not his: not by subscribe, not by ping."""
    append(world, topic)
    world.connect("ann", teams="blue")
    assert world.subscribe("ann", topic, after="0-0")["code"] == "forbidden"
    assert world.say("ann", action="ping", cursors={topic: "0-0"}) == {"action": "pong", "heads": {}}
    assert [(frame["action"], frame["code"], frame["topic"]) for frame in world.wire.sent["ann"]] == [("error", "forbidden", topic)]


def test_ticket_is_good_for_its_topics_alone(world: World) -> None:
    """A ticket for the chat's lobby opens neither another room nor another feature."""
    world.connect("ann", scope=(LOBBY,))
    assert world.subscribe("ann", LOBBY)["action"] == "subscribed"
    for topic in ("chat/other", "price"):
        assert world.subscribe("ann", topic)["code"] == "forbidden"
        assert world.publish("ann", topic)["code"] == "forbidden"


def test_flood_is_refused_and_then_closed(world: World) -> None:
    """Of a thousand messages in a second 61 are served, a few refused by name, and then the connection is closed."""
    world.subscribe(world.connect("bob"), LOBBY)
    world.connect("ann")
    answers = [world.say("ann", action="ping").get("action") for _ in range(1000)]
    assert answers.count("pong") == 61
    assert 5 < answers.count("error") < 30
    assert "ann" in world.wire.closed
    assert [frame["code"] for frame in world.wire.sent["ann"]][:2] == ["too_many_requests", "too_many_requests"]
    assert world.wire.sent["bob"] == []


def test_allowance_comes_back(world: World) -> None:
    """Ten messages a second in the long run."""
    world.connect("ann")
    for _ in range(200):
        world.clock.sleep(0.1)
        assert world.say("ann", action="ping")["action"] == "pong"


@pytest.mark.parametrize("batch", [False, True])
def test_replays_are_paid_for_by_their_size(world: World, batch: bool) -> None:
    """A small message must not order thousands of posts: 100 events cost as much as ten messages, in batches less."""
    for number in range(100):
        world.log.append(world.features.topic("match"), [event(number)])
    world.connect("ann")
    answers = [world.subscribe("ann", "match", recent=100, batch=batch).get("action") for _ in range(60)]
    assert answers.index("error") == (43 if batch else 6)


def test_renewals_are_paid_for_by_subscription(world: World) -> None:
    """Each is read and written again."""
    world.connect("ann", teams=True)
    for number in range(20):
        world.clock.sleep(1)
        world.subscribe("ann", f"teams/{number}")
    answers = [world.say("ann", action="auth", token=token("ann", teams=True))["action"] for _ in range(5)]
    assert answers == ["authenticated"] * 3 + ["error"] * 2


def test_unknown_connection_is_told_to_come_again(world: World) -> None:
    """Its row may be gone after a 410: it must not go on talking to nobody."""
    world.say("nobody", action="ping")
    assert world.wire.sent["nobody"][0]["code"] == "unauthorized"
    assert "nobody" in world.wire.closed


def test_row_that_has_outlived_its_connection_is_none(world: World) -> None:
    """TTL deletes days late."""
    world.connect("ann")
    world.clock.sleep(2 * 3600 + 601)
    world.say("ann", action="ping")
    assert world.wire.sent["ann"][0]["code"] == "unauthorized"


def test_disconnect_leaves_no_row(world: World) -> None:
    """Neither the connection's nor its subscriptions'."""
    world.subscribe(world.connect("ann"), LOBBY)
    world.socket.close("ann")
    assert (world.rows.connections, world.rows.subscribers) == ({}, {})  # type: ignore[attr-defined]


# Connecting


def refused(world: World, **how: Any) -> str:
    with pytest.raises(RealtimeError) as refusal:
        world.gate.admit(**{"ticket": None, "authorization": None, "origin": None} | how)
    return refusal.value.code.wire


def test_ticket_opens_one_connection(world: World) -> None:
    """With the topics that it lists; a second time it is spent."""
    ticket = world.tickets.issue("websocket", (LOBBY,), Principal("ann", world.clock() + 60, {"teams": "red", "email": "a@b"}))
    admission = world.gate.admit(ticket=ticket, authorization=None, origin="https://shop.example")
    assert (admission.principal.sub, admission.principal.claims, admission.scope) == ("ann", {"teams": "red"}, (LOBBY,))
    assert refused(world, ticket=ticket) == "unauthorized"


def test_token_in_a_header_opens_a_connection(world: World) -> None:
    """For clients that can set one: whatever the token allows."""
    assert world.gate.admit(ticket=None, authorization=f"Bearer {token('job')}", origin=None).scope is None


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ({"authorization": f"Bearer {issue(SECRET, 'ann', 86_400 * 365, teams=['x' * 99] * 30)}"}, "too_large"),
        ({}, "unauthorized"),
        ({"ticket": "made-up"}, "unauthorized"),
        ({"ticket": "", "authorization": "Bearer x"}, "unauthorized"),
        ({"authorization": "Bearer x"}, "unauthorized"),
        ({"authorization": "Basic x"}, "unauthorized"),
        ({"authorization": f"Bearer {issue(SECRET, 'ann', -60)}"}, "unauthorized"),
        ({"authorization": f"Bearer {issue(SECRET, 'ann', 60, 'realtime-session')}"}, "unauthorized"),
        ({"authorization": f"Bearer {token('ann')}", "origin": "https://evil.example"}, "forbidden"),
        ({"authorization": f"Bearer {token('ann')}", "origin": "null"}, "forbidden"),
    ],
)
def test_wrong_credentials_open_nothing(world: World, how: dict[str, str], code: str) -> None:
    """Missing, made up, expired, of another audience, from another origin."""
    assert refused(world, **how) == code


def test_ticket_for_a_stream_opens_no_socket(world: World) -> None:
    """And is not spent by the attempt."""
    ticket = world.tickets.issue("sse", (LOBBY,), Principal("ann", world.clock() + 60, {}))
    assert refused(world, ticket=ticket) == "unauthorized"
    assert world.tickets.redeem(ticket, "sse").use == "sse"


def test_frames_are_json_text(world: World) -> None:
    """Characters beyond ASCII travel as they are."""
    world.subscribe(world.connect("ann"), LOBBY)
    world.publish("ann", LOBBY, data="é☃")
    assert json.dumps(world.wire.sent["ann"][0]["data"], ensure_ascii=False) == '"é☃"'
