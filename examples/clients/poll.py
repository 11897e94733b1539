# ruff: noqa: INP001, T201 - a script to copy, which prints
"""`TOKEN=... python poll.py URL TOPIC`: print the newest event of a topic with keep = "latest" whenever there is another one."""

import os
import random
import sys
import time
from collections.abc import Iterator

import httpx2

AGAIN = {408, 425, 429, 500, 502, 503, 504}


def newest(url: str, topic: str, token: str | None = None) -> Iterator[str]:
    """Each newest event as JSON. A refusal that waiting does not cure is raised."""
    headers, failures = {"Authorization": f"Bearer {token}"} if token else {}, 0
    with httpx2.Client(base_url=url, headers=headers, timeout=10) as client:
        while True:
            try:
                answer = client.get(f"/topics/{topic}")
            except httpx2.TransportError:
                answer = httpx2.Response(503)
            if answer.status_code in AGAIN:
                backoff = random.uniform(0, min(60, 2**failures))  # noqa: S311 - full jitter, the first time too
                time.sleep(max(backoff, min(300, seconds(answer, "Retry-After", 0))))
                failures = min(failures + 1, 6)
                continue
            if answer.status_code != 304:
                yield answer.raise_for_status().text
                client.headers["If-None-Match"] = answer.headers["ETag"]
            failures = 0
            time.sleep(seconds(answer, "Poll-After", 5) * random.uniform(1, 1.2))  # noqa: S311 - jitter


def seconds(answer: httpx2.Response, header: str, default: float) -> float:
    """What the header says; it may be a date, or missing."""
    try:
        return float(answer.headers[header])
    except (KeyError, ValueError):
        return default


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    for event in newest(sys.argv[1], sys.argv[2], os.environ.get("TOKEN")):
        print(event, flush=True)
