"""Jobs side by side over a pool of sockets: who is next, what counts as taken, what is tried again, and when it is over.

asyncio callbacks and one tick that looks after all that waits: a request has neither a task nor a timer of its own. A
frame may arrive twice where its answer was lost; readers drop what they have.
"""

import asyncio
import logging
import random
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import takewhile

from realtime.bucket import Bucket
from realtime.gateway import Job, Outcome
from realtime.sockets import Pool, Socket

SOCKETS = 100
"""Requests under way: 10,000/s where an answer takes 10 ms."""

SLOW_SECONDS = 0.1
"""A request that takes longer does not count among them any more: with 0.25 s, 1 % that hang cost a fifth of the speed."""

SLOW_SOCKETS = 200
"""So many may be slow; those beyond do count, and hold up the others."""

ANSWER_SECONDS = 3.0

OPENING = 16
"""Sockets opened at once: a handshake costs as much as twenty requests, and those that are open go on meanwhile."""

TRIES = 3
"""Of a request that is refused (429, 5xx), that is lost with its socket a second time, or for which no socket can be opened."""

BACKOFF_SECONDS = 0.2
"""At most, and at random, before the second try; twice that before the third."""

TICK_SECONDS = 0.005

logger = logging.getLogger("realtime.management")


@dataclass(slots=True)
class _Post:
    """A job under way."""

    index: int
    job: Job

    taken: int = 0
    """How many of its requests were taken."""

    tries: int = 0
    """How often the next one has failed."""

    repeated: bool = False
    """Whether the next one was lost with its socket. That may have died while it was idle, so once it is no failure."""

    @property
    def over(self) -> bool:
        return self.taken == len(self.job.frames) + self.job.close


class Posting:
    """One run over many jobs. `request` makes the bytes of a job's n-th request."""

    def __init__(self, jobs: Sequence[Job], request: Callable[[Job, int], bytes], pool: Pool, bucket: Bucket) -> None:
        self._request = request
        self._pool = pool
        self._bucket = bucket
        self._loop = pool.loop
        self._outcomes = [Outcome.UNSENT if job.frames or job.close else Outcome.SENT for job in jobs]
        self._troubles = Counter[str]()
        self._done = self._loop.create_future()

        self._waiting = deque(_Post(index, job) for index, job in enumerate(jobs) if job.frames or job.close)
        """Those that go on as soon as there is a socket."""

        self._asking: dict[Socket, _Post] = {}
        """Those whose answer is awaited, in the order in which they asked."""

        self._slow = 0
        """How many of these do not count."""

        self._backing_off: list[tuple[float, int, _Post]] = []
        """Those that are tried again, from that time on: a heap."""

        self._left = len(self._waiting)
        """How many are not over."""

    async def outcomes(self, deadline: float, patience: float) -> list[Outcome]:
        """Do the jobs until `deadline`, in the loop's time, or until all that are left have waited for so many seconds."""
        try:
            while self._left and (seconds := deadline - self._loop.time()) > 0 and not self._stuck(patience):
                self._tick()
                await asyncio.wait([self._done], timeout=min(TICK_SECONDS, seconds))
        finally:
            self._waiting.clear()
            for socket in self._asking:
                socket.abort()
            await self._pool.settle()
        if self._troubles:
            logger.warning("posts met with trouble: %s", dict(self._troubles))
        return self._outcomes

    def _tick(self) -> None:
        now = self._loop.time()
        for socket in self._asked_before(now - ANSWER_SECONDS):
            socket.abort()
            self._end(self._asking.pop(socket), Outcome.FAILED, "no answer")
        self._slow = min(len(self._asked_before(now - SLOW_SECONDS)), SLOW_SOCKETS)
        while self._backing_off and self._backing_off[0][0] <= now:
            self._waiting.appendleft(heappop(self._backing_off)[-1])
        self._fill()

    def _stuck(self, seconds: float) -> bool:
        """Whether nothing is left but requests that have had no answer for so long."""
        left = self._waiting or self._backing_off or self._pool.opening
        return not left and len(self._asked_before(self._loop.time() - seconds)) == len(self._asking)

    def _asked_before(self, time: float) -> list[Socket]:
        return list(takewhile(lambda socket: socket.since <= time, self._asking))

    def _fill(self) -> None:
        """Send as much as is allowed just now, over sockets that are open; and open more if there are too few."""
        now, free = self._loop.time(), SOCKETS + self._slow - len(self._asking)
        while self._waiting and free > 0 and self._bucket.ready(now):
            socket = self._pool.take()
            if socket is None:
                for _ in range(min(len(self._waiting), free, OPENING) - self._pool.opening):
                    self._pool.open(self._opened)
                return
            self._bucket.take()
            self._send(self._waiting.popleft(), socket)
            free -= 1

    def _opened(self, failure: OSError | None) -> None:
        if failure and self._waiting:
            self._again(self._waiting.popleft(), f"{type(failure).__name__}: {failure}")
        self._fill()

    def _send(self, post: _Post, socket: Socket) -> None:
        self._outcomes[post.index] = Outcome.FAILED  # until it is known to be better
        self._asking[socket] = post
        socket.send(self._request(post.job, post.taken), self._answered)

    def _answered(self, socket: Socket, status: int | None) -> None:
        post = self._asking.pop(socket)
        self._pool.give(socket)
        if status is None and not post.repeated:
            post.repeated = True
            self._waiting.appendleft(post)
            self._pool.clear()  # of the others that are idle, any may be as dead
        elif status is None or status == 429 or status >= 500:
            self._again(post, f"{status or 'socket broke'}")
        elif status == 410:
            self._end(post, Outcome.GONE)
        elif status >= 300:
            self._end(post, Outcome.FAILED, f"{status}")
        else:
            self._go_on(post)
        self._fill()

    def _go_on(self, post: _Post) -> None:
        post.taken, post.tries, post.repeated = post.taken + 1, 0, False
        if post.over:
            self._end(post, Outcome.SENT)
        else:
            self._waiting.appendleft(post)

    def _again(self, post: _Post, trouble: str) -> None:
        """Try the same request later, at a random time; or give the job up."""
        post.tries += 1
        if post.tries == TRIES:
            self._end(post, Outcome.FAILED, trouble)
        else:
            self._troubles[trouble] += 1
            wait = random.uniform(0, BACKOFF_SECONDS * 2 ** (post.tries - 1))  # noqa: S311 - jitter
            heappush(self._backing_off, (self._loop.time() + wait, post.index, post))

    def _end(self, post: _Post, outcome: Outcome, trouble: str = "") -> None:
        self._outcomes[post.index] = outcome
        if trouble:
            self._troubles[trouble] += 1
        self._left -= 1
        if not self._left:
            self._done.set_result(None)
