"""The Python client against real servers: whatever fails, each event comes once and in order."""

import asyncio
from typing import Any

import pytest

import clients.sse
import clients.websocket
from clients import Client, Refused, Reset, connect
from tests.clients.conftest import Reader, client_of, run, until
from tests.deployment import Deployment

ORDERS = "orders/1"


def publish(deployment: Deployment, first: int, count: int, topic: str = ORDERS) -> None:
    for number in range(first, first + count):
        deployment.publish(topic, number)


@pytest.mark.parametrize(
    ("topic", "transport"), [(ORDERS, "websocket"), ("chat/a", "websocket"), ("alerts/a", "sse"), ("ticker", "polling")]
)
def test_each_pattern(deployment: Deployment, monkeypatch: pytest.MonkeyPatch, topic: str, transport: str) -> None:
    """The same words for all of them."""
    monkeypatch.setattr("clients.topic.HEDGE_SECONDS", 10.0)  # on a busy machine the next one would be live first

    async def test() -> None:
        async with client_of(deployment) as client:
            reader = Reader(client, topic)
            await reader.by(transport)
            publish(deployment, 0, 3, topic)
            await reader.until(3)
            assert reader.data == [0, 1, 2]
            assert [told.state for told in reader.told] == ["live"]
            assert (reader.status.received, reader.status.cursor) == (3, reader.events[-1].cursor)

    run(test())


@pytest.mark.parametrize("topic", ["metrics", "price"])
def test_only_the_newest(deployment: Deployment, topic: str) -> None:
    """Where only that is kept, a reader begins with it, and those that he misses are no gap. Public: no token is needed."""

    async def test() -> None:
        publish(deployment, 0, 3, topic)
        async with connect(f"{deployment.url}/client.json") as client:
            reader = Reader(client, topic)
            await reader.until(1)
            deployment.publish(topic, 3)
            await reader.until(2)
            assert reader.data == [2, 3]

    run(test())


@pytest.mark.parametrize("topic", [ORDERS, "alerts/a", "ticker", "chat/a"])
def test_from_a_cursor_and_from_the_newest(deployment: Deployment, topic: str) -> None:
    """`after` is everything that follows, however much; `recent` the newest ones."""

    async def test() -> None:
        cursors = deployment.publish(topic, "old", 250)
        async with client_of(deployment) as client, client_of(deployment) as other:
            all_of_them, newest = Reader(client, topic, after=cursors[9]), Reader(other, topic, recent=20)
            await all_of_them.until(240)
            await newest.until(20)
            assert [event.cursor for event in all_of_them.events] == cursors[10:]
            assert [event.cursor for event in newest.events] == cursors[-20:]

    run(test())


async def faulty(deployment: Deployment, client: Client, reader: Reader, fault: Any) -> None:
    """Publish before, during and after; all of it must come."""
    publish(deployment, 0, 5)
    await fault
    publish(deployment, 5, 5)
    await reader.until(10, 20)
    assert reader.data == list(range(10))
    assert reader.resets == []


async def cut_at_the_client(client: Client, reader: Reader) -> None:
    """WebSocket, SSE, and both back: down the ladder and up again."""
    for transport, below in (("websocket", "sse"), ("sse", "polling")):
        client.cut(transport)  # type: ignore[arg-type] # one of them
        await reader.by(below)
    client.cut("sse", False)
    await reader.by("sse")
    client.cut("websocket", False)
    await reader.by("websocket")


def test_down_the_ladder_and_up_again(deployment: Deployment) -> None:
    """WebSocket cut, SSE cut, both back, one after the other."""

    async def test() -> None:
        async with client_of(deployment) as client:
            reader = Reader(client, ORDERS)
            await reader.by("websocket")
            await faulty(deployment, client, reader, cut_at_the_client(client, reader))
            await until(lambda: len(client.links) == 1)

    run(test())


def test_everything_cut_and_given_back(deployment: Deployment) -> None:
    """The network is away; then the best that works serves."""

    async def away(client: Client, reader: Reader) -> None:
        for on in (True, False):
            for transport in ("websocket", "sse", "polling"):
                client.cut(transport, on)
            expected = ("retrying", None) if on else ("live", "websocket")
            await until(lambda expected=expected: (reader.status.state, reader.status.transport) == expected)

    async def test() -> None:
        async with client_of(deployment) as client:
            reader = Reader(client, ORDERS)
            await reader.by("websocket")
            await faulty(deployment, client, reader, away(client, reader))

    run(test())


@pytest.mark.parametrize("topic", [ORDERS, "chat/a", "alerts/a", "ticker"])
def test_connections_that_break(deployment: Deployment, topic: str) -> None:
    """Again and again, while events come."""

    async def test() -> None:
        async with client_of(deployment) as client:
            reader = Reader(client, topic)
            await until(lambda: reader.status.state == "live")
            for number in range(20):
                deployment.publish(topic, number)
                if number % 5 == 2:
                    deployment.cut()
                await asyncio.sleep(0.05)
            await reader.until(20, 20)
            assert (reader.data, reader.resets) == (list(range(20)), [])

    run(test())


def test_a_transport_that_is_refused(deployment: Deployment) -> None:
    """A proxy that lets no WebSocket through, say: the next one serves, and its connections are not tried in a row."""

    async def test() -> None:
        deployment.refuse("websocket")
        async with client_of(deployment) as client:
            reader = Reader(client, ORDERS)
            await reader.by("sse")
            deployment.refuse("websocket", False)
            await reader.by("websocket")
        assert len(deployment.faults["websocket"].refused) < 10

    run(test())


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is noticed after a second, pings come after a tenth."""
    monkeypatch.setattr(clients.websocket, "ANSWER_SECONDS", 1.0)
    monkeypatch.setattr(clients.websocket, "PINGS_SECONDS", (0.1, 0.3, 0.6))
    monkeypatch.setattr(clients.sse, "SILENT_SECONDS", 1.0)


@pytest.mark.parametrize(("silent", "topic"), [("websocket", ORDERS), ("websocket", "chat/a"), ("sse", "alerts/a")])
@pytest.mark.usefixtures("impatient")
def test_silence(deployment: Deployment, silent: Any, topic: str) -> None:
    """Nothing closes, and nothing comes: that is noticed, and a new connection brings what is missing."""

    async def test() -> None:
        async with client_of(deployment) as client:
            reader = Reader(client, topic)
            await until(lambda: reader.status.state == "live")
            publish(deployment, 0, 3, topic)
            await reader.until(3)
            deployment.silent(silent)
            publish(deployment, 3, 3, topic)
            await until(lambda: "no " in reader.status.problem)
            deployment.silent(silent, False)
            await reader.until(6)
            assert (reader.data, reader.resets) == (list(range(6)), [])

    run(test())


def test_servers_restarted(deployment: Deployment) -> None:
    """All of them are gone for a second."""

    async def test() -> None:
        async with client_of(deployment) as client:
            reader = Reader(client, ORDERS)
            await reader.by("websocket")
            await faulty(deployment, client, reader, asyncio.to_thread(deployment.restart, 1.0))

    run(test())


@pytest.mark.parametrize("topic", [ORDERS, "ticker"])
def test_token_renewed_before_it_ends(deployment: Deployment, topic: str) -> None:
    """At 80 % of its life, in-band where there is a connection."""
    asked: list[str | None] = []

    async def token(previous: str | None) -> tuple[str, float]:
        asked.append(previous)
        return deployment.token("ann", 4), 2.0

    async def test() -> None:
        async with client_of(deployment, token) as client:
            reader = Reader(client, topic)
            for number in range(40):
                deployment.publish(topic, number)
                await asyncio.sleep(0.1)
            await until(lambda: reader.data[-1] == 39)
            assert reader.data == list(range(reader.data[0], 40))
            assert len(asked) > 1
            assert (asked[0], reader.resets) == (None, [])
            if topic == ORDERS:
                assert len(deployment.accepted("websocket")) == 1

    run(test())


def test_a_token_that_ends_on_a_stream(deployment: Deployment) -> None:
    """The stream says so, and goes on at once with a new one."""
    tokens = iter([deployment.token("ann", -8), deployment.token("ann")])  # clocks may be 10 s apart

    async def token(_: str | None) -> str:
        return next(tokens)

    async def test() -> None:
        async with client_of(deployment, token) as client:
            reader = Reader(client, "alerts/a")
            for number in range(40):
                deployment.publish("alerts/a", number)
                await asyncio.sleep(0.1)
            await until(lambda: reader.data[-1] == 39)
            assert reader.data == list(range(reader.data[0], 40))
            assert (next(tokens, None), reader.resets) == (None, [])

    run(test())


@pytest.mark.parametrize("topic", [ORDERS, "alerts/a", "ticker", "chat/a"])
def test_a_token_that_is_refused(deployment: Deployment, topic: str) -> None:
    """401: a new one, at once. Fresh ones that are refused as well end the subscription."""
    tokens = [deployment.token("ann", -60), deployment.token("ann")]

    async def stale_at_first(previous: str | None) -> tuple[str, float]:
        return (tokens[0] if previous is None else tokens[1]), 3600.0

    async def always_stale(_: str | None) -> tuple[str, float]:
        return tokens[0], 3600.0

    async def test() -> None:
        async with client_of(deployment, stale_at_first) as client, client_of(deployment, always_stale) as other:
            reader, refused = Reader(client, topic), Reader(other, topic)
            await until(lambda: reader.status.state == "live", 5)
            await until(lambda: refused.status.state == "refused")
            await refused.task
            assert isinstance(refused.error, Refused)
            assert refused.error.code == "unauthorized"

    run(test())


def test_retry_after_is_honoured(deployment: Deployment) -> None:
    """Whoever is told to wait 3 s does, however short his own backoff would be."""

    async def test() -> None:
        deployment.busy("sse", 3)
        async with client_of(deployment) as client:
            reader = Reader(client, "alerts/a")
            await until(lambda: reader.status.state == "retrying")
            deployment.busy("sse", 0)
            await reader.by("sse")
            first, second = deployment.accepted("sse")
            assert 3 <= second - first < 4

    run(test())


@pytest.mark.parametrize(("transport", "topic"), [("websocket", ORDERS), ("sse", "alerts/a")])
def test_a_push_that_is_lost(deployment: Deployment, transport: Any, topic: str) -> None:
    """What comes after it is held for a second, and then the log is asked."""

    async def test() -> None:
        async with client_of(deployment) as client:
            reader = Reader(client, topic)
            await until(lambda: reader.status.state == "live")
            deployment.publish(topic, 0)
            await reader.until(1)
            deployment.lose(transport)
            publish(deployment, 1, 3, topic)
            await asyncio.sleep(0.5)
            assert reader.data == [0]
            await reader.until(4, 2)
            assert (reader.data, reader.resets) == ([0, 1, 2, 3], [])

    run(test())


def test_the_last_push_lost(deployment: Deployment) -> None:
    """A ping with the cursor finds out, 3 s later."""

    async def test() -> None:
        async with client_of(deployment) as client:
            reader = Reader(client, "chat/a")
            await reader.by("websocket")
            deployment.lose("websocket")
            deployment.publish("chat/a", 0)
            await reader.until(1, 6)

    run(test())


@pytest.mark.parametrize("topic", [ORDERS, "alerts/a", "ticker", "chat/a"])
def test_a_log_that_was_wiped(deployment: Deployment, topic: str) -> None:
    """One reset, and then what is new."""

    async def test() -> None:
        async with client_of(deployment) as client:
            reader = Reader(client, topic)
            await until(lambda: reader.status.state == "live")
            publish(deployment, 0, 3, topic)
            await reader.until(3)
            deployment.wipe()
            deployment.publish(topic, "unseen")
            await until(lambda: reader.resets)
            publish(deployment, 10, 3, topic)
            await reader.until(6)
            assert reader.data == [0, 1, 2, 10, 11, 12]
            assert len(reader.resets) == 1

    run(test())


@pytest.mark.parametrize("topic", [ORDERS, "alerts/a", "ticker", "chat/a"])
def test_reset_is_raised_where_nobody_handles_it(deployment: Deployment, topic: str) -> None:
    """A cursor of another log, or no cursor at all. Iterating goes on with what is published from now on."""

    async def test() -> None:
        deployment.publish(topic, "old")
        for after in ("abc-7", "nonsense"):
            async with client_of(deployment) as client:
                subscription = client.subscribe(topic, after=after)
                with pytest.raises(Reset):
                    await anext(subscription)
                await until(lambda s=subscription: s.status.state == "live" and s.status.cursor)
                deployment.publish(topic, after)
                assert (await anext(subscription)).data == after

    run(test())


def test_many_topics_share_connections(deployment: Deployment) -> None:
    """60 topics by WebSocket are two connections, whose tickets name the first 20 each; 30 by SSE are two streams."""

    async def test() -> None:
        rooms = [f"chat/{number}" for number in range(60)] + [f"alerts/{number}" for number in range(30)]
        async with client_of(deployment) as client:
            readers = [Reader(client, room) for room in rooms]
            await until(lambda: all(reader.status.state == "live" for reader in readers), 30)
            late = Reader(client, "chat/late")
            await late.by("websocket")
            for room in [*rooms, "chat/late"]:
                deployment.publish(room, room)
            await until(lambda: all(len(reader.events) == 1 for reader in [*readers, late]))
            assert (deployment.open("websocket"), deployment.open("sse")) == (2, 2)

    run(test())


def test_one_that_is_refused_does_not_harm_the_others(deployment: Deployment) -> None:
    """Topics share a ticket and a stream, and not a fate."""

    async def test() -> None:
        async with client_of(deployment) as client:
            good = [Reader(client, topic) for topic in (ORDERS, "chat/a", "alerts/a")]
            bad = [Reader(client, topic) for topic in ("orders/1/2/3", "alerts/1/2/3", "nothing")]
            await until(lambda: all(reader.status.state == "live" for reader in good))
            await until(lambda: all(reader.status.state == "refused" for reader in bad))
            assert {reader.error.code for reader in bad if isinstance(reader.error, Refused)} == {"unknown_topic"}

    run(test())


def test_directed_down_and_up_again(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    """To shed load the server refuses what is better than polling, which waits as long as it says."""
    monkeypatch.setattr(clients.websocket, "PINGS_SECONDS", (0.1, 0.3, 0.6))

    async def test() -> None:
        async with client_of(deployment) as client:
            reader, alerts = Reader(client, ORDERS), Reader(client, "alerts/a")
            await reader.by("websocket")
            deployment.direct("orders", "polling", poll_after=1, seconds=4)
            await asyncio.sleep(0.1)
            await faulty(deployment, client, reader, reader.by("polling"))
            assert alerts.status.state == "live"
            await reader.by("websocket", 12)

    run(test())


@pytest.mark.parametrize("topic", [ORDERS, "chat/a"])
def test_publish_in_order_and_once(deployment: Deployment, topic: str) -> None:
    """While connections break: each call's event is there once, in the order of the calls."""

    async def test() -> None:
        async with client_of(deployment) as client:
            reader = Reader(client, topic)
            await reader.by("websocket")
            publishing = asyncio.gather(*(client.publish(topic, "note", number) for number in range(50)))
            for _ in range(5):
                await asyncio.sleep(0.1)
                deployment.cut("websocket", "door")
            cursors = await publishing
            await reader.until(50)
            assert reader.data == list(range(50))
            assert [event.cursor for event in reader.events] == cursors

    run(test())


def test_publish_without_a_subscription(deployment: Deployment) -> None:
    """It goes to the front door; the same id adds nothing."""

    async def test() -> None:
        async with client_of(deployment) as client:
            first = await client.publish(ORDERS, "note", 1, id="k")
            assert await client.publish(ORDERS, "note", 1, id="k") == first
            with pytest.raises(Refused, match="idempotency key"):
                await client.publish(ORDERS, "note", 2, id="k")
            with pytest.raises(Refused, match="403"):
                await client.publish("ticker", "note", 1)

    run(test())


def test_publish_has_bounds(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    """At most 100 wait, and none for ever."""
    monkeypatch.setattr("clients.outbox.GIVE_UP_SECONDS", 1.0)

    async def test() -> None:
        deployment.refuse("door")
        async with client_of(deployment) as client:
            answers = await asyncio.gather(*(client.publish(ORDERS, "note", n) for n in range(101)), return_exceptions=True)
            assert [type(answer) for answer in answers] == [TimeoutError] * 100 + [Refused]

    run(test())


@pytest.mark.parametrize("topic", [ORDERS, "alerts/a", "ticker"])
def test_a_slow_application_holds_its_transport_up(deployment: Deployment, topic: str) -> None:
    """What waits for it is bounded; nothing is lost when it goes on."""

    async def test() -> None:
        async with client_of(deployment) as client:
            subscription = client.subscribe(topic, after="0-0")
            await until(lambda: subscription.status.state == "live")
            for _ in range(200):
                deployment.publish(topic, "x" * 1000, 25)
                await asyncio.sleep(0)
            await until(lambda: len(subscription._topic.buffer) >= 1_000)
            await asyncio.sleep(0.5)
            assert 1_000 <= len(subscription._topic.buffer) <= 2_000
            got = [await anext(subscription) for _ in range(5_000)]
            assert [event.seq for event in got] == list(range(1, 5_001))

    run(test())


def test_who_holds_no_subscription_has_none(deployment: Deployment) -> None:
    """A loop that is left takes its subscription along."""

    async def test() -> None:
        async with client_of(deployment) as client:
            deployment.publish(ORDERS, 1)
            async for _ in client.subscribe(ORDERS, after="0-0"):
                break
            await until(lambda: not client.links)
            subscription = client.subscribe(ORDERS)
            subscription.close()
            assert [event async for event in subscription] == []
            assert subscription.status.state == "closed"

    run(test())


def test_what_is_wrong_is_said(deployment: Deployment) -> None:
    """In one sentence."""

    async def test() -> None:
        with pytest.raises(ValueError, match="relative"):
            async with connect({"http": "", "features": {}}):
                pass
        with pytest.raises(RuntimeError, match="async with"):
            connect("https://shop.example/client.json").subscribe(ORDERS)
        async with connect(f"{deployment.url}/nothing.json") as client:
            with pytest.raises(Refused, match="404"):
                await anext(client.subscribe(ORDERS))
        async with connect(f"{deployment.url}/client.json") as client:
            with pytest.raises(Refused, match="token"):
                await anext(client.subscribe(ORDERS))
        async with client_of(deployment) as client:
            held = client.subscribe("ticker")
            with pytest.raises(ValueError, match="already"):
                client.subscribe("ticker")
            held.close()

    run(test())
