"""Real clients lose nothing, whatever ends their connections: each of them gets every event once, in order, through nginx."""

import json
import time

import pytest
from playwright.sync_api import Page

from realtime.sessions import COOKIE
from realtime.tokens import CLOCK_SECONDS, issue
from tests.browser.clients import CLOSED, Client, chromium, node, python
from tests.browser.place import Place, place, until
from tests.helpers import SECRET
from tests.hubs import SOAK

ROTATIONS = 5
AT_ONCE_SECONDS = 1.0 if SOAK else 3.0  # the short form runs beside other tests


def quiet() -> tuple[dict[str, str], int]:
    """A place and seconds of silence in it: nginx's own time-out and ours in the long form, a 20th in the short one."""
    if SOAK:
        return {"module": "services.sse"}, 180
    return {"HEARTBEAT": "1", "more": "proxy_read_timeout 3s;"}, 8


def everybody(page: Page, place: Place) -> list[Client]:
    """One client of each kind, connected."""
    clients = [chromium(page, place), node(place), python(place)]
    for client in clients:
        client.until("open", 1, 30)
    return clients


def arrives_at_once(place: Place, clients: list[Client], number: int) -> None:
    """Publish it, while no client is about to come back after a rotation: it reaches each of them, at once where none came meanwhile."""
    until(lambda: all(client.connected for client in clients), 30)
    before = {client.name: client.count("open") for client in clients}
    began = place.publish(number)
    for client in clients:
        client.until("note", number, 30)
        came = client.seen("note")[-1].at
        print(json.dumps({"client": client.name, "seconds": round(came - began, 3), "connections": client.count("open")}))
        rotated = sum(event.at <= came for event in client.seen("open")) > before[client.name]
        assert rotated or came - began < AT_ONCE_SECONDS, client.name


def test_rotations_lose_nothing(page: Page) -> None:
    """Clients, Chromium's EventSource on a cookie session among them, are sent away five times while events keep coming."""
    published = 0
    with place(ROTATE="0.5", HEARTBEAT="1") as here:
        clients = everybody(page, here)
        deadline = time.monotonic() + 60
        while min(client.count("open") for client in clients) <= ROTATIONS and time.monotonic() < deadline:
            here.publish(published := published + 1)
            time.sleep(0.1)
        arrives_at_once(here, clients, published + 1)
        for client in clients:
            client.lost_nothing(published + 1)
            assert client.count("open") > ROTATIONS


@pytest.mark.soak
@pytest.mark.timeout(420)
def test_silence_breaks_no_connection(page: Page) -> None:
    """Three kinds of client behind nginx, and nothing to tell them for longer than its time-out: the next event comes at once."""
    settings, seconds = quiet()
    with place(**settings) as here:
        clients = everybody(page, here)
        arrives_at_once(here, clients, 1)
        time.sleep(seconds)
        arrives_at_once(here, clients, 2)
        for client in clients:
            client.lost_nothing(2)


@pytest.mark.parametrize("cookie", ["outlives it", "ends with it"])
def test_end_of_session_stops_for_good(page: Page, cookie: str) -> None:
    """A cookie that is still sent is answered with 204, none at all with 401: no EventSource comes back after either."""
    with place(ROTATE="0.5", HEARTBEAT="1") as here:
        if cookie == "outlives it":
            ending = issue(SECRET, "ann", 6 - CLOCK_SECONDS, "realtime-session")  # for some 6 s it is believed yet
            page.context.add_cookies(
                [{"name": COOKIE, "value": ending, "url": here.url.replace("http", "https"), "secure": True, "httpOnly": True}]
            )
        client = chromium(page, here, None if cookie == "outlives it" else 3)
        until(lambda: CLOSED in [error.data for error in client.seen("error")], 20)
        refusal = 204 if cookie == "outlives it" else 401
        until(lambda: here.streams()[-1:] == [refusal], 10)  # nginx writes it down when the client may know already
        answers = here.streams()
        time.sleep(1.5)  # longer than any `retry` that it was told
        assert here.streams() == answers
        assert answers == [200] * client.count("open") + [refusal]


def test_restart_is_told(page: Page) -> None:
    """A service that begins a new log answers an old cursor with `reset`: the page knows that it has to load its state anew."""
    with place(HEARTBEAT="1") as here:
        client = chromium(page, here)
        client.until("open", 1, 30)
        arrives_at_once(here, [client], 1)
        here.restart()
        client.until("reset", 1, 30)
        arrives_at_once(here, [client], 2)
        assert [event.type for event in client.seen("note", "reconnect", "reset")] == ["note", "reconnect", "reset", "note"]
        assert json.loads(client.seen("reset")[0].data) == {"topic": "alerts"}
