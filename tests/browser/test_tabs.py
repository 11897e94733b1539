"""Ten tabs of a site share one connection, and lose nothing when the tab that leads goes."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.place import until
from tests.browser.test_client import FULL, SHOW, got, opened, publish
from tests.deployment import Deployment

TABS = 10
LEADS = "() => client.leads"


@pytest.fixture
def tabs(browser: Browser, here: Deployment, request: pytest.FixtureRequest) -> Iterator[list[Page]]:
    """Ten tabs of one site; the topic is named after the test."""
    token = here.token("ann", 3600)
    with browser.new_context() as context:
        yield [opened(context.new_page(), here, topic_of(request), token=token, tabs="yes", hiddenAfter=1000) for _ in range(TABS)]


def topic_of(request: pytest.FixtureRequest) -> str:
    return f"orders/{request.node.name[:30]}"


def leader(tabs: list[Page]) -> Page:
    """The one that leads."""
    leading = [tab for tab in tabs if tab.evaluate("client.leads")]
    assert len(leading) == 1
    return leading[0]


def until_open(here: Deployment, count: int) -> None:
    """Wait until there are so many connections and no streams, which on a busy machine may serve before they do."""
    until(lambda: (here.open("websocket"), here.open("sse")) == (count, 0), 20)


def test_ten_tabs_have_one_connection(tabs: list[Page], here: Deployment, request: pytest.FixtureRequest) -> None:
    """All of them are live."""
    publish(here, 0, 20, topic_of(request))
    assert [got(tab, 20) for tab in tabs] == [list(range(20))] * TABS
    until_open(here, 1)


@pytest.mark.soak
def test_another_tab_takes_over(tabs: list[Page], here: Deployment, request: pytest.FixtureRequest) -> None:
    """The leader is closed in the middle of a stream of events: within two seconds (`SOAK=full`) another leads, and nothing is lost."""
    publish(here, 0, 5, topic_of(request))
    gone = leader(tabs)
    gone.close()
    publish(here, 5, 5, topic_of(request))
    left = [tab for tab in tabs if tab is not gone]
    seconds = 2 if FULL else 10  # the short form runs beside other tests
    assert [got(tab, 10, seconds) for tab in left] == [list(range(10))] * (TABS - 1)
    assert leader(left)
    until_open(here, 1)


def test_frozen_leader_is_replaced(tabs: list[Page], here: Deployment, request: pytest.FixtureRequest) -> None:
    """It holds its lock and does nothing: a tab that is looked at finds out, and takes its place."""
    frozen = leader(tabs)
    shown = next(tab for tab in tabs if tab is not frozen)
    frozen.evaluate("void setTimeout(() => { const end = Date.now() + 7000; while (Date.now() < end); })")
    shown.evaluate(SHOW, "visible")
    shown.wait_for_function(LEADS, timeout=6_000)
    publish(here, 0, 3, topic_of(request))
    assert got(shown, 3) == [0, 1, 2]
    assert got(frozen, 3, 10) == [0, 1, 2]


def test_late_tab_gets_what_it_asked_for(tabs: list[Page], here: Deployment, request: pytest.FixtureRequest) -> None:
    """`recent` is answered from what the leader keeps."""
    publish(here, 0, 5, topic_of(request))
    got(tabs[-1], 5)
    token = here.token("ann", 3600)
    late = opened(tabs[0].context.new_page(), here, topic_of(request), token=token, tabs="yes", recent=2)
    assert got(late, 2) == [3, 4]
    until_open(here, 1)


def test_tabs_of_another_person_share_nothing(tabs: list[Page], here: Deployment, request: pytest.FixtureRequest) -> None:
    """Who is somebody else has a connection of his own."""
    other = opened(tabs[0].context.new_page(), here, topic_of(request), token=here.token("bob", 3600), tabs="yes")
    assert other.evaluate("client.leads")
    until_open(here, 2)


def test_hidden_are_all_or_none(tabs: list[Page], here: Deployment, request: pytest.FixtureRequest) -> None:
    """One tab that is seen keeps the connection for all; when the last is hidden, it goes; shown, it is there again."""
    for tab in tabs[1:]:
        tab.evaluate(SHOW, "hidden")
    tabs[0].wait_for_timeout(1_500)
    assert here.open("websocket") == 1
    tabs[0].evaluate(SHOW, "hidden")
    until_open(here, 0)
    publish(here, 0, 3, topic_of(request))
    tabs[5].evaluate(SHOW, "visible")
    assert [got(tab, 3) for tab in tabs] == [[0, 1, 2]] * TABS


def test_any_tab_publishes(tabs: list[Page], here: Deployment, request: pytest.FixtureRequest) -> None:
    """Also one that only follows."""
    follower = next(tab for tab in tabs if not tab.evaluate("client.leads"))
    follower.evaluate("(topic) => client.publish(topic, 'note', { n: 0 })", topic_of(request))
    assert [got(tab, 1) for tab in tabs] == [[0]] * TABS
