"""What a WebSocket gateway does for us: put frames on connections, and close them. The port; management.py is AWS's."""

from collections.abc import Sequence
from enum import Enum, auto
from typing import NamedTuple, Protocol


class Outcome(Enum):
    """What became of a job."""

    SENT = auto()
    """The gateway took every frame."""

    GONE = auto()
    """410: the connection is closed. Its rows are stale."""

    FAILED = auto()
    """No answer in time, or refused (429, 5xx) until the tries were used up: the reader's cursor catches up."""

    UNSENT = auto()
    """The deadline came before its first frame was sent: somebody else may take it over."""


class Job(NamedTuple):
    """Frames for one connection, each sent after the one before was taken; `close` ends the connection after them.

    `refused` is for the sender: these frames say that the reader may not have what he subscribed to.
    """

    connection: str
    frames: tuple[bytes, ...]
    close: bool = False
    refused: bool = False


class Gateway(Protocol):
    def run(self, jobs: Sequence[Job], *, seconds: float, patience: float | None = None) -> list[Outcome]:
        """Do the jobs side by side, none waiting for a slow other, and return what became of each after at most `seconds`.

        `patience`: sooner, if all that is left has been without an answer for so many seconds.
        """
