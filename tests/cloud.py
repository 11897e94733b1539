"""The deployed WebSocket pattern without AWS: the real handlers behind the API Gateway double; a pump from stream to broadcaster."""

from collections.abc import Sequence
from random import Random
from typing import Any

from functions.authorizer.gate import Authorizer
from functions.broadcaster.records import Broadcaster
from functions.websocket.routes import Routes
from realtime.connections import Connections
from realtime.dynamo import HEAD, to_item
from realtime.fanout import Fanout
from realtime.features import Features
from realtime.gateway import Job, Outcome
from realtime.log import Append, Log, Swapped
from realtime.memory import MemoryConnections, MemoryCounters, MemoryStore, MemoryTickets
from realtime.policy import Principal
from realtime.publish import Publisher
from realtime.rate import RateLimit
from realtime.tickets import Tickets
from realtime.tokens import SecretVerifier
from realtime.websocket import Gate, WebSocket
from stacks.websocket import ACTIONS
from tests.api_gateway.connection import Connection
from tests.api_gateway.faults import Faults
from tests.api_gateway.function import Context
from tests.api_gateway.gateway import WebSocketApi
from tests.helpers import SECRET
from tests.wire import ListQueue

TRIES = 3
STATUS = {200: Outcome.SENT, 204: Outcome.SENT, 410: Outcome.GONE}


class Streaming(MemoryStore):
    """A store whose new heads wait in `records`, as in the table's stream behind the event filter of WebSocketStack."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[dict[str, Any]] = []

    def swap(self, expected: Append | None, new: Append) -> Swapped:
        swapped = super().swap(expected, new)
        if swapped.done and not new.claimed:
            image = to_item(new, HEAD)
            self.records.append({"eventSource": "aws:dynamodb", "dynamodb": {"SequenceNumber": str(new.last), "NewImage": image}})
        return swapped


class Management:
    """The port over the double's @connections: what realtime.management does by HTTPS, with as many tries."""

    def __init__(self) -> None:
        self.api: WebSocketApi

    def run(self, jobs: Sequence[Job], *, seconds: float, patience: float | None = None) -> list[Outcome]:
        return [self._do(job) for job in jobs]

    def _do(self, job: Job) -> Outcome:
        for frame in job.frames:
            status = next((s for _ in range(TRIES) if (s := self.api.post_to_connection(job.connection, frame)) != 429), 429)
            if status != 200:
                return STATUS.get(status, Outcome.FAILED)
        return STATUS[self.api.delete_connection(job.connection)] if job.close else Outcome.SENT


class Cloud:
    """One deployment. `clock` is the double's: virtual, or real for threads. `processes`: environments of the message handler."""

    def __init__(
        self,
        features: Features,
        clock: Any,
        random: Random,
        faults: Faults,
        *,
        store: Streaming | None = None,
        rows: MemoryConnections | None = None,
        processes: int = 1,
    ) -> None:
        self.clock = clock
        self.features = features
        self.store, self.rows, self.queue = store or Streaming(), rows or MemoryConnections(), ListQueue()
        self.log = Log(self.store, clock=clock, sleep=clock.sleep)
        self.tickets = Tickets(MemoryTickets(), clock)
        self._management = Management()
        self._connections = Connections(self.rows, clock)
        self._fanout = Fanout(self._connections, self._management, self.queue, clock)
        self._verifier = SecretVerifier(lambda: SECRET)
        self.broadcaster = Broadcaster(features, self._fanout)
        handlers = [Routes(self._process()) for _ in range(processes)]

        def routes(event: dict[str, Any], context: Context) -> dict[str, Any]:
            return random.choice(handlers)(event, context)

        self.api = self._management.api = WebSocketApi(
            clock,
            integrations=dict.fromkeys(("$connect", "$disconnect", "$default", *ACTIONS), routes),
            authorizer=Authorizer(Gate(features, self.tickets, self._verifier, ("https://shop.example",), clock)),
            route_responses=("$default", *ACTIONS),
            random=random,
            faults=faults,
        )

    def _process(self) -> WebSocket:
        """The message handler's core, with a log of its own: processes know of each other by the store alone."""
        log = Log(self.store, clock=self.clock, sleep=self.clock.sleep)
        publisher = Publisher(self.features, log, RateLimit(MemoryCounters(), self.clock))
        rest = (self._verifier, self._connections, self._management, self._fanout)
        return WebSocket(self.features, log, publisher, *rest, clock=self.clock)

    def dial(self, sub: str, topic: str, **ends: Any) -> Connection:
        """Connect as a browser does: with a new ticket, from the shop's page."""
        ticket = self.tickets.issue("websocket", (topic,), Principal(sub, self.clock() + 86_400 * 2, {}))
        return self.api.connect(query={"ticket": ticket}, headers={"Origin": "https://shop.example"}, **ends)

    def pump(self) -> None:
        """What the event source mappings do: the stream's new records, then the queue's messages."""
        records, self.store.records = self.store.records, []
        if records:
            assert self.broadcaster.stream({"Records": records}, _context(self.clock))["batchItemFailures"] == []
        messages, self.queue.messages = self.queue.messages, []
        for body in messages:
            record = {"eventSource": "aws:sqs", "messageId": "1", "body": body}
            assert self.broadcaster.queue({"Records": [record]}, _context(self.clock))["batchItemFailures"] == []


def _context(clock: Any) -> Context:
    return Context("broadcaster", clock, 30.0)
