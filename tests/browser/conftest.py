"""Debian's Chromium; each test gets a page with cookies of its own."""

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.deployment import Deployment, deployed

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Not longer than the module: while Playwright runs, no other test could use asyncio."""
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    assert found, "Chromium is needed: run (sudo) apt-get install -y --no-install-recommends chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, chromium_sandbox=os.geteuid() != 0)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with browser.new_context() as context:
        yield context.new_page()


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """All three transports behind one origin, for the tests of a module."""
    with deployed(tmp_path_factory.mktemp("deployment")) as deployment:
        yield deployment
