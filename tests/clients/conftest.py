"""A deployment, a client of it, and what a subscription has given so far."""

import asyncio
import gc
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from clients import Client, Event, Reset, Status, Subscription, connect
from clients.tokens import Source
from tests.deployment import Deployment, deployed


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    """Whose broken streams come back soon, so that tests are short."""
    with deployed(tmp_path, retry_ms=(100, 400)) as made:
        yield made


class Reader:
    """Takes whatever a subscription gives, and remembers it."""

    def __init__(self, client: Client, topic: str, **options: Any) -> None:
        self.events: list[Event] = []
        self.resets: list[Reset] = []
        self.told: list[Status] = []
        self.error: Exception | None = None
        self.subscription: Subscription = client.subscribe(topic, on_reset=self.resets.append, on_status=self.told.append, **options)
        self.task = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        try:
            async for event in self.subscription:
                self.events.append(event)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.error = error

    @property
    def status(self) -> Status:
        return self.subscription.status

    @property
    def data(self) -> list[Any]:
        return [event.data for event in self.events]

    async def until(self, count: int, seconds: float = 10.0) -> None:
        """Wait until it has so many events."""
        await until(lambda: len(self.events) >= count, seconds)

    async def by(self, transport: str, seconds: float = 10.0) -> None:
        """Wait until it is served by that transport."""
        await until(lambda: self.status.transport == transport, seconds)


async def until(holds: Any, seconds: float = 10.0) -> None:
    """Wait for it, at most so long."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - what it waits for sets no event
            await asyncio.sleep(0.01)


@asynccontextmanager
async def client_of(deployment: Deployment, token: str | Source | None = None, seed: int = 1) -> AsyncIterator[Client]:
    """Signed in as ann."""
    async with connect(f"{deployment.url}/client.json", token=token or deployment.token(), random=Random(seed)) as client:
        yield client


def run(test: Coroutine[Any, Any, None], seconds: float = 60.0) -> None:
    """The test in a loop of its own: no task may be left, and no exception unheard."""
    complaints: list[dict[str, Any]] = []

    async def watched() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        async with asyncio.timeout(seconds):
            await test
        await asyncio.sleep(0.01)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(watched())
    gc.collect()
    assert complaints == []
