"""Starts parts in groups, watches them, and stops the groups in the opposite order."""

import asyncio
from collections.abc import Callable, Sequence

from workers.embedded.part import Part
from workers.embedded.service import Service, Sink


class Supervisor:
    """All parts of one stack. `born` is called at the start of each life of each part."""

    def __init__(self, sink: Sink, born: Callable[[Part], None] = lambda part: None) -> None:
        self._sink = sink
        self._born = born
        self._groups: list[list[Part]] = []

    @property
    def parts(self) -> dict[str, Part]:
        """Every part by its name."""
        return {part.name: part for group in self._groups for part in group}

    async def start(self, services: Sequence[Service]) -> None:
        """Start them beside each other; return when all are ready. Raises StackError of the first that cannot."""
        group = [Part(service, self._sink, self._born) for service in services]
        self._groups.append(group)
        await asyncio.gather(*(part.start() for part in group))

    async def failure(self) -> None:
        """Wait until a part can no longer be kept running, then raise its StackError."""
        keepers = [part.keeper for part in self.parts.values() if part.keeper]
        if not keepers:
            await asyncio.Event().wait()
        done, _ = await asyncio.wait(keepers, return_when=asyncio.FIRST_COMPLETED)
        for keeper in done:
            keeper.result()

    async def stop(self) -> None:
        """Stop what was started last first; within a group all at once."""
        for part in self.parts.values():
            part.retire()
        for group in reversed(self._groups):
            await asyncio.gather(*(part.stop() for part in group))
        self._groups.clear()

    def kill(self) -> None:
        """End everything now; `stop` then has nothing to wait for."""
        for part in self.parts.values():
            part.retire()
            part.kill()
