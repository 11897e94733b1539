"""The gateway in several threads, in real time."""

from concurrent.futures import ThreadPoolExecutor
from random import Random
from threading import Event

from .clock import RealClock
from .gateway import WebSocketApi
from .helpers import Client, Spy, gateway
from .limits import Rate

SECONDS = 10
PLENTY = Rate(1_000_000, 1_000_000)


def roomy(**routes: object) -> WebSocketApi:
    return WebSocketApi(RealClock(), integrations=routes, random=Random(1), account_rate=PLENTY, connection_rate=PLENTY)  # type: ignore[arg-type]


def test_nothing_is_lost_between_threads() -> None:
    """Eight threads connect, post and close: every frame arrives, every close is heard once, nobody is left."""
    gone = Spy()
    api = roomy(**{"$disconnect": gone})

    def work(_: int) -> int:
        client = Client(api)
        posted = [api.post_to_connection(client.id, b"%d" % n) for n in range(50)]
        client.connection.close()
        return posted.count(200) + len(client.frames)

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(work, range(100), timeout=SECONDS)) == [100] * 100
    assert (len(gone.events), api.open_connections) == (100, 0)


def test_a_connection_is_closed_by_one_thread() -> None:
    """Of eight that delete it, one gets 204."""
    api = roomy()
    for _ in range(50):
        client = Client(api)
        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(api.delete_connection, [client.id] * 8, timeout=SECONDS))
        assert sorted(answers) == [204] + [410] * 7


def test_a_slow_function_holds_up_nobody() -> None:
    """No lock is held while a handler runs: others connect and post meanwhile."""
    begun, end = Event(), Event()

    def slow(_event: object, _context: object) -> dict[str, int]:
        begun.set()
        assert end.wait(SECONDS)
        return {"statusCode": 200}

    api = gateway(RealClock(), routes={"$default": slow})
    client = Client(api)
    with ThreadPoolExecutor(1) as threads:
        sent = threads.submit(client.send, "{}")
        assert begun.wait(SECONDS)
        assert api.post_to_connection(Client(api).id, b"hi") == 200
        end.set()
        sent.result(SECONDS)
    assert api.failures == []
