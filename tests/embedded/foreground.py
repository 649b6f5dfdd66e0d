"""`clarion dev` with stand-ins, as a process of its own that a test can interrupt and kill."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import stand_in

from workers.embedded.leftovers import birth


@dataclass
class Foreground:
    """The running process, and everything it has printed so far."""

    process: asyncio.subprocess.Process
    data_dir: Path
    printed: str = ""

    async def ready(self) -> None:
        """Wait for the list of addresses; fails the test when the process ends before."""
        await self.until("Data  ")

    async def until(self, text: str) -> None:
        """Wait until it has printed this."""
        assert self.process.stdout
        async with asyncio.timeout(60):
            while text not in self.printed:
                line = await self.process.stdout.readline()
                assert line, f"it ended before it said {text!r}:\n{self.printed}"
                self.printed += line.decode()

    async def ended(self) -> tuple[int, str]:
        """Exit code and everything it wrote, once it has ended."""
        async with asyncio.timeout(60):
            rest, errors = await self.process.communicate()
            self.printed += rest.decode()
            return self.process.returncode or 0, errors.decode()

    def pids(self) -> list[int]:
        """Of every part as it lives now."""
        parts = json.loads((self.data_dir / "parts.json").read_text())
        return [part["pid"] for part in parts.values()]

    def environment(self) -> dict[str, str]:
        """What it tells other commands."""
        return json.loads((self.data_dir / "environment.json").read_text())


@asynccontextmanager
async def foreground(
    data_dir: Path, *arguments: str, prefix: Sequence[str] = (), **settings: str
) -> AsyncIterator[Foreground]:
    """Start it; at the end of the block it is gone. `prefix`: a command that runs ours, as `unshare` does."""
    data_dir.mkdir(exist_ok=True)  # noqa: ASYNC240 (a test may)
    process = await asyncio.create_subprocess_exec(
        *(*prefix, sys.executable, stand_in.__file__, "dev", *arguments),
        cwd=data_dir,
        env=stand_in.environment(data_dir, **settings),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    running = Foreground(process, data_dir)
    try:
        yield running
    finally:
        if process.returncode is None:
            process.terminate()
            await running.ended()


async def gone(pids: Sequence[int], *, within: float = 60.0) -> list[int]:
    """Those that still live after at most `within` seconds."""
    with suppress(TimeoutError):
        await eventually(lambda: not any(birth(pid) for pid in pids), within=within)
    return [pid for pid in pids if birth(pid)]


async def eventually(holds: Callable[[], bool], *, within: float = 60.0) -> None:
    """Wait until it holds. Raises TimeoutError after `within` seconds."""
    async with asyncio.timeout(within):
        while not holds():
            await asyncio.sleep(0.02)


def own_uid(pid: int) -> int:
    """The user a process runs as (Linux)."""
    return Path(f"/proc/{pid}").stat().st_uid
