"""The client in a real browser against what `make up` deploys: functions and log on the local endpoint, hubs as processes."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Page

from local import endpoint
from realtime.dynamo import DynamoStore
from realtime.features import load
from realtime.log import Log
from realtime.tokens import issue
from tests.browser.test_client import BACK, asleep, hidden_and_shown, nothing_is_lost, opened
from tests.helpers import event
from tests.local.test_end_to_end import Local, make, running

FEATURE = '\n[features.live]\npattern = "fallback"\naccess = { read = "user", publish = "service" }\n'
PAGES = Path(__file__).parent / "pages"
NETWORK = "websocket", "sse", "polling"


class Deployed:
    """The deployment, as far as the tests of the client need one."""

    def __init__(self, local: Local) -> None:
        self.local, self.url = local, local.places.page
        self._topic = load(local.features).topic("live")
        self._log = Log(DynamoStore(endpoint.client(local.places, "dynamodb"), local.status["outputs"]["CoreStack"]["LogTable"]))

    def token(self, sub: str, seconds: int) -> str:
        return issue(self.local.secret, sub, seconds)

    def publish(self, _: str, data: object) -> None:
        self._log.append(self._topic, [event(data)])

    def kill_hubs(self) -> None:
        (hubs,) = (process["pid"] for process in self.local.status["processes"] if process["name"] == "hubs")
        for hub in psutil.Process(hubs).children():
            hub.kill()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    made = make(tmp_path_factory.mktemp("deployed"))
    made.features.write_text(made.features.read_text() + FEATURE)
    with running(made) as local:
        yield Deployed(local)


def cut(page: Page, *transports: str, on: bool = True) -> None:
    page.evaluate("([transports, on]) => transports.forEach((each) => client.cut(each, on))", [transports, on])


@pytest.mark.soak
@pytest.mark.timeout(400)
def test_every_fault_on_the_deployment(page: Page, place: Deployed) -> None:
    """At 50 events a second, hubs killed among the faults: each event reaches the page once, in order."""
    page.route("**/pages/*", lambda route: route.fulfill(path=PAGES / Path(route.request.url.partition("?")[0]).name))
    opened(page, place, "live", hiddenAfter=1000)
    nothing_is_lost(page, place, "live", [every_fault], last_seconds=60)


def every_fault(page: Page, place: Deployed) -> None:
    """One after the other, as they befall a person."""
    cut(page, "websocket")
    page.wait_for_timeout(2_400)
    cut(page, "sse")
    page.wait_for_timeout(2_400)
    cut(page, "websocket", "sse", on=False)
    page.wait_for_timeout(3_600)
    page.context.set_offline(True)
    cut(page, *NETWORK)  # offline, Chromium does not end open connections
    page.wait_for_timeout(1_500)
    page.context.set_offline(False)
    page.evaluate(BACK)
    cut(page, *NETWORK, on=False)
    page.wait_for_timeout(2_400)
    cut(page, "websocket")
    page.wait_for_timeout(2_400)
    place.kill_hubs()
    page.wait_for_timeout(3_000)
    cut(page, "websocket", on=False)
    hidden_and_shown(page)
    asleep(page)
