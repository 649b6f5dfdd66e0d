"""A Valkey of a test's own, to be killed, stopped and started again on the same port."""

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from workers.embedded import binaries


class Valkey:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port: int = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}/0"

    async def start(self) -> None:
        self._process = self._spawn()
        async with Redis.from_url(self.url) as client:
            for _ in range(400):
                try:
                    await client.ping()
                except (RedisError, OSError):
                    await asyncio.sleep(0.05)
                else:
                    return
        raise AssertionError("Valkey did not start")

    def _spawn(self) -> "subprocess.Popen[bytes]":
        argv = [binaries.valkey(), "--port", str(self._port), "--bind", "127.0.0.1", "--dir", self._folder]
        return subprocess.Popen(
            [*argv, "--save", "", "--appendonly", "no"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()


@asynccontextmanager
async def own_valkey(folder: Path) -> AsyncIterator[Valkey]:
    server = Valkey(folder)
    await server.start()
    try:
        yield server
    finally:
        server.kill()
