"""Flushes what gathers, every so often while there is something, without anybody waiting for it."""

import asyncio
from collections.abc import Awaitable, Callable


class Rhythm:
    """`flush` must not raise, and says whether more has gathered meanwhile."""

    def __init__(self, every: float, flush: Callable[[], Awaitable[bool]]) -> None:
        """`every`: seconds that things gather, also the first."""
        self._every, self._flush = every, flush
        self._task: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Something was put."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Wait for what has gathered."""
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        more = True
        while more:
            await asyncio.sleep(self._every)
            more = await self._flush()
