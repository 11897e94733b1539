"""Who is connected, and what is left of the rates: the state that threads share, behind one lock."""

from threading import Lock

from .bucket import TokenBucket
from .connection import Connection


class Books:
    """Open connections by id."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._open: dict[str, Connection] = {}

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: Connection) -> None:
        """It is open from now on."""
        with self._lock:
            self._open[connection.id] = connection

    def find(self, connection_id: str) -> Connection | None:
        """The open connection of this id."""
        with self._lock:
            return self._open.get(connection_id)

    def everybody(self) -> list[Connection]:
        """All that are open."""
        with self._lock:
            return list(self._open.values())

    def strike(self, connection: Connection) -> bool:
        """It is closed from now on; False where it was."""
        with self._lock:
            return self._open.pop(connection.id, None) is not None

    def take(self, *buckets: TokenBucket | None) -> bool:
        """A token from each."""
        with self._lock:
            return all(bucket is None or bucket.take() for bucket in buckets)
