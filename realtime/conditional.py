"""Conditional GET, RFC 9110 section 13: does the client already have what we would send?

`Last-Modified` has whole seconds, so it is the second *after* the change, and it is given out only once that second
is over (plus a second for clocks that differ): two changes that share it can then both be seen, and a client that
sends back the `Date` of a response (RFC 9110 13.1.3) is never told 304 for a change of that same second.
"""

import re
from collections.abc import Iterable
from email.utils import formatdate, parsedate_to_datetime

_TAG = re.compile(r'\s*(?:W/)?"([\x21\x23-\x7e\x80-\xff]*)"\s*(?:,|$)')
_SETTLED_SECONDS = 1

MAX_LIST_CHARS = 4096
"""Of an If-None-Match that is looked at; a list that goes on behind it matches nothing. One tag of ours has some 30."""


def entity_tags(if_none_match: str) -> list[str] | None:
    """The opaque tags of an `If-None-Match` list; None where it is not well-formed (an unquoted tag, say)."""
    tags, position = list[str](), 0
    while position < len(if_none_match):
        found = _TAG.match(if_none_match, position)
        if found is None or position > MAX_LIST_CHARS:
            return None
        tags.append(found[1])
        position = found.end()
    return tags


def last_modified(at_ms: int | None, now: float) -> str | None:
    """The `Last-Modified` of a change at that time, or None while another change could still share it."""
    second = None if at_ms is None else at_ms // 1000 + 1
    return None if second is None or now < second + _SETTLED_SECONDS else formatdate(second, usegmt=True)


def not_modified(etag: str, modified: str | None, if_none_match: str | None, if_modified_since: str | None, now: float) -> bool:
    """Whether 304 is the answer. `etag` is the opaque tag without quotes; If-None-Match wins when both are sent."""
    if if_none_match is not None:
        return if_none_match.strip() == "*" or etag in (entity_tags(if_none_match) or ())
    since, changed = _seconds(if_modified_since), _seconds(modified)
    return since is not None and changed is not None and changed <= since <= now


def combined(values: Iterable[str]) -> str | None:
    """One field value of the lines of a field; None where it was not sent (RFC 9110 5.3)."""
    return ", ".join(values) or None


def _seconds(date: str | None) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp() if date else None
    except (ValueError, OverflowError):
        return None
