"""Polling: GET /topics/{topic} -> log, with validators, so that "nothing new" is half a read unit and no body."""

import math
import time
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from realtime.conditional import combined, entity_tags, last_modified, not_modified
from realtime.cursor import START, Cursor
from realtime.errors import RealtimeError
from realtime.features import Feature, Topic
from realtime.log import MAX_LIMIT, Page
from realtime.pace import Pace
from realtime.policy import check
from realtime.runtime import Runtime
from services.http.schemas import READ_RESPONSES

JSON = "application/json"


def router(runtime: Runtime, clock: Callable[[], float] = time.time) -> APIRouter:
    """The read routes."""
    routes, pace = APIRouter(), Pace()

    @routes.head("/topics/{topic:path}", include_in_schema=False)
    @routes.get("/topics/{topic:path}", responses=READ_RESPONSES)
    def read(
        request: Request,
        topic: str,
        after: Annotated[str | None, Query(description="the cursor of the last answer")] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 100,
    ) -> Response:
        """The newest event (`keep = "latest"`), the newest `limit` events (`keep = "all"`), or what follows a cursor."""
        found = runtime.features.topic(topic)
        if not found.feature.public:
            check(found, "read", runtime.principal(request.headers.get("authorization")))
        if_none_match = combined(request.headers.getlist("if-none-match"))
        with pace.reading():
            page = _page(runtime, found, after, limit, if_none_match)
        own = pace.poll_after(found.feature)
        now, poll_after = clock(), 0 if page.more else max(own, runtime.directions.poll_after(found.feature))
        etag, modified = str(page.cursor), last_modified(page.events[-1].at_ms if page.events else None, now)
        headers = _headers(found.feature, etag, modified) | {"Poll-After": f"{poll_after:g}"}
        if found.feature.public:  # a directive asks clients for patience, and does not make the edge's copy last
            headers["Cache-Control"] = f"public, max-age=0, s-maxage={1 if page.more else max(1, math.floor(own))}"
        if not_modified(etag, modified, if_none_match, request.headers.get("if-modified-since"), now):
            return Response(status_code=304, headers=headers)
        single = after is None and not found.keeps_all
        return Response(_newest(found, page) if single else _events(page, poll_after), headers=headers, media_type=JSON)

    return routes


def _page(runtime: Runtime, topic: Topic, after: str | None, limit: int, if_none_match: str | None) -> Page:
    if after is not None:
        return runtime.log.read(topic, Cursor.parse(after), limit)
    seen = _seen(if_none_match)
    return runtime.log.recent(topic, limit, seen) if topic.keeps_all else runtime.log.newest(topic, seen)


def _seen(if_none_match: str | None) -> Cursor:
    """The position of the copy that the client or a cache holds: the answer must not be older than that."""
    for tag in entity_tags(if_none_match or "") or ():
        try:
            return Cursor.parse(tag)
        except RealtimeError:
            continue  # not one of ours, so it matches nothing
    return START


def _headers(feature: Feature, etag: str, modified: str | None) -> dict[str, str]:
    headers = {"ETag": f'"{etag}"'}
    if modified:
        headers["Last-Modified"] = modified
    if not feature.public:
        headers["Cache-Control"] = "private, no-cache"
        headers["Vary"] = "Authorization"
    return headers


def _newest(topic: Topic, page: Page) -> str:
    """The newest event, or the same shape with nulls where there is none yet."""
    if page.events:
        return page.events[-1].encode()
    return f'{{"topic":"{topic.name}","seq":0,"epoch":"0","type":null,"data":null,"at":null}}'


def _events(page: Page, poll_after: float) -> str:
    events = ",".join(event.encode(previous) for event, previous in page.deliveries())
    recovered = "true" if page.recovered else "false"
    return f'{{"events":[{events}],"cursor":"{page.cursor}","recovered":{recovered},"poll_after":{poll_after:g}}}'
