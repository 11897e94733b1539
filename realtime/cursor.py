"""A position in a topic's log: `<epoch>-<seq>`, opaque to clients, meaning "everything up to here I have"."""

import re
from dataclasses import dataclass

from realtime.errors import Code, RealtimeError

_FORM = re.compile(r"([0-9a-z]{1,16})-(0|[1-9][0-9]{0,15})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Cursor:
    """The `seq`-th event of the topic's life `epoch`."""

    epoch: str
    seq: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.seq}"

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Read a cursor that a client sent back; anything else is `invalid_cursor`."""
        form = _FORM.fullmatch(text)
        if form is None:
            raise RealtimeError(Code.INVALID_CURSOR, "a cursor looks like 3f9a1c-42: send back one that you were given")
        return cls(form[1], int(form[2]))


START = Cursor("0", 0)
"""The cursor of an empty topic: before every event, of whatever epoch."""
