"""What waits to be published in one topic: one at a time, in order, again with the same id until it is acknowledged."""

import asyncio
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

import httpx2

from clients.link import FRESH_TOKENS
from clients.network import Refused, ask

if TYPE_CHECKING:
    from clients.realtime import Client

ACK_SECONDS = 2.0
"""After which a publish is repeated; each further wait is twice as long,"""

MAX_ACK_SECONDS = 16.0
"""but no longer than this."""

GIVE_UP_SECONDS = 240.0
"""The server knows an id for 5 minutes: a later repeat could be a second event."""

MAX_WAITING = 100


class Publish(NamedTuple):
    """`id` is the idempotency key."""

    topic: str
    type: str
    data: object
    id: str


class Outbox:
    """Of one topic."""

    def __init__(self, client: "Client") -> None:
        self._client = client
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def publish(self, publish: Publish) -> str:
        """The event's cursor, once the server has it."""
        if self._waiting >= MAX_WAITING:
            raise Refused(f"{MAX_WAITING} events wait already to be published in {publish.topic}", code="too_many_requests")
        self._waiting += 1
        try:
            async with asyncio.timeout(GIVE_UP_SECONDS), self._turn:
                return await self._until_acknowledged(publish)
        except TimeoutError:
            raise TimeoutError(f"no answer within {GIVE_UP_SECONDS:g} s: {publish.id} may have arrived in {publish.topic}") from None
        finally:
            self._waiting -= 1

    async def _until_acknowledged(self, publish: Publish) -> str:
        clock, patience, refusals = asyncio.get_running_loop().time, ACK_SECONDS, 0
        while True:
            again = clock() + patience
            patience = min(MAX_ACK_SECONDS, 2 * patience)
            try:
                async with asyncio.timeout_at(again):
                    return await self._send(publish)
            except Refused as refusal:
                refusals += refusal.sign_in
                if refusal.final or refusals > FRESH_TOKENS:
                    raise
                if refusal.sign_in:
                    self._client.tokens.forget()
                again = max(again, clock() + refusal.retry_after)
            except (httpx2.HTTPError, OSError):
                self._client.check_open()
            await asyncio.sleep(again - clock())

    async def _send(self, publish: Publish) -> str:
        """Over the topic's WebSocket, else to the front door."""
        if socket := self._client.socket(publish.topic):
            return await socket.publish(**publish._asdict())
        facts, tokens = await self._client.facts_known(), self._client.tokens
        body = {"type": publish.type, "data": publish.data}
        url = f"{facts.http}/topics/{quote(publish.topic)}/events"
        token = await tokens.get() if tokens.given else None
        event = (await ask(self._client.http, url, token=token, body=body, headers={"Idempotency-Key": publish.id})).json()
        return f"{event['epoch']}-{event['seq']}"
