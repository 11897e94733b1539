"""The page's card of answers: local.page, and behind it the streaming service with its n-gram model."""

import itertools
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2
from playwright.sync_api import Page, Request, expect

from local.places import ROOT
from local.process import Child, port_is_free, stop
from realtime.tokens import issue
from tests.helpers import SECRET, free_ports

ANSWER_MS = 20_000.0
ENDS = "done", "failed", "cancelled"

_FEATURES = """
[features.answers]
pattern = "sse"
host = "lambda"
stream = "30s"
latency = "500ms"
rooms = true
access = { read = "owner", publish = "service" }
limits = { publish = "100/min" }
"""
_METRICS = json.dumps({"topic": "metrics", "seq": 0, "epoch": "e", "type": None, "data": None})
_WATCH = """() => {
    for (const [fact, seen] of [["text", window.seen = []], ["problem", window.problems = []]]) {
        const shown = document.getElementById(`answers-${fact}`)
        new MutationObserver(() => seen.push(shown.textContent)).observe(shown, {childList: true})
    }
}"""


class Card:
    """The card, as its visitor has it before him, and what the page asked for."""

    def __init__(self, page: Page, url: str) -> None:
        self.errors: list[str] = []
        self.requests: list[Request] = []
        self._page = page
        self._url = url
        page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self.requests.append(request) if "answers" in request.url else None)
        page.route("**/topics/metrics", lambda route: route.fulfill(body=_METRICS))
        page.goto(url)
        page.evaluate(_WATCH)

    def ask(self, question: str = "What is an event?") -> None:
        self._page.get_by_label("Question").fill(question)
        self._page.get_by_role("button", name="Ask").click()

    def press(self, button: str) -> None:
        self._page.locator(f"[data-answers] >> role=button[name='{button}']").click()

    def until(self, fact: str, value: str, within_ms: float = ANSWER_MS) -> None:
        """Wait until a fact of the strip is that."""
        expect(self._page.locator(f"#answers-{fact}")).to_have_text(value, timeout=within_ms)

    def until_pieces(self, count: int) -> None:
        self._page.wait_for_function(
            "n => Number(document.getElementById('answers-pieces').textContent) >= n", arg=count, timeout=ANSWER_MS
        )

    def until_problem(self, problem: str) -> None:
        """Wait until that was told, be it for a moment."""
        self._page.wait_for_function("problem => problems.includes(problem)", arg=problem, timeout=ANSWER_MS)

    def fact(self, name: str) -> str:
        return self._page.locator(f"#answers-{name}").inner_text()

    @property
    def busy(self) -> str | None:
        return self._page.locator("#answers-text").get_attribute("aria-busy")

    @property
    def text(self) -> str:
        return self._page.locator("#answers-text").text_content() or ""

    def seen(self) -> list[str]:
        """Each text that was there; each goes on where the one before ended."""
        seen: list[str] = self._page.evaluate("seen")
        assert all(later.startswith(text) for text, later in itertools.pairwise(seen))
        return seen

    def logged(self) -> list[Any]:
        """The events of the log for the last question, read by another device of its guest."""
        last = next(request for request in reversed(self.requests) if request.method == "POST")
        response = last.response()
        assert response
        place = response.headers["content-location"]
        headers = {"Authorization": f"Bearer {issue(SECRET, place.split('/')[2], 600)}"}
        events: list[Any] = []
        for _ in range(50):  # such a stream lasts 0.3 s, which is not enough for all of it on a busy machine
            at = f"{events[-1]['epoch']}-{events[-1]['seq']}" if events else "0-0"
            got = httpx2.get(f"{self._url}/{place}", headers=headers | {"Last-Event-ID": at}, timeout=20).text
            found = [json.loads(line.removeprefix("data: ")) for line in got.splitlines() if line.startswith("data: ")]
            events += [event for event in found if "seq" in event]
            if events and events[-1]["type"] in ENDS:
                return events
        raise AssertionError(f"the answer has no end: {events}")


def words(events: list[Any]) -> str:
    """The text of an answer in the log."""
    return "".join(piece for event in events if event["type"] == "text" for piece in event["data"]["pieces"])


@contextmanager
def asking() -> Iterator[str]:
    """The page's URL, while it is served."""
    with TemporaryDirectory(prefix="asking-") as name:
        folder, (port, service) = Path(name), free_ports(2)
        (folder / "features.toml").write_text(_FEATURES)
        (folder / "state.json").write_text(json.dumps({"endpoints": {"streams": f"http://127.0.0.1:{service}"}, "on_lambda": ["answers"]}))
        ours = {"REALTIME_LOG": "memory", "REALTIME_SECRET": SECRET, "FEATURES": str(folder / "features.toml")}
        ours |= {"FOLDER": name, "SIGNING_SECRET": SECRET, "FRONT_DOOR": f"http://127.0.0.1:{service}"}
        children = []
        try:
            for module, where in (("tests.browser.bounded", service), ("local.page", port)):
                command = [sys.executable, "-m", module, "--port", str(where)]
                children.append(Child.start(module, command, os.environ | ours, folder / f"{module}.log", ROOT))
            for child, where in zip(children, (service, port), strict=True):
                child.wait_until(lambda where=where: not port_is_free(where))  # type: ignore[misc]
            yield f"http://localhost:{port}"
        finally:
            stop([child.process for child in children])
