"""Publishers that are killed in mid-append, readers that poll all the while: no gap, no repeat, no reordering."""

import json
import os
import random
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from realtime.cursor import START
from realtime.dynamo import DynamoStore
from realtime.event import Event
from realtime.log import Log
from tests.endpoint import Endpoint
from tests.helpers import topic

FULL = os.environ.get("SOAK") == "full"
PUBLISHERS, EVENTS, READERS, KILLS = (20, 2_000, 5, 60) if FULL else (6, 240, 5, 12)
SECONDS = 240

PUBLISHER = """
import os, sys
from realtime.aws import dynamodb
from realtime.dynamo import DynamoStore
from realtime.errors import RealtimeError
from realtime.event import NewEvent
from realtime.log import Log
from tests.helpers import topic

name, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
log = Log(DynamoStore(dynamodb(), os.environ["LOG_TABLE"]))
for number in range(first, last):
    while True:
        try:
            log.append(topic(), [NewEvent.of("note", [name, number])], key=f"{name}-{number}")
            break
        except RealtimeError as error:
            print(error, file=sys.stderr)
    print(number, flush=True)
"""


@dataclass
class Publisher:
    """A process that publishes its share; killed, it goes on where its last acknowledged event was, with the same keys."""

    name: str
    share: int
    environment: dict[str, str]
    acknowledged: int = 0
    process: "subprocess.Popen[str] | None" = None

    def run(self) -> None:
        """Publish everything, however often the process is killed."""
        while self.acknowledged < self.share:
            command = [sys.executable, "-c", PUBLISHER, self.name, str(self.acknowledged), str(self.share)]
            self.process = subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, text=True)
            assert self.process.stdout
            for line in self.process.stdout:
                if line.endswith("\n"):
                    self.acknowledged = int(line) + 1
            self.process.wait()


@dataclass
class Reader:
    """Polls until it has everything, or time is up."""

    log: Log
    got: list[Event] = field(default_factory=list)
    polls: int = 0

    def run(self, stop_at: float) -> None:
        cursor = START
        while len(self.got) < EVENTS and time.monotonic() < stop_at:
            page = self.log.read(topic(), cursor, limit=50)
            assert page.recovered
            self.got += page.events
            cursor = page.cursor
            self.polls += 1
            time.sleep(random.uniform(0.05, 0.2))


@pytest.mark.soak
@pytest.mark.timeout(SECONDS + 60)
def test_killed_publishers_leave_no_gap_no_repeat_and_no_reordering(endpoint: Endpoint) -> None:
    """Full form: 20 publishers, 2,000 events, 60 kills, 5 readers; every reader ends with every event once, in order of seq."""
    endpoint.tables("publishers")
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "AWS_ENDPOINT_URL": endpoint.url,
        "LOG_TABLE": "publishers-log",
    }
    publishers = [Publisher(f"p{n}", EVENTS // PUBLISHERS, environment) for n in range(PUBLISHERS)]
    readers = [Reader(Log(DynamoStore(endpoint.client("dynamodb"), "publishers-log"))) for _ in range(READERS)]
    started = time.monotonic()
    threads = [threading.Thread(target=p.run) for p in publishers]
    threads += [threading.Thread(target=r.run, args=(started + SECONDS,)) for r in readers]
    for thread in threads:
        thread.start()
    kills = kill_at_random(publishers, until=started + SECONDS)
    for thread in threads:
        thread.join()
    sent = sorted([p.name, n] for p in publishers for n in range(p.share))
    for reader in readers:
        assert [e.seq for e in reader.got] == list(range(1, EVENTS + 1))
        assert sorted(e.data for e in reader.got) == sent  # type: ignore[type-var]
        assert [e.data for e in reader.got] == [e.data for e in readers[0].got]
    verdict = {"publishers": PUBLISHERS, "events": EVENTS, "kills": kills, "seconds": round(time.monotonic() - started, 1)}
    print(json.dumps({**verdict, "polls": [r.polls for r in readers], "gaps": 0, "repeats": 0}))


def kill_at_random(publishers: list[Publisher], until: float) -> int:
    """SIGKILL a publisher that is at work, now and then; return how many died."""
    kills = 0
    while any(p.acknowledged < p.share for p in publishers) and time.monotonic() < until:
        time.sleep(random.uniform(0.05, 0.4))
        busy = [p for p in publishers if 0 < p.acknowledged < p.share and p.process and p.process.poll() is None]
        if busy and kills < KILLS:
            process = random.choice(busy).process
            assert process
            process.kill()
            kills += 1
    return kills
