"""Other people's clients: Chromium's EventSource, the npm package `eventsource`, httpx2. Each tells which numbers it got, and when."""

import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import httpx2
from playwright.sync_api import Page, sync_playwright

from local.places import ROOT
from tests.real_clients.site import STREAM, TOKEN, Site

Seen = list[tuple[int, float]]
"""Numbers and Unix seconds, in the order in which they came."""


class Client(Protocol):
    def seen(self) -> Seen: ...


class Browser:
    """A page on a cookie session."""

    def __init__(self, page: Page, site: Site) -> None:
        self.page = page
        page.goto(f"{site.url}/page.html")
        assert page.evaluate("token => session(token).then(answer => answer.status)", TOKEN) == 204
        page.evaluate("open()")
        until(lambda: self["opened"] == 1)

    def __getitem__(self, name: str) -> Any:
        """A variable of the page."""
        return self.page.evaluate(name)

    def seen(self) -> Seen:
        return [(number, ms / 1000) for number, ms in self["seen"]]


class Node:
    """The npm package, with a token in a header."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._lines: list[str] = []
        threading.Thread(target=self._read, args=[process], daemon=True).start()
        until(lambda: self._lines)

    def seen(self) -> Seen:
        pairs = [line.split() for line in self._lines if line.strip() != "open"]
        return [(int(number), int(ms) / 1000) for number, ms in pairs]

    def _read(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout
        for line in process.stdout:
            self._lines.append(line)


class Httpx:
    """A loop of a dozen lines, as a backend would write it."""

    def __init__(self, site: Site) -> None:
        self._site, self._seen, self._id = site, Seen(), ""
        self.over = threading.Event()
        self._opened = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._opened.wait(10)

    def seen(self) -> Seen:
        return list(self._seen)

    def _run(self) -> None:
        with httpx2.Client(
            base_url=self._site.url, timeout=httpx2.Timeout(5, read=20), headers={"Authorization": f"Bearer {TOKEN}"}
        ) as client:
            while not self.over.is_set():
                with suppress(httpx2.HTTPError), client.stream("GET", STREAM, headers={"Last-Event-ID": self._id}) as answer:
                    self._opened.set()
                    self._take(answer.iter_lines())
                self.over.wait(0.5)

    def _take(self, lines: Iterator[str]) -> None:
        for line in lines:
            field, _, value = line.partition(": ")
            if self.over.is_set():
                return
            if field == "id":
                self._id = value
            elif field == "data" and "seq" in value:
                self._seen.append((json.loads(value)["data"], time.time()))


@contextmanager
def browser(site: Site) -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    assert program, "chromium is needed: make test installs it"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"] if os.geteuid() == 0 else [])
        try:
            yield Browser(chromium.new_page(), site)
        finally:
            chromium.close()


@contextmanager
def node(site: Site) -> Iterator[Node]:
    command = ["node", str(Path(__file__).with_name("eventsource.mjs")), site.url + STREAM, TOKEN]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Node(process)
        finally:
            process.kill()


@contextmanager
def httpx(site: Site) -> Iterator[Httpx]:
    client = Httpx(site)
    try:
        yield client
    finally:
        client.over.set()


def until(holds: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait for it, at most so long."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come to hold"
        time.sleep(0.05)


def once_in_order(client: Client, count: int) -> None:
    """It has 0, 1, 2 ..., each once and in order."""
    until(lambda: len(client.seen()) >= count)
    assert [number for number, _ in client.seen()] == list(range(count))
