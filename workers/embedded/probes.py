"""Questions that only a working part answers; each raises OSError (or the driver's error) while it does not."""

import asyncio
import os
from pathlib import Path

TIMEOUT = 2
"""Seconds for one question on the loopback."""


async def tcp(host: str, port: int) -> None:
    """Somebody accepts connections there."""
    await _ask(host, port, b"", 0)


async def redis(host: str, port: int) -> None:
    """Redis answers PING: not while it still loads its append-only file. An answer that asks for a password counts."""
    answer = await _ask(host, port, b"PING\r\n", 32)
    if not answer.startswith((b"+PONG", b"-NOAUTH")):
        raise ConnectionError(answer.decode(errors="replace").strip())


async def http(host: str, port: int, path: str) -> None:
    """`GET path` answers 200."""
    request = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\nAccept: */*\r\n\r\n"
    answer = await _ask(host, port, request.encode(), 64)
    status = answer.split(b"\r\n")[0].decode(errors="replace")
    if status.split(" ")[1:2] != ["200"]:
        raise ConnectionError(f"{path}: {status}")


async def postgres(url: str) -> None:
    """PostgreSQL takes a connection and answers a query. Raises OSError or asyncpg's PostgresError."""
    import asyncpg

    connection = await asyncpg.connect(url, timeout=TIMEOUT)
    try:
        await connection.execute("SELECT 1")
    finally:
        await connection.close(timeout=TIMEOUT)


async def _ask(host: str, port: int, question: bytes, length: int) -> bytes:
    async with asyncio.timeout(TIMEOUT):
        reader, writer = await asyncio.open_connection(host, port)
        try:
            writer.write(question)
            await writer.drain()
            return await reader.read(length) if length else b""
        finally:
            writer.close()


async def announced(ready_file: Path) -> None:
    """A living process has announced itself in this file (`workers.ready`); one of an earlier life does not count."""
    os.kill(int(ready_file.read_text()), 0)  # noqa: ASYNC240 (a few bytes)
