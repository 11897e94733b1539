"""How connections end, and what $disconnect hears of it."""

import pytest

from .clock import RealClock, VirtualClock
from .faults import Faults
from .helpers import Client, Spy, gateway

MINUTE = 60


class NoTimers(RealClock):
    """A real clock, but for its time."""

    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def test_ten_idle_minutes_close_with_1001(clock: VirtualClock) -> None:
    """Not a moment before."""
    client = Client(gateway(clock))
    clock.run_for(10 * MINUTE - 0.001)
    assert client.closed is None
    clock.run_for(0.001)
    assert client.closed == (1001, "Going away")


@pytest.mark.parametrize("direction", ["in", "out"])
def test_traffic_in_either_direction_keeps_it_open(clock: VirtualClock, direction: str) -> None:
    """The ten minutes begin anew with every message and every post."""
    api = gateway(clock)
    client = Client(api)
    for _ in range(3):
        clock.run_for(9 * MINUTE)
        client.send("{}") if direction == "in" else api.post_to_connection(client.id, b"{}")
    clock.run_for(10 * MINUTE - 0.001)
    assert client.closed is None
    clock.run_for(0.001)
    assert client.closed == (1001, "Going away")


def test_two_hours_are_the_end_whatever_the_traffic(clock: VirtualClock) -> None:
    """API Gateway's maximum connection duration."""
    client = Client(gateway(clock))
    for _ in range(120):
        assert client.closed is None
        clock.run_for(MINUTE)
        client.send("{}")
    assert client.closed == (1001, "Going away")


def test_a_connection_has_one_timer_however_much_is_sent(clock: VirtualClock) -> None:
    """A simulated day stays cheap."""
    client = Client(gateway(clock))
    for _ in range(1_000):
        client.send("{}")
    assert len(clock._timers) == 1


def test_by_hand_where_no_timers_run() -> None:
    """As on a real clock, `expire` closes what is due, and nothing else."""
    clock = NoTimers()
    api = gateway(clock)
    old = Client(api)
    clock.now += 9 * MINUTE
    new = Client(api)
    clock.now += MINUTE
    api.expire()
    assert (old.closed, new.closed) == ((1001, "Going away"), None)


def test_disconnect_comes_after_the_close(clock: VirtualClock) -> None:
    """A post from $disconnect is a 410, and the client has heard already."""
    seen: list[object] = []

    def disconnect(event: dict[str, dict[str, str]], _context: object) -> None:
        seen.extend([api.post_to_connection(event["requestContext"]["connectionId"], b"bye"), client.closed])

    api = gateway(clock, routes={"$disconnect": disconnect})
    client = Client(api)
    clock.run_for(10 * MINUTE)
    assert seen == [410, (1001, "Going away")]


@pytest.mark.parametrize(
    ("code", "reason", "heard"),
    [(None, "", (1005, "Client-side close frame status not set")), (1000, "", (1000, "")), (4001, "bye", (4001, "bye"))],
)
def test_disconnect_hears_the_clients_code(code: int | None, reason: str, heard: tuple[int, str]) -> None:
    """1005 is a close frame without a code, as from a browser's close(); the client's own on_close is not called."""
    gone = Spy()
    client = Client(gateway(routes={"$disconnect": gone}))
    client.connection.close(code, reason)
    context = gone.events[0]["requestContext"]
    assert (context["disconnectStatusCode"], context["disconnectReason"]) == heard
    assert client.closed is None


def test_a_connection_ends_once(clock: VirtualClock) -> None:
    """Whoever closes later changes nothing: one $disconnect."""
    gone = Spy()
    api = gateway(clock, routes={"$disconnect": gone})
    client = Client(api)
    client.connection.close()
    client.connection.close()
    assert api.delete_connection(client.id) == 410
    clock.run_for(3 * 60 * MINUTE)
    assert (len(gone.events), client.closed) == (1, None)


def test_a_lost_disconnect_is_not_invoked() -> None:
    """$disconnect is best effort."""
    gone = Spy()
    api = gateway(routes={"$disconnect": gone}, faults=Faults(lose_disconnect=0.5))
    for _ in range(200):
        Client(api).connection.close()
    assert 60 < len(gone.events) < 140
    assert api.open_connections == 0


def test_a_delayed_disconnect_comes_when_the_client_is_back(clock: VirtualClock) -> None:
    """The order that breaks those who keep one row a user."""
    heard = Spy()
    api = gateway(clock, routes={"$connect": heard, "$disconnect": heard}, faults=Faults(disconnect_delay=lambda: 5))
    Client(api).connection.close()
    Client(api)
    clock.run_for(5)
    assert [event["requestContext"]["eventType"] for event in heard.events] == ["CONNECT", "CONNECT", "DISCONNECT"]


def test_a_disconnect_that_fails_troubles_nobody() -> None:
    """The connection is closed all the same; the failure is kept."""
    api = gateway(routes={"$disconnect": Spy(ValueError("boom"))})
    Client(api).connection.close()
    assert (api.open_connections, len(api.failures)) == (0, 1)


def test_a_vanished_client_is_noticed_when_it_is_idle(clock: VirtualClock) -> None:
    """Until then posts are taken and lost; then $disconnect comes, and nobody calls on_close."""
    gone = Spy()
    api = gateway(clock, routes={"$disconnect": gone})
    client = Client(api)
    client.connection.vanish()
    assert api.post_to_connection(client.id, b"lost") == 200
    clock.run_for(10 * MINUTE)
    assert api.post_to_connection(client.id, b"lost") == 410
    assert (len(gone.events), client.frames, client.closed) == (1, [], None)


def test_posts_keep_a_vanished_client_open_for_two_hours(clock: VirtualClock) -> None:
    """They count as traffic: who posts every minute posts into the void 119 times."""
    api = gateway(clock)
    client = Client(api)
    client.connection.vanish()
    taken = 0
    while api.post_to_connection(client.id, b"lost") == 200:
        taken += 1
        clock.run_for(MINUTE)
    assert taken == 120


def test_posts_to_a_vanished_client_may_be_410() -> None:
    """By a knob, which can be turned while the test runs."""
    api = gateway()
    client = Client(api)
    client.connection.vanish()
    api.faults.vanished_status = 410
    assert api.post_to_connection(client.id, b"lost") == 410


def test_a_vanished_client_does_nothing_more() -> None:
    """Neither its messages nor its close reach the gateway."""
    spy = Spy()
    api = gateway(routes={"$default": spy, "$disconnect": spy})
    client = Client(api)
    client.connection.vanish()
    client.send("{}")
    client.connection.close()
    assert (spy.events, api.open_connections) == ([], 1)


def test_a_client_may_come_back_from_its_on_close(clock: VirtualClock) -> None:
    """Nothing is locked while a callback runs."""
    api = gateway(clock)
    back: list[str] = []
    api.connect(on_close=lambda *_: back.append(api.connect().id))
    clock.run_for(10 * MINUTE)
    assert (len(back), api.open_connections) == (1, 1)
