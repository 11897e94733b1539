"""What goes wrong between the gateway and its clients: by probability, with the gateway's own random numbers."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class Faults:
    """All may be changed while the gateway runs."""

    latency: Callable[[], float] | None = None
    """Seconds that a frame travels to its client; None: it arrives before the post returns."""

    duplicate: float = 0.0
    """Probability that a frame arrives twice."""

    reorder: float = 0.0
    """Probability that a frame takes another latency on top, and what is posted meanwhile overtakes it."""

    lose_disconnect: float = 0.0
    """Probability that $disconnect is not invoked."""

    disconnect_delay: Callable[[], float] | None = None
    """Seconds from the close to $disconnect; None: it is invoked at once."""

    vanished_status: int = 200
    """What a post to a vanished client gets: 200, taken and lost; or 410."""

    buffer_bytes: int | None = None
    """A post is a 429 where more than this would be on its way to the client; AWS documents no figure. None: never."""

    def __post_init__(self) -> None:
        if self.reorder and self.latency is None:
            raise ValueError("frames can only be reordered on their way: set a latency")
