"""Something in front of an API that can go away and come back at the same port, as a restarted API does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit


class Front:
    """Hands connections on to `behind`."""

    def __init__(self, behind: str) -> None:
        self._host, self._port = urlsplit(behind).hostname, urlsplit(behind).port
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._own_port = 0

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._own_port}"

    async def come(self) -> None:
        """Listen, at the same port as before."""
        self._server = await asyncio.start_server(self._take, "127.0.0.1", self._own_port)
        self._own_port = self._server.sockets[0].getsockname()[1]

    async def go(self) -> None:
        """Refuse connections and cut those there are."""
        assert self._server
        self._server.close()
        for writer in list(self._open):
            writer.transport.abort()
        await self._server.wait_closed()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind_reader, behind_writer = await asyncio.open_connection(self._host, self._port)
        both = {writer, behind_writer}
        self._open |= both
        try:
            await asyncio.gather(_pass_on(reader, behind_writer), _pass_on(behind_reader, writer))
        finally:
            self._open -= both
            for each in both:
                each.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(65_536):
            writer.write(chunk)
            await writer.drain()
        writer.write_eof()


@asynccontextmanager
async def front_of(behind: str) -> AsyncIterator[Front]:
    """One that listens, for the length of the block."""
    front = Front(behind)
    await front.come()
    try:
        yield front
    finally:
        await front.go()
