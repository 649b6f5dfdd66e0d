"""The embedded stack for the length of a demo: quiet, its lines in a file, its progress in one line."""

import asyncio
import signal
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cli import output
from cli.errors import Failure

if TYPE_CHECKING:
    from rich.status import Status


class Stage:
    """Starts the stack on free ports, says how far it is, and stops it."""

    def __init__(self, data_dir: Path, log: Path, *, verbose: bool) -> None:
        self._data_dir, self._log, self._verbose = data_dir, log, verbose
        self._began = time.monotonic()
        self._spinner: Status | None = None

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[tuple[str, str]]:
        """The URLs of the API and of the vendors, while everything runs. Raises Failure when a part fails.

        Ctrl-C and SIGTERM cancel the task and stop everything; once that has begun, they end it at once.
        """
        from settings import Settings
        from workers.embedded.errors import StackError
        from workers.embedded.programs import Programs
        from workers.embedded.stack import Stack

        settings = Settings.load().model_copy(update={"data_dir": self._data_dir})
        stack = Stack(settings, free_ports=True, sink=self._take, commands=Programs())
        interrupt = _Interrupt(stack.kill)
        self._show_spinner()
        try:
            self.says("Starting PostgreSQL, Valkey, Temporal, the vendors, the API and the workers")
            await stack.start()
            yield stack.addresses.api, stack.addresses.sandbox
        except StackError as error:
            raise Failure(str(error), exit_code=error.exit_code) from None
        finally:
            interrupt.now_at_once()
            self.says("Stopping everything")
            await stack.stop()
            if self._spinner:
                self._spinner.stop()

    def says(self, what: str) -> None:
        """Where the demo stands now: on standard error, so that the answer can be piped."""
        if self._spinner:
            self._spinner.update(what)
        else:
            output.note(f"{time.monotonic() - self._began:5.1f} s  {what}")

    def _take(self, part: str, line: str) -> None:
        """A line some part wrote."""
        with self._log.open("a") as out:
            out.write(f"{part:<12} | {line}\n")
        if self._verbose:
            output.note(f"{part:<12} | {line}")

    def _show_spinner(self) -> None:
        if sys.stderr.isatty() and not self._verbose:
            from rich.console import Console

            self._spinner = Console(stderr=True, highlight=False).status("")
            self._spinner.start()


class _Interrupt:
    """Ctrl-C and SIGTERM: the first cancels the task that made this object; after `now_at_once` they call `kill`."""

    def __init__(self, kill: Callable[[], None]) -> None:
        self._task, self._kill, self._at_once = asyncio.current_task(), kill, False
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._take)

    def now_at_once(self) -> None:
        """It is stopping already."""
        self._at_once = True

    def _take(self) -> None:
        if self._at_once or not self._task:
            self._kill()
        else:
            self._at_once = True
            self._task.cancel()
