"""A pipe that many lives of one part write to, read as lines."""

import asyncio
import os
from collections import deque
from collections.abc import Callable

LONGEST = 65_536
"""Bytes after which a line without an end is cut."""


class Lines(asyncio.Protocol):
    """Hands every line to `take`, keeps the last few, and knows when the pipe has ended."""

    def __init__(self, take: Callable[[str], None]) -> None:
        self._take = take
        self._rest = b""
        self.last: deque[str] = deque(maxlen=5)
        self.ended = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        """Split what came; keep an unfinished line for the next time."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LONGEST:
            whole.append(self._rest)
            self._rest = b""
        for line in whole:
            self._hand_on(line)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody can write any more: hand on the unfinished line."""
        if self._rest:
            self._hand_on(self._rest)
        self._rest = b""
        self.ended.set()

    def _hand_on(self, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip()
        if text:
            self.last.append(text)
            self._take(text)


class LinePipe:
    """The writing end goes to the children; closing waits a moment for what they wrote last."""

    def __init__(self, lines: Lines, transport: asyncio.ReadTransport, write_end: int) -> None:
        self.lines = lines
        self.write_end = write_end
        self._transport = transport

    @classmethod
    async def open(cls, take: Callable[[str], None]) -> "LinePipe":
        """Make the pipe and begin to read it."""
        read_end, write_end = os.pipe()
        loop = asyncio.get_running_loop()
        transport, lines = await loop.connect_read_pipe(lambda: Lines(take), os.fdopen(read_end, "rb", 0))
        return cls(lines, transport, write_end)

    async def close(self, *, patience: float = 0.5) -> None:
        """Close both ends, the reading one when all was read or after `patience` seconds."""
        os.close(self.write_end)
        try:
            async with asyncio.timeout(patience):
                await self.lines.ended.wait()
        except TimeoutError:
            self._transport.close()
