"""A TCP proxy in front of PostgreSQL that breaks the connection at a commit: before it arrives, or before its answer.

A commit is COMMIT, or the statement that files notifications where it stands alone.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum
from urllib.parse import urlsplit, urlunsplit

_BEGIN, _ROLLBACK, _COMMIT = b"BEGIN", b"ROLLBACK;", b"COMMIT;"  # not BEGIN ISOLATION LEVEL READ COMMITTED
_FILING = re.compile(rb"P....(\w+)\0[^\0]*INSERT INTO notification ", re.DOTALL)  # a Parse message, with a name


class Cut(StrEnum):
    """What is lost of a commit."""

    NOTHING = "nothing"
    REQUEST = "the commit itself"
    ANSWER = "its answer"


class Proxy:
    """Passes everything on until it is told to cut."""

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self._cut = Cut.NOTHING
        self.commits = 0  # until the one that is cut

    def at_commit(self, n: int, cut: Cut) -> None:
        """Break the nth commit from now."""
        self._cut, self.commits = cut, n

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client."""
        up_reader, up_writer = await asyncio.open_connection(*self._to)
        silenced = asyncio.Event()
        down = asyncio.create_task(self._down(up_reader, writer, silenced))
        try:
            await self._up(reader, up_writer, silenced)
        finally:
            if silenced.is_set():
                await asyncio.sleep(0.2)  # PostgreSQL commits, and answers nobody
            for one in (up_writer, writer):
                one.close()
            await asyncio.gather(down, return_exceptions=True)

    async def _up(self, reader: asyncio.StreamReader, up: asyncio.StreamWriter, silenced: asyncio.Event) -> None:
        filing, alone = b"-", True
        while data := await reader.read(65536):
            if found := _FILING.search(data):
                filing = found[1]
            alone = (alone or _ROLLBACK in data) and _BEGIN not in data
            if _COMMIT in data or (alone and b"\0%b\0" % filing in data):  # Bind, after a portal without a name
                alone = True
                self.commits -= 1
                if self.commits == 0 and self._cut is not Cut.NOTHING:
                    if self._cut is Cut.REQUEST:
                        return
                    silenced.set()
                    up.write(data)
                    await up.drain()
                    return
            up.write(data)
            await up.drain()

    async def _down(self, up: asyncio.StreamReader, writer: asyncio.StreamWriter, silenced: asyncio.Event) -> None:
        while data := await up.read(65536):
            if not silenced.is_set():
                writer.write(data)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def proxied(url: str) -> AsyncIterator[tuple[Proxy, str]]:
    """The proxy, and the database's URL through it."""
    parts = urlsplit(url)
    assert parts.hostname and parts.port
    proxy = Proxy(parts.hostname, parts.port)
    clients: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        clients.add(task)
        try:
            await proxy.serve(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            writer.close()
        finally:
            clients.discard(task)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    credentials = parts.netloc.rpartition("@")[0]
    try:
        yield proxy, urlunsplit(parts._replace(netloc=f"{credentials}@127.0.0.1:{port}"))
    finally:
        server.close()
        for task in list(clients):
            task.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
