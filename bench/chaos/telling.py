"""Where a run stands: a moving line on a terminal, plain lines when piped."""

import sys
import time
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.status import Status


class Telling(AbstractContextManager["Telling"]):
    """Call it with a line about something that has happened, or `now` with what is under way."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._status: Status | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console

            self._status = Console(stderr=True, highlight=False).status("")
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status:
            self._status.stop()

    def __call__(self, line: str) -> None:
        """One line that stays."""
        told = f"{time.monotonic() - self._began:6.1f} s  {line}"
        if self._status:
            self._status.console.print(told, markup=False)
        else:
            sys.stderr.write(f"{told}\n")
            sys.stderr.flush()

    def now(self, line: str) -> None:
        """A line that the next one replaces; on a terminal only."""
        if self._status:
            self._status.update(line)
