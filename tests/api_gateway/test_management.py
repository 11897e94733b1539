"""@connections: post, get, delete."""

import pytest

from .clock import VirtualClock
from .faults import Faults
from .helpers import Client, Spy, gateway
from .limits import MESSAGE_BYTES, Rate


def test_a_post_arrives_before_it_returns() -> None:
    """Without a latency: 200, and the frame is there, as text."""
    api = gateway()
    client = Client(api)
    assert (api.post_to_connection(client.id, "é".encode()), client.frames) == (200, ["é"])


@pytest.mark.parametrize("name", ["unknown", "closed"])
def test_a_post_to_nobody_is_410(name: str) -> None:
    """Never opened or not open any more: the same."""
    api = gateway()
    client = Client(api)
    client.connection.close()
    assert api.post_to_connection(client.id if name == "closed" else "JKJaXmPLvHcCESH=", b"hi") == 410


def test_a_post_of_more_than_128_kb_is_413() -> None:
    """Nothing arrives and the connection stays."""
    api = gateway()
    client = Client(api)
    sizes = MESSAGE_BYTES, MESSAGE_BYTES + 1
    assert [api.post_to_connection(client.id, b"x" * size) for size in sizes] == [200, 413]
    assert (len(client.frames), client.closed) == (1, None)


def test_account_rate_is_10000_a_second_from_a_bucket_of_5000(clock: VirtualClock) -> None:
    """The connection itself takes the first token."""
    api = gateway(clock)
    client = Client(api)
    assert [api.post_to_connection(client.id, b"") for _ in range(5_000)] == [200] * 4_999 + [429]
    clock.run_for(0.125)
    assert [api.post_to_connection(client.id, b"") for _ in range(1_251)] == [200] * 1_250 + [429]


def test_every_command_counts_for_the_rate(clock: VirtualClock) -> None:
    """Get and delete are throttled with the posts."""
    api = gateway(clock, account_rate=Rate(1, 1))
    client = Client(api)
    assert (api.get_connection(client.id), api.delete_connection(client.id)) == ((429, {}), 429)


def test_a_full_buffer_is_429_until_the_client_reads() -> None:
    """A client that does not read takes buffer_bytes and no more; afterwards it gets them in order."""
    api = gateway(faults=Faults(buffer_bytes=5))
    client = Client(api)
    client.connection.pause()
    assert [api.post_to_connection(client.id, data) for data in (b"abc", b"de", b"f")] == [200, 200, 429]
    client.connection.resume()
    assert client.frames == ["abc", "de"]
    assert api.post_to_connection(client.id, b"f") == 200


def test_the_buffer_of_a_vanished_client_fills_up_too() -> None:
    """Nobody reads it: 429, never 410, until the gateway closes."""
    api = gateway(faults=Faults(buffer_bytes=5))
    client = Client(api)
    client.connection.vanish()
    assert [api.post_to_connection(client.id, b"abc") for _ in range(2)] == [200, 429]


def test_delete_closes_with_1000() -> None:
    """204 and then 410; $disconnect hears "Connection Closed Normally"."""
    gone = Spy()
    api = gateway(routes={"$disconnect": gone})
    client = Client(api)
    assert [api.delete_connection(client.id) for _ in range(2)] == [204, 410]
    assert client.closed == (1000, "Connection Closed Normally")
    assert gone.events[0]["requestContext"]["disconnectStatusCode"] == 1000


def test_get_says_since_when_and_who(clock: VirtualClock) -> None:
    """connectedAt and lastActiveAt in ISO 8601, identity as in the events; a client without an agent has None; 410 for nobody."""
    api = gateway(clock)
    client = Client(api, headers={"user-agent": "curl/8.0"})
    clock.run_for(5)
    client.send("{}")
    times = {"connectedAt": "2027-01-15T08:00:00Z", "lastActiveAt": "2027-01-15T08:00:05Z"}
    assert api.get_connection(client.id) == (200, {**times, "identity": {"sourceIp": "203.0.113.7", "userAgent": "curl/8.0"}})
    assert api.get_connection(Client(api).id)[1]["identity"]["userAgent"] is None
    assert api.get_connection("JKJaXmPLvHcCESH=") == (410, {})


def test_delete_from_the_connections_own_message() -> None:
    """A function may throw its caller out; what it answers afterwards goes nowhere."""

    def kick(event: dict[str, dict[str, str]], _context: object) -> dict[str, object]:
        return {"statusCode": api.delete_connection(event["requestContext"]["connectionId"]), "body": "bye"}

    api = gateway(routes={"$default": kick}, route_responses={"$default"})
    client = Client(api)
    client.send("{}")
    assert (client.closed, client.frames, api.failures) == ((1000, "Connection Closed Normally"), [], [])
