"""A bar for long work, on standard error and only if that is a terminal."""

import sys
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress as Bar


class Progress:
    """A context manager: `at` says how much of `total` is done."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total = what, total
        self._bar: Bar | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty() and self._total > 1:
            from rich.console import Console
            from rich.progress import Progress as Bar

            self._bar = Bar(console=Console(stderr=True), transient=True)
            self._bar.start()
            self._task = self._bar.add_task(self._what, total=self._total)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def at(self, done: int) -> None:
        """So much is done."""
        if self._bar:
            self._bar.update(self._task, completed=done)
