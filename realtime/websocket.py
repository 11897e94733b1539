"""The WebSocket pattern: a connection's messages -> rows, log and fan-out -> the frames that answer them.

What a message costs, in DynamoDB units: 1 for the connection's row (2 within a burst), which counts it and returns what
authorization needs. A publish adds its append (3 writes and 1 read) and 1 read per 4 KB of subscribers; a ping half a
read per topic asked about; a subscribe 2 writes and a strong read. Of a fallback feature, half a read every 10 s says whether
it is directed down (realtime/direct.py).
"""

import random
import time
from collections.abc import Callable
from typing import NamedTuple

from realtime import frames
from realtime.connections import Connection, Connections, topic_of
from realtime.cursor import START, Cursor
from realtime.direct import Directions
from realtime.errors import Code, RealtimeError
from realtime.fanout import PATIENCE_SECONDS, Fanout
from realtime.features import Features, Topic
from realtime.frames import FRAME_BYTES, Auth, Frame, Ping, Publish, Subscribe, Unsubscribe
from realtime.gateway import Gateway, Job, Outcome
from realtime.log import Log, Page
from realtime.policy import Principal, allowed, check, essential
from realtime.publish import Publisher
from realtime.tickets import Tickets
from realtime.tokens import Verifier, bearer

ROTATE_SECONDS = 100 * 60
"""A connection that old is told to reconnect: API Gateway ends it after 120 minutes, and clients ping every 5."""

ROTATE_WITHIN_MS = 10 * 60 * 1000
"""Over which time the reconnects are spread."""

REPLAY_EVENTS = 100
"""Events that one subscribe replays; where more follow, the client asks again."""

REPLAY_SECONDS = 5.0

REPLAY_MESSAGES = 0.1
"""What each 4 KB of a replay cost of the connection's allowance, in messages: a small message must not order thousands of posts."""

CLOSE_SECONDS = 3.0

OFFENDED = "too many refused messages: the connection is closed"


class ClosingError(RealtimeError):
    """A refusal after which the connection is closed."""


class Admission(NamedTuple):
    """Who a connection belongs to, and the topics that it is limited to (None: whatever the token allows)."""

    principal: Principal
    scope: tuple[str, ...] | None


class Gate:
    """Who may connect: a ticket or a token, from an origin that is allowed."""

    def __init__(
        self,
        features: Features,
        tickets: Tickets,
        verifier: Verifier,
        origins: tuple[str, ...],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._features = features
        self._tickets = tickets
        self._verifier = verifier
        self._origins = origins
        self._clock = clock

    def admit(self, *, ticket: str | None, authorization: str | None, origin: str | None) -> Admission:
        """The admission; `unauthorized` or `forbidden`. A browser always sends its origin, and other clients have none."""
        if origin is not None and self._origins and origin not in self._origins:
            raise RealtimeError(Code.FORBIDDEN, "pages of this origin may not connect")
        if ticket is not None:
            grant = self._tickets.redeem(ticket, "websocket")
            return Admission(_lasting(essential(self._features, grant.principal), self._clock()), grant.topics)
        token = bearer(authorization)
        if token is None:
            raise RealtimeError(Code.UNAUTHORIZED, "connect with ?ticket= or an Authorization header")
        return Admission(_lasting(essential(self._features, self._verifier.verify(token)), self._clock()), None)


class WebSocket:
    """The server's side of the conversation: each method takes what the gateway was given, and may post frames."""

    def __init__(
        self,
        features: Features,
        log: Log,
        publisher: Publisher,
        verifier: Verifier,
        connections: Connections,
        gateway: Gateway,
        fanout: Fanout,
        *,
        directions: Directions | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._directions = directions or Directions()
        self._features = features
        self._log = log
        self._publisher = publisher
        self._verifier = verifier
        self._connections = connections
        self._gateway = gateway
        self._fanout = fanout
        self._clock = clock

    def open(self, id: str, admission: Admission, connected_ms: int) -> None:
        """A new connection. Nothing can be posted to it yet: the client speaks first."""
        self._connections.open(Connection(id, admission.principal, admission.scope, connected_ms))

    def close(self, id: str) -> None:
        """The connection is closed: forget it. Often nobody says so; then the next push, or the row's age, does."""
        self._connections.remove(id)

    def receive(self, id: str, body: str) -> bytes | None:
        """Act on one message and return the frame that answers it; frames that go before it are posted.

        A refusal is an `error` frame. It is charged to the connection, and who has too many of them is closed.
        """
        about: dict[str, str] = {}
        try:
            connection = self._known(self._connections.admit(id))
            frame = self._parse(body)
            about = _about(frame)
            if connection.principal.expires <= self._clock() and not isinstance(frame, Auth):
                raise ClosingError(Code.EXPIRED, "the token has expired: connect again with a new one")
            return self._answer(connection, self._act(connection, frame))
        except RealtimeError as refusal:
            return self._refuse(id, refusal, frames.error(refusal, about))

    def _known(self, connection: Connection | None) -> Connection:
        if connection is None:
            raise ClosingError(Code.UNAUTHORIZED, "this connection is not known: connect again")
        return connection

    def _parse(self, body: str) -> Frame:
        if len(body.encode(errors="replace")) > FRAME_BYTES:
            raise RealtimeError(Code.TOO_LARGE, f"a message has at most {FRAME_BYTES} bytes")
        return frames.parse(body)

    def _act(self, connection: Connection, frame: Frame) -> list[bytes]:
        match frame:
            case Subscribe():
                return self._subscribe(connection, frame)
            case Unsubscribe():
                self._connections.unsubscribe(connection, frame.topic)
                return [frames.unsubscribed(frame.topic)]
            case Publish():
                return self._publish(connection, frame)
            case Ping():
                return self._ping(connection, frame)
            case Auth():
                return self._auth(connection, frame)

    def _subscribe(self, connection: Connection, frame: Subscribe) -> list[bytes]:
        """First the row, then the log: whatever is appended after this read finds the row."""
        topic = self._topic(connection, frame.topic)
        after = None if frame.after is None else Cursor.parse(frame.after)
        check(topic, "read", connection.principal)
        self._directions.check([topic.feature], "websocket")
        self._known(self._connections.subscribe(connection, topic, batch=frame.batch))
        page = self._page(topic, after, frame.recent)
        replay = frames.deliver(topic.name, page.deliveries(), batch=frame.batch)
        if replay:
            self._connections.charge(connection.id, REPLAY_MESSAGES * sum(-(-len(event) // 4096) for event in replay))
        return [*replay, frames.subscribed(topic.name, page)]

    def _page(self, topic: Topic, after: Cursor | None, recent: int) -> Page:
        if after is not None:
            return self._log.read(topic, after, REPLAY_EVENTS, consistent=True)
        page = self._log.recent(topic, max(1, recent), consistent=True)
        wanted = page.events if recent or not topic.keeps_all else ()
        return Page(page.after, wanted, page.cursor, recovered=False)

    def _publish(self, connection: Connection, frame: Publish) -> list[bytes]:
        """Into the log with the claim that we push it, then to the subscribers, then the ack.

        A repeat of the same id pushes again: it may be that we died before the first push.
        """
        principal = connection.principal
        topic = self._topic(connection, frame.topic)
        check(topic, "publish", principal)
        event = self._publisher.publish(topic, principal, frame.type, frame.data, frame.id, claim=True)
        self._fanout.deliver(topic, (event,), patience=PATIENCE_SECONDS)
        return [frames.ack(frame.id, event.cursor)]

    def _ping(self, connection: Connection, frame: Ping) -> list[bytes]:
        """Where the topics end, `reset` for a cursor that is not of their log, an error for a topic that cannot be asked about.

        Subscriptions are put right that lie in an old shard, or taken away where the feature is directed to something less, and
        an old connection is told to come again.
        """
        topics, refusals = self._askable(connection, frame)
        if refusals and self._connections.offend(connection.id):
            raise ClosingError(Code.TOO_MANY_REQUESTS, OFFENDED)
        directed = self._dismissed(connection)
        topics = {name: topic for name, topic in topics.items() if name not in directed}
        for key in connection.subscriptions:
            if found := topics.get(topic_of(key)):
                self._connections.settle(connection, found, key)
        heads = self._log.heads(list(topics.values()))
        resets = [frames.reset(name) for name, topic in topics.items() if self._foreign(topic, frame.cursors[name], heads)]
        old = self._clock() - connection.connected_ms / 1000 > ROTATE_SECONDS
        rotation = [frames.reconnect(random.randrange(ROTATE_WITHIN_MS))] if old else []  # noqa: S311 - jitter
        return [*rotation, *refusals, *directed.values(), *resets, frames.pong(heads)]

    def _dismissed(self, connection: Connection) -> dict[str, bytes]:
        """The topics that go on by something less, with the error frame of each: their subscriptions are dropped. 2 units each."""
        told = dict[str, bytes]()
        for key in sorted(connection.subscriptions):
            name = topic_of(key)
            try:
                self._directions.check([topic.feature] if (topic := self._served(name)) else [], "websocket")
            except RealtimeError as refusal:
                self._connections.drop(connection.id, key)
                told[name] = frames.error(refusal, {"topic": name})
        return told

    def _askable(self, connection: Connection, frame: Ping) -> tuple[dict[str, Topic], list[bytes]]:
        """The topics of a ping that may be asked about, and an error frame for each of the others."""
        topics, refusals = dict[str, Topic](), list[bytes]()
        for name, cursor in frame.cursors.items():
            try:
                Cursor.parse(cursor)
                topic = self._topic(connection, name)
                check(topic, "read", connection.principal)
                topics[name] = topic
            except RealtimeError as refusal:
                refusals.append(frames.error(refusal, {"topic": name}))
        return topics, refusals

    def _foreign(self, topic: Topic, text: str, heads: dict[str, Cursor]) -> bool:
        """Whether a cursor is not of its topic's log. A head may be stale: where it does not explain the cursor, it is read again."""
        cursor, head = Cursor.parse(text), heads.get(topic.name)
        explained = cursor == START or (head is not None and cursor.epoch == head.epoch and cursor.seq <= head.seq)
        return not explained and not self._log.knows(topic, cursor)

    def _auth(self, connection: Connection, frame: Auth) -> list[bytes]:
        """Go on with a new token of the same person; topics that it does not allow are taken away."""
        principal = _lasting(essential(self._features, self._verifier.verify(frame.token)), self._clock())
        if principal.sub != connection.principal.sub:
            raise RealtimeError(Code.FORBIDDEN, "the token belongs to somebody else: connect again with it")
        renewed = self._known(self._connections.renew(connection._replace(principal=principal, scope=None)))
        if renewed.subscriptions:
            self._connections.charge(connection.id, len(renewed.subscriptions))
        lost = [topic for key in sorted(renewed.subscriptions) if (topic := self._resubscribe(renewed, key))]
        refusal = RealtimeError(Code.FORBIDDEN, "the new token does not allow this topic")
        return [*(frames.error(refusal, {"topic": topic}) for topic in lost), frames.authenticated(int(principal.expires - self._clock()))]

    def _resubscribe(self, connection: Connection, key: str) -> str | None:
        """Write the subscription anew for the connection's new principal; the topic's name if he may not have it any more."""
        name = topic_of(key)
        topic = self._served(name)
        if topic and allowed(topic, "read", connection.principal):
            self._connections.resubscribe(connection, topic, key)
            return None
        self._connections.drop(connection.id, key)
        return name

    def _topic(self, connection: Connection, name: str) -> Topic:
        """The topic, if it is served here and the connection's ticket lists it."""
        topic = self._served(name)
        if topic is None:
            raise RealtimeError(Code.UNKNOWN_TOPIC, "no feature serves this topic by WebSocket: see features.toml for those that do")
        if connection.scope is not None and name not in connection.scope:
            raise RealtimeError(Code.FORBIDDEN, "the ticket of this connection does not list this topic")
        return topic

    def _served(self, name: str) -> Topic | None:
        """The topic; None where it does not exist (any more), or where another pattern serves it."""
        try:
            topic = self._features.topic(name)
        except RealtimeError:
            return None
        return topic if topic.feature.pattern in ("websocket", "fallback") else None

    def _answer(self, connection: Connection, answer: list[bytes]) -> bytes | None:
        """Post what goes before the last frame, and return the last: the gateway sends it as the answer to the message."""
        *before, last = answer
        outcome = self._gateway.run([Job(connection.id, tuple(before))], seconds=REPLAY_SECONDS)[0] if before else Outcome.SENT
        if outcome is Outcome.GONE:
            self._connections.remove(connection.id)
            return None
        if outcome is not Outcome.SENT:
            raise RealtimeError(Code.UNAVAILABLE, "the connection does not take the replay just now", retry_after=1)
        return last

    def _refuse(self, id: str, refusal: RealtimeError, frame: bytes) -> bytes | None:
        """The error frame; or nothing, where it was posted before the connection was closed for it."""
        reasons: tuple[bytes, ...] = (frame,)
        if not isinstance(refusal, ClosingError):
            if refusal.code is Code.UNAVAILABLE or not self._connections.offend(id):
                return frame
            reasons = (frame, frames.error(RealtimeError(Code.TOO_MANY_REQUESTS, OFFENDED), {}))
        self._gateway.run([Job(id, reasons, close=True)], seconds=CLOSE_SECONDS)
        self._connections.remove(id)
        return None


def _about(frame: Frame) -> dict[str, str]:
    """What an error frame has to name, so that the client knows which of its frames was refused."""
    match frame:
        case Publish():
            return {"id": frame.id}
        case Subscribe() | Unsubscribe():
            return {"topic": frame.topic}
        case _:
            return {}


def _lasting(principal: Principal, now: float) -> Principal:
    """The principal, unless the token has just ended: verifiers forgive a few seconds, pushes do not."""
    if principal.expires <= now:
        raise RealtimeError(Code.UNAUTHORIZED, "the token has expired: get a new one")
    return principal
