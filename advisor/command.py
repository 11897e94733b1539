"""What both commands share: every error is one sentence on stderr, and what takes over two seconds says so."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer
from typing import Any

import typer
from typer.core import TyperCommand

from advisor.given import CommandError
from advisor.prices import UnknownRegionError
from advisor.show import console
from realtime.features import FeaturesError

LONG_SECONDS = 2.0

FAILED, WRONG, INTERRUPTED = 1, 2, 130
"""Exit codes: what was asked for is refused; it was asked wrongly; Ctrl-C."""


class Command(TyperCommand):
    """A command without tracebacks and usage boxes: `error: ...`, and exit 2."""

    def main(self, *args: Any, **extra: Any) -> Any:
        try:
            sys.exit(super().main(*args, **extra | {"standalone_mode": False}))
        except typer.TyperException as error:
            _fail(error.format_message())
        except (CommandError, FeaturesError, UnknownRegionError, OSError) as error:
            _fail(str(error))
        except typer.Abort:
            sys.exit(INTERRUPTED)


def _fail(message: str) -> None:
    """A line a mistake: a features file may have several."""
    for line in message.splitlines():
        console(errors=True).print(f"error: {line}", markup=False, soft_wrap=True)
    sys.exit(WRONG)


@contextmanager
def progress(what: str) -> Iterator[None]:
    """Say what is being done, on stderr, once it has taken two seconds."""
    err = console(errors=True)
    status = err.status(what)
    timer = Timer(LONG_SECONDS, status.start if err.is_terminal else lambda: err.print(f"{what} ..."))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        status.stop()
