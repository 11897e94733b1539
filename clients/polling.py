"""Polling: GET /topics/{topic} with the cursor as validator -> page -> the server's interval."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import httpx2

from clients.link import Link
from clients.network import ask
from clients.order import START, Event, Page, ahead, split

LIMIT = 100
JITTER = 0.2
"""A shared cache hands everybody the same interval."""


class Polling(Link):
    """A loop for one topic."""

    kind = "polling"
    room = 1

    async def open(self) -> None:
        self._wake = asyncio.Event()
        (topic,) = self.topics.values()
        while True:
            seconds = await self._poll()
            self.live()
            await topic.room()
            if seconds > 0:
                await self._pause(seconds * self.client.random.uniform(1, 1 + JITTER))

    def read(self, topic: object) -> None:  # noqa: ARG002 - there is one
        self._wake.set()

    async def _pause(self, seconds: float) -> None:
        self._wake.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    async def _poll(self) -> float:
        """Ask once; seconds to wait before the next time."""
        (topic,) = self.topics.values()
        after, feature = topic.cursor, topic.feature
        token = None if feature.public else await self.client.tokens.get()
        response = await ask(
            self.client.http,
            f"{self.client.facts.http}/topics/{quote(topic.name)}{_query(feature.keep, after, topic.recent)}",
            token=token,
            headers={"If-None-Match": f'"{after}"'} if after else {},
        )
        told = _seconds(response, feature.interval)
        if response.status_code == 304:
            topic.page(Page(after, after, recovered=True))
            return told
        body = response.json()
        if feature.keep == "latest":
            topic.page(_newest(body, after))
            return told
        wanted = after is not None or topic.recent
        topic.page(Page(after, body["cursor"], body["recovered"], [Event.of(event) for event in body["events"]] if wanted else ()))
        return float(body.get("poll_after", told))


def _query(keep: str, after: str | None, recent: int) -> str:
    if keep == "latest":
        return ""
    return f"?after={quote(after)}&limit={LIMIT}" if after else f"?limit={recent or 1}"


def _seconds(response: httpx2.Response, interval: float) -> float:
    try:
        return float(response.headers["Poll-After"])
    except (KeyError, ValueError):
        return interval


def _newest(body: Mapping[str, Any], after: str | None) -> Page:
    """The newest event as a page; its `seq` is 0 where there is none. It follows whatever the reader has, of the same life."""
    cursor = f"{body['epoch']}-{body['seq']}" if body["seq"] else START
    recovered = after is None or after == START or split(after)[0] == body["epoch"]
    if not body["seq"] or (after and not ahead(cursor, after)):
        return Page(after, cursor, recovered)
    before = after if after and recovered else f"{body['epoch']}-{body['seq'] - 1}"
    return Page(after, cursor if recovered else before, recovered, [Event.of({**body, "prev": before})])
