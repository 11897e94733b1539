"""What a person sees while something takes longer than two seconds."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

console = Console(highlight=False)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Say what is being done while it is done (a spinner where there is a terminal), and how long it took."""
    started = time.monotonic()
    if not console.is_terminal:
        console.print(f"  … {what}")
    with console.status(what):
        yield
    console.print(f"  [green]✓[/] {what} [dim]{time.monotonic() - started:.1f} s[/]")
