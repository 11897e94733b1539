"""The way of a frame to its client, with faults."""

from random import Random

import pytest

from .clock import VirtualClock
from .faults import Faults
from .helpers import Client, gateway


def numbers(client: Client) -> list[int]:
    return [int(frame) for frame in client.frames]


def test_a_frame_takes_its_latency(clock: VirtualClock) -> None:
    """The post returns at once; the frame arrives on the clock."""
    api = gateway(clock, faults=Faults(latency=lambda: 0.05))
    client = Client(api)
    assert api.post_to_connection(client.id, b"1") == 200
    clock.run_for(0.049)
    assert client.frames == []
    clock.run_for(0.001)
    assert client.frames == ["1"]


def test_frames_keep_their_order_whatever_the_latency(clock: VirtualClock) -> None:
    """TCP does not overtake."""
    api = gateway(clock, faults=Faults(latency=Random(1).random))
    client = Client(api)
    for number in range(100):
        api.post_to_connection(client.id, b"%d" % number)
        clock.run_for(0.01)
    clock.run_for(1)
    assert numbers(client) == list(range(100))


def test_reordered_frames_all_arrive(clock: VirtualClock) -> None:
    """Some posts overtake others; none is lost."""
    api = gateway(clock, faults=Faults(latency=lambda: 0.05, reorder=0.2))
    client = Client(api)
    for number in range(100):
        api.post_to_connection(client.id, b"%d" % number)
        clock.run_for(0.01)
    clock.run_for(1)
    assert numbers(client) != list(range(100)) == sorted(numbers(client))


def test_reordering_needs_a_latency() -> None:
    """A knob without effect would be a false green."""
    with pytest.raises(ValueError, match="latency"):
        Faults(reorder=0.1)


def test_duplicated_frames_arrive_twice() -> None:
    """With its probability, and without a latency too."""
    api = gateway(faults=Faults(duplicate=0.5))
    client = Client(api)
    for number in range(200):
        api.post_to_connection(client.id, b"%d" % number)
    assert 260 < len(client.frames) < 340
    assert sorted(set(numbers(client))) == list(range(200))


def test_the_close_comes_last(clock: VirtualClock) -> None:
    """What was posted before the close is read before it, late frames too; what is posted after it is a 410."""
    api = gateway(clock, faults=Faults(latency=lambda: 0.05, reorder=0.5))
    client = Client(api)
    for _ in range(20):
        api.post_to_connection(client.id, b"1")
    api.delete_connection(client.id)
    assert api.post_to_connection(client.id, b"2") == 410
    clock.run_for(0.06)
    assert (len(client.frames) < 20, client.closed) == (True, None)
    clock.run_for(0.05)
    assert (len(client.frames), client.closed) == (20, (1000, "Connection Closed Normally"))


def test_what_is_on_its_way_when_the_client_leaves_is_lost(clock: VirtualClock) -> None:
    """Nothing arrives at a client that has closed or vanished."""
    api = gateway(clock, faults=Faults(latency=lambda: 0.05))
    client = Client(api)
    api.post_to_connection(client.id, b"1")
    client.connection.close()
    clock.run_for(1)
    assert client.frames == []


def test_the_same_random_numbers_give_the_same_run() -> None:
    """Ids, faults and their order: a failure can be run again."""

    def run() -> tuple[str, list[str]]:
        clock = VirtualClock()
        api = gateway(clock, faults=Faults(latency=Random(2).random, duplicate=0.3, reorder=0.3))
        client = Client(api)
        for number in range(50):
            api.post_to_connection(client.id, b"%d" % number)
        clock.run_for(5)
        return client.id, client.frames

    assert run() == run()
