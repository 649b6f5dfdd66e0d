"""`clarion dev`: the stack in the foreground until Ctrl-C."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable

from settings import Settings
from workers.embedded.errors import StackError
from workers.embedded.layout import Addresses
from workers.embedded.output import to_terminal
from workers.embedded.programs import Programs
from workers.embedded.stack import Stack

KeyOf = Callable[[Addresses], Awaitable[str]]
"""Gives the API key to show for a stack that runs."""

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def run_dev(
    settings: Settings,
    *,
    free_ports: bool = False,
    on_ready: Callable[[Stack], None] | None = None,
    key_of: KeyOf | None = None,
    commands: Programs = Programs(),  # noqa: B008 (frozen)
) -> int:
    """Run until Ctrl-C (twice: at once) or until a part cannot be kept running.

    Returns the exit code: 0 after a stop that was asked for, 1 when a part failed, 2 when a setting or the machine is
    in the way. What went wrong is one line on standard error.
    """
    stack = Stack(settings, free_ports=free_ports, sink=to_terminal(), commands=commands)
    stop = _Stop(stack.kill)
    try:
        await _serve(stack, on_ready, key_of)
    except StackError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except asyncio.CancelledError:
        if not stop.take_back():
            raise
    finally:
        await stack.stop()
        stop.forget()
    return 0


async def _serve(stack: Stack, on_ready: Callable[[Stack], None] | None, key_of: KeyOf | None) -> None:
    await stack.start()
    print_addresses(stack.addresses, await key_of(stack.addresses) if key_of else None)
    if on_ready:
        on_ready(stack)
    await stack.failure()


class _Stop:
    """The first signal cancels the task that made this object, the second calls `at_once`."""

    def __init__(self, at_once: Callable[[], None]) -> None:
        self._asked = False
        self._at_once = at_once
        self._task = asyncio.current_task()
        self._loop = asyncio.get_running_loop()
        # Under nohup a hang-up is ignored, and shall stay so.
        no_hangup = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        self._numbers = [number for number in STOPPING if not (no_hangup and number == signal.SIGHUP)]
        for number in self._numbers:
            self._loop.add_signal_handler(number, self._take)

    def take_back(self) -> bool:
        """True when a signal was the reason of the cancellation, which then counts as handled."""
        if self._asked and self._task:
            self._task.uncancel()
        return self._asked

    def forget(self) -> None:
        """Give the signals back."""
        for number in self._numbers:
            self._loop.remove_signal_handler(number)

    def _take(self) -> None:
        if self._asked:
            self._at_once()
        elif self._task:
            self._asked = True
            self._task.cancel()


def print_addresses(addresses: Addresses, key: str | None) -> None:
    """Say on standard output where everything is."""
    lines = {
        "API": addresses.api,
        "API docs": f"{addresses.api}/docs",
        "Temporal Web UI": addresses.temporal_ui or "(outside)",
        "Temporal": addresses.temporal_address,
        "Sandbox": addresses.sandbox,
        "Sandbox SMTP": f"127.0.0.1:{addresses.smtp_port}",
        "PostgreSQL": addresses.database_url,
        "Redis": addresses.redis_url,
        "Data": str(addresses.data_dir),
    }
    if key:
        lines["API key"] = f"{key} (tenant dev; calls from this machine need none)"
    if sys.stdout.isatty():
        _print_table(lines)
    else:
        sys.stdout.write("".join(f"{name:<16} {place}\n" for name, place in lines.items()))
        sys.stdout.flush()


def _print_table(lines: dict[str, str]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Clarion is ready (Ctrl-C stops it)", show_header=False, title_justify="left")
    for name, place in lines.items():
        table.add_row(name, place)
    Console(soft_wrap=True).print(table)
