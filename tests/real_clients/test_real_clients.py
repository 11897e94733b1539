"""Clients that others wrote, through a proxy that nobody has configured for streams."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from realtime.sessions import COOKIE
from tests.real_clients.clients import Client, browser, httpx, node, once_in_order, until
from tests.real_clients.site import Site, site

SOAK = os.environ.get("SOAK") == "full"
ROTATIONS = 5


@pytest.fixture
def short(tmp_path: Path) -> Iterator[Site]:
    """Streams end after 1 to 2 s, with a heartbeat each second."""
    with site(tmp_path, HEARTBEAT="1", ROTATE="1") as made:
        yield made


def test_native_eventsource_over_rotations(short: Site) -> None:
    """On a cookie session it comes back by itself, to the same URL, and loses nothing."""
    with browser(short) as page:
        count = 0
        while page["opened"] <= ROTATIONS and count < 1_000:
            short.publish(count)
            count += 1
            time.sleep(0.05)
        once_in_order(page, count)
        print(json.dumps({"connections": page["opened"], "events": count}))
        assert page["opened"] > ROTATIONS
        assert (page["gaveUp"], "reset" in page["kinds"]) == (0, False)


@pytest.mark.soak
def test_silence_through_a_default_proxy(tmp_path: Path) -> None:
    """Heartbeats keep the connection; the event after the silence is there at once. In full: 3 minutes, nothing shortened."""
    timeout, silence, clock = ("60s", 180.0, {}) if SOAK else ("3s", 7.0, {"HEARTBEAT": "1"})
    with site(tmp_path, timeout, **clock) as made, browser(made) as page, node(made) as package, httpx(made) as loop:
        clients: dict[str, Client] = {"chromium": page, "eventsource": package, "httpx2": loop}
        made.publish(0)
        for client in clients.values():
            once_in_order(client, 1)
        time.sleep(silence)
        began = made.publish(1)
        for client in clients.values():
            once_in_order(client, 2)
        late = {name: round(client.seen()[-1][1] - began, 3) for name, client in clients.items()}
        print(json.dumps({"silence": silence, "seconds_to_the_next_event": late, "page_opened": page["opened"]}))
        assert max(late.values()) < 1.5  # a rotation may be under way: its pause is at most a second
        assert page["opened"] <= (3 if SOAK else 1)


def test_ended_session_stops_a_native_eventsource_for_good(short: Site) -> None:
    """204: it asks no more."""
    with browser(short) as page:
        short.publish(0)
        once_in_order(page, 1)
        page.page.context.add_cookies([{"name": COOKIE, "value": "ended", "domain": "localhost", "path": "/", "secure": True}])
        until(lambda: page["gaveUp"])
        asked = short.requests()
        assert asked[-1].endswith(" 204")
        time.sleep(2)
        assert short.requests() == asked


def test_wiped_log_is_told(short: Site) -> None:
    """A service whose log is gone: the page is told to load its state anew, and goes on with what follows."""
    with browser(short) as page:
        short.publish(0)
        once_in_order(page, 1)
        short.restart()
        short.publish(7)
        until(lambda: page["source.readyState === EventSource.CLOSED && (open(), true)"] or "reset" in page["kinds"])
        until(lambda: "reset" in page["kinds"])
        short.publish(8)
        until(lambda: page.seen()[-1][0] == 8)
