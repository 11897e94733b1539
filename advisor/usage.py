"""What each way of serving a feature uses in a month, from first principles: requests, messages, units, hours, bytes.

Everything is counted that grows with the load or stands by the hour. Left out: storage, alarms (0.10 USD each), the build. What an
operation costs in DynamoDB is what `make bench` and the tests count; docs/costs.md has every figure with its source.
"""

import math
from collections.abc import Callable, Iterable

from advisor.load import DAYS, HOURS, Load
from advisor.prices import Usage, added, total
from advisor.ways import Way

GIGA = 1e9

FUNCTION_GB = 1.0
POLL_SECONDS = 0.005
"""Billed for a poll, and for a publish, by a warm function of 1 GB (bench: warm)."""
MESSAGE_SECONDS = 0.020
"""Billed for a WebSocket message (docs/websocket.md)."""
POSTS_PER_SECOND = 3_000.0
"""Of one function's fan-out (bench: fanout)."""

ACCESS_LOG_BYTES = 200
"""Of a line of an API's access log (stacks/parts/access_log.py), with the 26 bytes that CloudWatch adds. Functions log failures only."""

ANSWER_BYTES = 400
"""Headers of an answer to a poll; all of a 304."""
COMMENT_BYTES = 20
HEARTBEAT_SECONDS = 15

ROTATION_SECONDS = 180.0
"""Mean life of a stream on the service (realtime/hub.py: 120 to 240 s)."""
STREAM_SHARE = 0.9
"""Mean life of a stream on Lambda, of `stream`: 80 to 100 %."""
CONNECTION_SECONDS = 105 * 60.0
"""Mean life of a WebSocket: asked to leave after 100 to 110 min (realtime/websocket.py)."""
PINGS = (3.0, 15.0, 60.0)
PING_SECONDS = 300.0
PING_LATENESS = 1.1
"""When a WebSocket client pings after an event, and how often at least; up to a fifth later, at random (clients/websocket.py)."""

TASK_READERS = 2_000
LEAST_TASKS, MOST_TASKS = 2, 20
TASK_VCPU, TASK_GB = 0.25, 0.5
"""stacks/sse_service.py."""
LOOKS_A_SECOND = 4.0
"""Of the log bus, and at most of a stream on Lambda."""
STREAM_GB = 0.5
READ_BYTES = 4096
"""What a strong read brings for a unit, and any other for half; what a query finds is added up first."""
ROW_BYTES = 350
"""Of an event in the log: 100 bytes of data (tests/advisor/test_measured.py)."""
SUBSCRIBER_BYTES = 80
"""Of a subscriber's row in the table of connections (tests/advisor/test_measured.py)."""
VALKEY_GB = 0.1
VALKEY_CHECK_SECONDS = 5.0
LCU_CONNECTIONS, LCU_NEW_PER_SECOND, LCU_GB = 3_000.0, 25.0, 1.0


def usage(load: Load, way: Way) -> Usage:
    """By billed item (advisor/prices.json), publishing included."""
    return _USAGES[way](load)


def publishing(load: Load) -> Usage:
    """A backend that posts each event with an idempotency key."""
    return _calls("http-api-requests", load.appends, POLL_SECONDS) | _appended(load)


def polling(load: Load) -> Usage:
    """Every reader asks once an interval. What is public is shared at the edge: one request an interval and topic goes further."""
    polls = load.reader_seconds / load.interval
    through = min(polls, load.topics * load.open_seconds / load.interval) if load.public else polls
    news = min(1.0, load.rate * load.interval)  # the share of polls that find something
    out = polls * (ANSWER_BYTES + news * load.bytes * max(1.0, load.rate * load.interval)) / GIGA
    edge = {"cloudfront-requests": polls, "cloudfront-gb": out} if load.public else {"data-out-gb": out}
    older = max(0.0, load.rate * load.interval - 1) if load.keeps_all else 0.0  # the head brings the newest event, history the others
    reads = {"dynamodb-reads": through * 0.5 * (1 + min(1.0, older) * _strong(older * ROW_BYTES))}
    return added(publishing(load), _calls("http-api-requests", through, POLL_SECONDS), reads, edge)


def sse_service(load: Load) -> Usage:
    """Hubs on Fargate behind CloudFront and a load balancer; the cheaper bus of two."""
    return added(publishing(load), _hubs(load))


def sse_lambda(load: Load) -> Usage:
    """Each open stream is a running function, which looks at the log twice within `latency`, at most every 250 ms."""
    streams = _connects(load, STREAM_SHARE * load.stream)
    seconds = streams * STREAM_SHARE * load.stream  # a client that leaves does not stop it
    looks = min(LOOKS_A_SECOND, max(0.2, 2 / load.latency))
    out = load.deliveries * load.bytes + load.reader_seconds / HEARTBEAT_SECONDS * COMMENT_BYTES + streams * ANSWER_BYTES
    return added(
        publishing(load),
        _calls("rest-api-requests", streams, 0.0),
        {
            "lambda-gb-seconds": seconds * STREAM_GB,
            "dynamodb-reads": seconds * looks * 0.5 + streams,
            "data-out-gb": out / GIGA,
        },
    )


def websocket(load: Load) -> Usage:
    """API Gateway holds the connections; each message in is a call of a function, each event a message to each reader."""
    connects = _connects(load, CONNECTION_SECONDS)
    pings = _pings(load, connects)
    frames = load.deliveries  # an event fits into one message of 32 KB: the features file refuses more
    posts = load.deliveries / POSTS_PER_SECOND  # seconds of a function
    subscribed = {
        "websocket-messages": 2 * connects + 2 * pings + frames,
        "websocket-minutes": load.reader_seconds / 60,
        "dynamodb-writes": connects * (3 + 3 + 2) + pings,  # ticket and row, subscribe, disconnect; a ping writes the row
        "dynamodb-reads": connects + pings * 0.5 + load.appends * load.shards * _strong(load.audience / load.shards * SUBSCRIBER_BYTES),
        "lambda-gb-seconds": posts * FUNCTION_GB,
        "data-out-gb": frames * load.bytes / GIGA,
        "logs-gb": (3 * connects + pings) * ACCESS_LOG_BYTES / GIGA,  # connect, subscribe, disconnect
    }
    called = _calls("", 4 * connects + pings, MESSAGE_SECONDS)  # authorizer, connect, subscribe, disconnect
    tickets = _calls("http-api-requests", connects, POLL_SECONDS)
    workers = _calls("", load.appends * load.shards if load.shards > 1 else 0.0, MESSAGE_SECONDS)  # one call a shard, by a queue
    return added(_spoken(load) if load.two_way else _pushed(load), tickets, called, workers, subscribed)


def fallback(load: Load) -> Usage:
    """Everybody by WebSocket, and the hubs stand ready for those who cannot: polls come on top only while others fail."""
    return added(websocket(load), _tasks_and_balancer() if load.hubs else {})  # few are on the hubs at a time


def together(served: Iterable[tuple[Load, Way]]) -> Usage:
    """Several features of one deployment: their readers share the tasks, the load balancer and the cache of the hubs."""
    every = list(served)
    found = added(*(usage(load, way) for load, way in every))
    streams = [load for load, way in every if way == "sse-service"]
    alone = [_tasks_and_balancer(load) for load in streams]
    alone += [_tasks_and_balancer() for load, way in every if way == "fallback" and load.hubs]
    if alone:
        found = added(found, *({item: -quantity for item, quantity in each.items()} for each in alone), _tasks_and_balancer(*streams))
    cache = found.get("valkey-gb-hours", 0.0)
    return found | {"valkey-gb-hours": min(cache, VALKEY_GB * HOURS)} if cache else found


def appsync(load: Load) -> Usage:
    """AppSync Events: an operation for each publish, delivery, connect and subscribe. It keeps no log: nothing resumes."""
    connects = _connects(load, 24 * 3600.0)  # closed after 24 h
    return {
        "appsync-operations": load.appends + load.deliveries + 2 * connects,
        "appsync-minutes": load.reader_seconds / 60,
        "data-out-gb": load.deliveries * load.bytes / GIGA,
    }


def _hubs(load: Load) -> Usage:
    busy_hours = load.hours * DAYS
    connects = _connects(load, ROTATION_SECONDS)
    out = (load.deliveries * load.bytes + load.reader_seconds / HEARTBEAT_SECONDS * COMMENT_BYTES + connects * ANSWER_BYTES) / GIGA
    a_second = connects / load.open_seconds
    lcus = max(2 * load.readers / LCU_CONNECTIONS, 2 * a_second / LCU_NEW_PER_SECOND, out / busy_hours / LCU_GB)  # both sides count
    streams = {"lcu-hours": lcus * busy_hours, "cloudfront-requests": connects, "cloudfront-gb": out}
    return added(_tasks_and_balancer(load), streams, min((_log_bus(load), _valkey_bus(load)), key=total))


def _tasks_and_balancer(*loads: Load) -> Usage:
    """What stands, used or not, and the further tasks for the readers of these loads while the longest of them is open."""
    more = tasks(sum(load.readers for load in loads)) - LEAST_TASKS
    hours = LEAST_TASKS * HOURS + more * max((load.hours for load in loads), default=0.0) * DAYS
    fargate = {"fargate-vcpu-hours": hours * TASK_VCPU, "fargate-gb-hours": hours * TASK_GB, "public-ipv4-hours": hours}
    return fargate | {"load-balancer-hours": HOURS}


def tasks(readers: int) -> int:
    """Of the service, while so many have it open."""
    return max(LEAST_TASKS, math.ceil(readers / TASK_READERS))


def _log_bus(load: Load) -> Usage:
    """Each hub looks at each topic that has readers there, half a unit a look, however many they are."""
    followed = min(load.topics * tasks(load.readers), load.readers)
    return {"dynamodb-reads": followed * load.open_seconds * LOOKS_A_SECOND * 0.5}


def _valkey_bus(load: Load) -> Usage:
    """PubSubStack: a relay from the table's stream to the cache, and a look at the log every 5 s."""
    followed = min(load.topics * tasks(load.readers), load.readers)
    told = _calls("", load.appends, MESSAGE_SECONDS)
    return told | {
        "valkey-gb-hours": VALKEY_GB * HOURS,
        "valkey-ecpus": load.appends * (1 + tasks(load.readers)),
        "dynamodb-reads": followed * load.open_seconds / VALKEY_CHECK_SECONDS * 0.5,
    }


def _spoken(load: Load) -> Usage:
    """Clients publish over their WebSocket: a message, an ack and, beside the append, a write of the connection's row."""
    message = {"websocket-messages": 2 * load.appends, "dynamodb-writes": load.appends, "logs-gb": load.appends * ACCESS_LOG_BYTES / GIGA}
    return added(_calls("", load.appends, MESSAGE_SECONDS), _appended(load), message)  # the function pushes before the ack


def _pushed(load: Load) -> Usage:
    """A backend publishes by the front door; the broadcaster pushes what the table's stream tells it, at most a call an event."""
    return added(publishing(load), _calls("", load.appends, MESSAGE_SECONDS))


def _appended(load: Load) -> dict[str, float]:
    """Head and key, and history where all is kept; the publisher's counter where he is limited. 1 read: whether the key is known."""
    return {"dynamodb-writes": load.appends * (2 + load.keeps_all + load.limited), "dynamodb-reads": load.appends}


def _connects(load: Load, life: float) -> float:
    """Of connections that end after `life` seconds and are made anew: one a visit at least, and half a life is left at its end."""
    return max(load.visits, load.visits / 2 + load.reader_seconds / life)


def _strong(size: float) -> int:
    """Units of a strong read of so many bytes."""
    return max(1, math.ceil(size / READ_BYTES))


def _pings(load: Load, connects: float) -> float:
    """A connect or an event begins the schedule: pings after 3, 15 and 60 s, if nothing comes before, then every 300 s, never less."""
    begins = load.deliveries + connects
    gap = load.reader_seconds / begins / PING_LATENESS
    soon = sum(1 for after in PINGS if after < gap)
    late = max(0.0, gap - PINGS[-1]) // PING_SECONDS
    return max(begins * (soon + late), load.reader_seconds / (PING_SECONDS * PING_LATENESS))


def _calls(door: str, count: float, seconds: float) -> dict[str, float]:
    """Requests through an API, which logs them (none: called by another service), to a function."""
    called = {"lambda-requests": count, "lambda-gb-seconds": count * seconds * FUNCTION_GB}
    return called | ({door: count, "logs-gb": count * ACCESS_LOG_BYTES / GIGA} if door else {})


_USAGES: dict[Way, Callable[[Load], Usage]] = {
    "polling": polling,
    "sse-service": sse_service,
    "sse-lambda": sse_lambda,
    "websocket": websocket,
    "fallback": fallback,
    "appsync": appsync,
}
