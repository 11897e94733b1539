"""The recipes of docs/interop.md as people copy them: the real packages in Chromium, and a whole deployment behind one origin."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from local.places import ROOT
from local.process import Child, stop
from realtime import hub
from tests.browser.place import until
from tests.browser.recipes.at_work import (
    REACT,
    RECIPES,
    WITH_FIGURES,
    WITHIN_SECONDS,
    Polls,
    bundle,
    follow,
    listen,
    show,
    shuffle,
    until_page,
    until_seen,
    until_shown,
)
from tests.deployment import Deployment, Transport, deployed

ROTATIONS = 3
OUTAGE_SECONDS = 2

Printed = Callable[[int], list[str]]
"""The lines that a program has printed, as soon as they are so many."""


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles")
    bundle(folder)
    return folder


@pytest.fixture
def deployment(tmp_path: Path, bundles: Path) -> Iterator[Deployment]:
    with deployed(tmp_path, WITH_FIGURES, {"/react": bundles, "/recipes": RECIPES}, retry_ms=(100, 300)) as made:
        yield made


@pytest.fixture
def run(deployment: Deployment, tmp_path: Path) -> Iterator[Callable[..., Printed]]:
    """Starts a recipe of the command line, with a token in its environment."""
    children: list[Child] = []

    def run(*command: str | Path) -> Printed:
        child = Child.start("recipe", command, os.environ | {"TOKEN": deployment.token()}, tmp_path / "printed", ROOT)
        children.append(child)

        def printed(count: int) -> list[str]:
            until(lambda: child.log.read_text().count("\n") >= count, WITHIN_SECONDS)
            return child.log.read_text().splitlines()

        return printed

    yield run
    stop([child.process for child in children])


def outage(deployment: Deployment, transport: Transport) -> Callable[[], float]:
    """Somebody was told to come again in two seconds, and then all is well. The result: when he did come, in seconds after that."""
    before = len(deployment.accepted(transport))
    deployment.busy(transport, OUTAGE_SECONDS)
    until(lambda: len(deployment.accepted(transport)) > before, WITHIN_SECONDS)
    deployment.busy(transport, 0)

    def came() -> float:
        told, then = deployment.accepted(transport)[before : before + 2]
        return then - told

    return came


# Polling in React


@pytest.mark.parametrize("recipe", REACT)
def test_nothing_new_costs_304s_and_no_render(page: Page, deployment: Deployment, recipe: str) -> None:
    """What polls that find nothing new are told is 304, and nothing is rendered; a change is rendered once, within the interval."""
    polls = Polls(page)
    deployment.publish("metrics", 1)
    show(page, deployment, recipe, "useTopic", "metrics")
    until_page(page, "renders.at(-1)?.data === 1")
    before = page.evaluate("renders.length")
    assert polls.until(3) == [200, 304, 304]
    assert page.evaluate("renders.length") == before
    deployment.publish("metrics", 2)
    until_page(page, "renders.at(-1).data === 2", seconds=1.2 + 1.3)
    assert page.evaluate("renders.length") == before + 1


@pytest.mark.parametrize("recipe", REACT)
def test_renders_put_no_poll_off(page: Page, deployment: Deployment, recipe: str) -> None:
    """A component that is rendered all the time for other reasons polls on; here a topic that not everybody may read."""
    polls = Polls(page)
    show(page, deployment, recipe, "useTopic", "figures")
    page.evaluate("setInterval(render, 50)")
    assert polls.until(3) == [200, 304, 304]


@pytest.mark.parametrize("recipe", REACT)
def test_retry_after_is_honoured(page: Page, deployment: Deployment, recipe: str) -> None:
    """A service that says 503 and "in 2 s" is not asked again before, and then it goes on by itself."""
    show(page, deployment, recipe, "useTopic", "metrics")
    until_page(page, "renders.at(-1)?.seq === 0")
    came = outage(deployment, "polling")
    deployment.publish("metrics", 1)
    until_page(page, "renders.at(-1).data === 1")
    assert came() > OUTAGE_SECONDS - 0.1


@pytest.mark.parametrize("recipe", REACT)
def test_every_event_once_over_a_restart(page: Page, deployment: Deployment, recipe: str) -> None:
    """Events from before, while and after the server is away are appended in order, each once; also more than a page of them."""
    deployment.publish("ticker", "before", 3)
    show(page, deployment, recipe, "useEvents", "ticker")
    until_shown(page, 3)
    deployment.stop()
    deployment.publish("ticker", "away", 150)
    deployment.start()
    until_shown(page, 153)
    deployment.publish("ticker", "after", 2)
    until_shown(page, 155)


@pytest.mark.parametrize("recipe", REACT)
def test_another_life_of_the_log_begins_the_list_anew(page: Page, deployment: Deployment, recipe: str) -> None:
    """A cursor that cannot be honoured leaves no gap in the list: it is read again from its newest events."""
    deployment.publish("ticker", "old", 3)
    show(page, deployment, recipe, "useEvents", "ticker")
    until_shown(page, 3)
    deployment.wipe()
    deployment.publish("ticker", "new", 2)
    until_page(page, "renders.at(-1).length === 2 && renders.at(-1).every(({data}) => data === 'new')")


# EventSource


def test_event_source_resumes_by_itself(page: Page, deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sent away again and again, it comes back on the session that it has: each event once and in order."""
    monkeypatch.setattr(hub, "ROTATE_SECONDS", (0.3, 0.6))
    listen(page, deployment)
    published = 0
    while len(deployment.accepted("sse")) <= ROTATIONS and published < 150:
        published += len(deployment.publish("alerts/a", "x"))
        page.wait_for_timeout(50)
    until_seen(page, "sign in", "reset", *range(1, published + 1))
    assert len(deployment.accepted("sse")) > ROTATIONS


def test_event_source_is_told_to_load_anew(page: Page, deployment: Deployment) -> None:
    """Another life of the log is a `reset`, and events go on behind it."""
    listen(page, deployment)
    deployment.publish("alerts/a", "old", 2)
    until_seen(page, "sign in", "reset", 1, 2)
    deployment.wipe()
    deployment.publish("alerts/a", "new")
    until_seen(page, "sign in", "reset", 1, 2, "reset")
    deployment.publish("alerts/a", "new")
    until_seen(page, "sign in", "reset", 1, 2, "reset", 2)


def test_event_source_signs_in_again_where_the_browser_gave_up(page: Page, deployment: Deployment) -> None:
    """A 503 ends a native EventSource for good: with another session it goes on from the last event."""
    listen(page, deployment)
    deployment.publish("alerts/a", "x")
    until_seen(page, "sign in", "reset", 1)
    deployment.busy("sse", 1)
    deployment.cut("sse")
    until_page(page, "seen.filter(what => what === 'sign in').length >= 2")
    deployment.publish("alerts/a", "x")
    deployment.busy("sse", 0)
    until_page(page, "seen.at(-1) === 2")
    assert page.evaluate("seen.filter(what => what !== 'sign in')") == ["reset", 1, 2]


# WebSocket


@pytest.mark.parametrize("seed", [1, 2])
def test_websocket_drops_and_holds(page: Page, deployment: Deployment, seed: int) -> None:
    """Pushes are lost, come twice and out of order: each event reaches the page once and in order."""
    shuffle(page, seed)
    follow(page, deployment)
    for _ in range(30):
        deployment.publish("chat/a", "x")
        page.wait_for_timeout(20)
    until_seen(page, "sign in", "reset", *range(1, 31))


def test_websocket_closes_a_gap_while_events_go_on(page: Page, deployment: Deployment) -> None:
    """What was lost is asked for after a second, also where pings wait for a quieter moment."""
    follow(page, deployment)
    deployment.lose("websocket", 1)
    published = 0
    while not page.evaluate("seen.includes(1)") and published < 60:
        published += len(deployment.publish("chat/a", "x"))
        page.wait_for_timeout(100)
    assert published < 60
    until_seen(page, "sign in", "reset", *range(1, published + 1))


def test_websocket_misses_no_last_event(page: Page, deployment: Deployment) -> None:
    """The push of the last event is lost, so that no gap shows: a ping tells, some 3 s later."""
    follow(page, deployment)
    deployment.lose("websocket", 1)
    deployment.publish("chat/a", "x")
    until_page(page, "seen.includes(1)", seconds=8)
    until_seen(page, "sign in", "reset", 1)


def test_websocket_notices_a_dead_line(page: Page, deployment: Deployment) -> None:
    """A server that is silent after a ping is left, and the next connection goes on from the cursor. The page's clock is ours."""
    page.clock.install()
    follow(page, deployment)
    deployment.silent("websocket")
    deployment.publish("chat/a", "x")
    for _ in range(2):  # until the ping, and until it is too late for its answer
        page.clock.fast_forward(12_000)
    until_page(page, "seen.filter(what => what === 'sign in').length === 2")
    deployment.silent("websocket", False)
    until_seen(page, "sign in", "reset", "sign in", 1)


def test_websocket_comes_back_to_where_it_was(page: Page, deployment: Deployment) -> None:
    """Cut, it goes on from its cursor with a new ticket; and after a server that was away, from more than one replay."""
    follow(page, deployment)
    deployment.publish("chat/a", "x", 2)
    until_seen(page, "sign in", "reset", 1, 2)
    deployment.cut("websocket")
    deployment.publish("chat/a", "x", 2)
    until_seen(page, "sign in", "reset", 1, 2, "sign in", 3, 4)
    deployment.stop()
    deployment.publish("chat/a", "x", 150)
    deployment.start()
    until_page(page, "seen.at(-1) === 154")
    assert page.evaluate("seen.filter(what => what !== 'sign in')") == ["reset", *range(1, 155)]


def test_websocket_is_told_to_load_anew(page: Page, deployment: Deployment) -> None:
    """Another life of the log begins with a reset, never with a silent jump."""
    follow(page, deployment)
    deployment.publish("chat/a", "x", 3)
    until_seen(page, "sign in", "reset", 1, 2, 3)
    deployment.wipe()
    deployment.publish("chat/a", "x", 2)
    until_seen(page, "sign in", "reset", 1, 2, 3, "reset")
    deployment.publish("chat/a", "x")
    until_seen(page, "sign in", "reset", 1, 2, 3, "reset", 3)


# The command line


@pytest.mark.parametrize("command", [(sys.executable, RECIPES / "poll.py"), ("sh", RECIPES / "curl.sh", "poll")], ids=["python", "curl"])
def test_programs_poll(deployment: Deployment, run: Callable[..., Printed], command: tuple[str | Path, ...]) -> None:
    """What is new is printed, once; an outage that says when to come again is waited for."""
    deployment.publish("metrics", 1)
    printed = run(*command, deployment.url, "metrics")
    printed(1)
    came = outage(deployment, "polling")
    deployment.publish("metrics", 2)
    assert [json.loads(line)["data"] for line in printed(2)] == [1, 2]
    assert came() > OUTAGE_SECONDS - 0.1


def test_curl_streams(deployment: Deployment, run: Callable[..., Printed]) -> None:
    """A stream by curl that is cut goes on from its last event."""
    printed = run("sh", RECIPES / "curl.sh", "stream", deployment.url, "alerts/a")
    until(lambda: deployment.open("sse"), WITHIN_SECONDS)
    for number in range(1, 4):
        deployment.publish("alerts/a", "x")
        printed(number)
        deployment.cut("sse")
    assert [json.loads(line.removeprefix("note "))["seq"] for line in printed(3)] == [1, 2, 3]
