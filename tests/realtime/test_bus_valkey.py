"""The bus over a real Valkey server: every event once and in order, whatever happens to the server; `ready` tells the truth."""

import asyncio
import functools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path

import pytest

from bench.certificate import self_signed
from local.places import LocalError
from local.process import free_port
from local.valkey import start
from realtime.bus_valkey import ValkeyBus
from realtime.errors import Code, RealtimeError
from realtime.event import Event
from realtime.features import Topic
from realtime.hub import Hub
from realtime.log import Log
from realtime.memory import MemoryStore
from realtime.publish_valkey import ValkeyPublisher
from tests.helpers import event, topic
from tests.realtime.test_bus import opened, until
from tests.valkey import Valkey, valkey

NEWS, ALERTS = topic("news"), topic("alerts")
LONG = 600.0
"""Seconds between comparisons in tests in which none may help."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """One server for the tests that do it no harm."""
    with valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Valkey]:
    """A server to be killed."""
    with valkey(tmp_path) as server:
        yield server


class Side:
    """A hub with its bus, and a log; what is published here goes to the log and to Valkey."""

    def __init__(self, server: Valkey, check: float, log: Log | None = None) -> None:
        self.log = log or Log(MemoryStore())
        self.hub = Hub(self.log)
        self.bus = ValkeyBus(self.hub, self.log, server.url, check=check)
        self.publisher = ValkeyPublisher(server.url)

    def append(self, *data: object, to: Topic = NEWS) -> tuple[Event, ...]:
        return self.log.append(to, [event(each) for each in data])

    async def publish(self, *data: object, to: Topic = NEWS) -> bool:
        """Whether Valkey has taken it: the log has in any case."""
        try:
            await asyncio.to_thread(self.publisher.publish, self.append(*data, to=to))
        except RealtimeError:
            return False
        return True

    async def settled(self) -> None:
        await until(lambda: self.bus.ready, 15)


@asynccontextmanager
async def side(server: Valkey, *, check: float = LONG, log: Log | None = None) -> AsyncIterator[Side]:
    made = Side(server, check, log)
    running = asyncio.create_task(made.bus.run())
    try:
        yield made
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert not made.bus.ready
        made.publisher.close()


def in_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run the test in an event loop of its own, for at most 60 s."""

    @functools.wraps(test)
    def run(**fixtures: object) -> None:
        async def limited() -> None:
            await asyncio.wait_for(test(**fixtures), 60)

        asyncio.run(limited())

    return run


@in_loop
async def test_events_reach_every_hub(shared: Valkey) -> None:
    """Without a look at the log: live, in order, on both."""
    async with side(shared) as here, side(shared, log=here.log) as there:
        readers = await opened(here.hub, [NEWS]) + await opened(there.hub, [NEWS])
        await subscribed(shared, "news", hubs=2)
        for number in range(50):
            assert await here.publish(number)
        await until(lambda: all(len(reader.data) == 50 for reader in readers), 2)
        assert all(reader.data == list(range(50)) for reader in readers)


@in_loop
async def test_topic_that_is_opened_later(shared: Valkey) -> None:
    """It is live soon, and the bus stays ready meanwhile; a topic without readers is left."""
    async with side(shared) as here:
        await here.settled()

        def live() -> bool:
            assert here.bus.ready
            return "events:alerts" in shared.channels()

        (reader,) = await opened(here.hub, [ALERTS])
        await until(live)
        await here.publish("a", to=ALERTS)
        await until(lambda: reader.data == ["a"], 2)
        here.hub.leave(reader)
        await until(lambda: "events:alerts" not in shared.channels(), 2)
        assert here.bus.ready


@in_loop
async def test_what_was_published_before_the_subscription_is_found(own: Valkey) -> None:
    """The new topic is compared with the log as soon as the subscription is in force, long before the next check."""
    async with side(own) as here:
        await here.settled()
        with own.frozen():
            (reader,) = await opened(here.hub, [NEWS])
            here.append("unheard")
        await until(lambda: reader.data == ["unheard"], 2)


@in_loop
async def test_lost_message_is_found_by_comparison(shared: Valkey) -> None:
    """A publisher that died after its append: within `check` seconds."""
    async with side(shared, check=0.2) as here:
        (reader,) = await opened(here.hub, [NEWS])
        await here.publish("first")
        await until(lambda: reader.data == ["first"])
        here.append("lost")
        await until(lambda: reader.data == ["first", "lost"], 2)


@in_loop
async def test_server_killed_and_started_again(own: Valkey) -> None:
    """Not ready, then ready; all that was published meanwhile has come by then, without any further check."""
    async with side(own) as here:
        (reader,) = await opened(here.hub, [NEWS])
        await here.settled()
        await here.publish("before")
        own.kill()
        await until(lambda: not here.bus.ready, 2)
        assert not await here.publish("meanwhile")
        await asyncio.to_thread(own.start)
        await here.settled()
        await until(lambda: reader.data == ["before", "meanwhile"], 1)
        assert await here.publish("after")
        await until(lambda: reader.data == ["before", "meanwhile", "after"], 2)


@in_loop
async def test_log_is_looked_at_while_the_server_is_away(own: Valkey) -> None:
    """Not ready, and late by some seconds at most: nobody waits for Valkey to come back."""
    async with side(own) as here:
        (reader,) = await opened(here.hub, [NEWS])
        await here.settled()
        own.kill()
        await here.publish("away")
        await until(lambda: reader.data == ["away"], 8)
        assert not here.bus.ready
        await asyncio.to_thread(own.start)


@in_loop
async def test_server_killed_under_load(own: Valkey) -> None:
    """Events go on all the time: each comes once, in order."""
    async with side(own) as here:
        (reader,) = await opened(here.hub, [NEWS])
        await here.settled()
        publishing = asyncio.create_task(steadily(here, 120))
        await asyncio.sleep(0.5)
        own.kill()
        await asyncio.sleep(0.3)
        await asyncio.to_thread(own.start)
        await publishing
        await here.settled()
        await here.publish("last")
        await until(lambda: reader.data == [*range(120), "last"])


@in_loop
async def test_silent_death_is_noticed(own: Valkey) -> None:
    """The connection stands and nothing comes: within 5 s. Afterwards nothing is missing."""
    async with side(own) as here:
        (reader,) = await opened(here.hub, [NEWS])
        await here.settled()
        with own.frozen():
            assert await until(lambda: not here.bus.ready, 6) < 5
            here.append("meanwhile")
        await here.settled()
        await until(lambda: reader.data == ["meanwhile"], 2)


@in_loop
async def test_cut_connection_is_no_secret(shared: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client must not connect again by itself: what it missed would be missed for good."""
    monkeypatch.setattr("realtime.bus.random.uniform", lambda _, most: most)  # no pause so short that the look below falls past it
    async with side(shared) as here:
        (reader,) = await opened(here.hub, [NEWS])
        await here.settled()
        for subscriber in shared.subscribers():
            with shared.client as client:
                client.client_kill(subscriber["addr"])
        here.append("meanwhile")
        await until(lambda: not here.bus.ready, 2)
        await here.settled()
        await until(lambda: reader.data == ["meanwhile"], 2)


@in_loop
async def test_log_that_fails_keeps_it_from_being_ready(shared: Valkey) -> None:
    """Without the comparison nobody knows what was missed."""
    log = Log(MemoryStore())
    tails, down = log.tails, [True]

    def failing(topics: Sequence[Topic]) -> dict[str, object]:
        if down:
            raise RealtimeError(Code.UNAVAILABLE, "down")
        return dict(tails(topics))

    log.tails = failing  # type: ignore[method-assign,assignment]
    async with side(shared, log=log) as here:
        await opened(here.hub, [NEWS])
        await asyncio.sleep(0.3)
        assert not here.bus.ready
        down.clear()
        await here.settled()


@in_loop
async def test_malformed_messages_are_ignored(shared: Valkey, caplog: pytest.LogCaptureFixture) -> None:
    """They are logged without what is in them, and the next event comes."""
    async with side(shared) as here:
        (reader,) = await opened(here.hub, [NEWS])
        await here.settled()
        with shared.client as client:
            for garbage in ("secret", "[]", '{"topic":"news"}'):
                client.publish("events:news", garbage)
        await here.publish("good")
        await until(lambda: reader.data == ["good"], 2)
        assert here.bus.ready
    assert ["secret" in record.message for record in caplog.records if record.levelno == logging.WARNING] == [False] * 3


@in_loop
async def test_only_commands_that_serverless_has(own: Valkey) -> None:
    """The rest of these are the test's own."""
    async with side(own) as here:
        (reader,) = await opened(here.hub, [NEWS])
        await here.settled()
        await here.publish("a")
        here.hub.leave(reader)
        await until(lambda: not own.channels())
    assert own.commands() - {"info", "client|setinfo", "client", "pubsub|channels", "hello"} == {
        "subscribe",
        "unsubscribe",
        "publish",
        "ping",
    }


@in_loop
async def test_frozen_server_does_not_hold_up_a_publisher(own: Valkey) -> None:
    """A second, and it is `unavailable`; a later one comes through."""
    async with side(own) as here:
        with own.frozen():
            taken, late = asyncio.create_task(here.publish("a")), asyncio.create_task(asyncio.sleep(2, "late"))
            await asyncio.wait([taken, late], return_when=asyncio.FIRST_COMPLETED)
            assert (taken.done(), late.done()) == (True, False)
            assert not taken.result()
        assert await here.publish("b")


@in_loop
async def test_tls_as_in_the_cloud(tmp_path: Path) -> None:
    """`rediss://`: live, and a certificate that nobody vouches for is refused."""
    file, port = self_signed(tmp_path / "own.pem"), free_port()
    options = ("--tls-port", str(port), "--tls-cert-file", str(file), "--tls-key-file", str(file), "--tls-ca-cert-file", str(file))
    with valkey(tmp_path, *options, "--tls-auth-clients", "no") as server:
        unknown = ValkeyPublisher(f"rediss://localhost:{port}")
        server.url = f"rediss://localhost:{port}?ssl_ca_certs={file}"
        async with side(server) as here:
            (reader,) = await opened(here.hub, [NEWS])
            await here.settled()
            with pytest.raises(RealtimeError):
                await asyncio.to_thread(unknown.publish, here.append("refused"))
            await here.publish("taken")
            await until(lambda: reader.data == ["refused", "taken"])


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[Valkey, Valkey]]:
    """Two nodes that know each other, as in ElastiCache in cluster mode."""
    with node(tmp_path / "a", free_port()) as a, node(tmp_path / "b", port := free_port()) as b:
        with a.client as client:
            client.execute_command("CLUSTER", "MEET", "127.0.0.1", b.port, port)
        yield a, b


def node(folder: Path, cluster_port: int) -> AbstractContextManager[Valkey]:
    folder.mkdir()
    return valkey(folder, "--cluster-enabled", "yes", "--cluster-port", str(cluster_port))


@in_loop
async def test_plain_connections_reach_a_whole_cluster(cluster: tuple[Valkey, Valkey]) -> None:
    """Hub at one node, publisher at another, whoever owns the slots: the cluster itself passes messages on."""
    a, b = cluster
    async with side(a) as here, side(b, log=here.log) as there:
        (reader,) = await opened(here.hub, [NEWS])
        await here.settled()
        await until(lambda: knows_another(a) and knows_another(b), 20)
        await there.publish("through the cluster")
        await until(lambda: reader.data == ["through the cluster"])


def knows_another(server: Valkey) -> bool:
    with server.client as client:
        nodes = str(client.execute_command("CLUSTER", "NODES"))
    return nodes.count(" connected") == 2 and "handshake" not in nodes


async def subscribed(server: Valkey, name: str, hubs: int) -> None:
    def there() -> bool:
        with server.client as client:
            return bool(client.pubsub_numsub(f"events:{name}") == [(f"events:{name}", hubs)])

    await until(there)


async def steadily(here: Side, events: int) -> None:
    for number in range(events):
        await here.publish(number)
        await asyncio.sleep(0.02)


def test_machine_without_a_server_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one whose port is taken hears which."""
    with valkey(tmp_path) as server, pytest.raises(LocalError, match=f"port {server.port} is taken"):
        start(server.port, tmp_path / "log")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LocalError, match="install the package valkey-server"):
        start(server.port, tmp_path / "log")
