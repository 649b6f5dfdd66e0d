"""How every long-lived process of ours runs its interpreter."""

import asyncio
import gc
import signal
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import uvloop

_AGAIN = 0.5  # seconds


def calm_gc() -> None:
    """Leave what start-up made alone and look for cycles less often. Call it when all is imported and connected."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a process's main coroutine on uvloop: the same work for less.

    Once it has ended, signals are too late to matter: an impatient second one must not spoil the exit code.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


@asynccontextmanager
async def beside(*endless: Coroutine[Any, Any, Any]) -> AsyncGenerator[None]:
    """Loops that run beside the block and end with it."""
    tasks = [asyncio.create_task(each) for each in endless]
    try:
        yield
    finally:
        running = set(tasks)
        while running:
            # Again and again: in Python 3.11 `asyncio.wait_for`, which the Redis client uses, can lose a cancellation.
            for task in running:
                task.cancel()
            _, running = await asyncio.wait(running, timeout=_AGAIN)
        await asyncio.gather(*tasks, return_exceptions=True)
