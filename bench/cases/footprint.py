"""`footprint`: how soon all is ready, what it takes when idle, and whether memory grows with what was sent."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from signal import SIGINT
from tempfile import TemporaryDirectory

import orjson

from bench import processes
from bench.cases.bulk import CLIENTS, RECIPIENTS
from bench.finding import Figure, Played, Untried
from bench.ground import Ground, ground
from bench.processes import Pids

QUIET = 10.0  # seconds from ready until it is idle
WATCHED = 15.0  # seconds
DELIVERIES = "DELIVERIES"
"""The environment variable that says how many deliveries memory is watched over."""
USUAL = 1_000_000
_FIRST = 0.2  # of them are sent before memory is first looked at: caches and pools are full then
_GROWTH = 10.0  # percent in all that counts as flat
_IDLE_AGAIN = 5.0  # seconds


async def play(log: Path) -> Played:
    """First what `clarion dev` runs, twice: on an empty folder, and where it was before."""
    with TemporaryDirectory(prefix="clarion-bench-") as folder:
        async with _standing(Path(folder), log) as (first, _):
            pass
        async with _standing(Path(folder), log) as (again, pids):
            memory, cpu = await _idle(pids)
    grown, broken = await _growth(log, int(os.environ.get(DELIVERIES) or USUAL))
    return Played(
        [
            Figure("ready, empty folder", first, "s", at_most=10),
            Figure("ready, again", again, "s", at_most=10),
            Figure("idle memory (PSS)", sum(memory.values()), "MB", at_most=700),
            *(Figure(f"idle memory, {name}", megabytes, "MB") for name, megabytes in memory.items()),
            Figure("idle CPU", sum(cpu.values()), "% of a core"),
            *(Figure(f"idle CPU, {name}", share, "% of a core") for name, share in cpu.items()),
            *grown,
        ],
        broken,
        {"memory": memory},
    )


@asynccontextmanager
async def _standing(folder: Path, log: Path) -> AsyncGenerator[tuple[float, Pids]]:
    """Seconds from the start of the process until it says that all is ready, and the process ids by name."""
    started = time.monotonic()
    with log.open("ab") as sink:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.standing"), cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=sink
        )
    try:
        assert process.stdout
        async for line in process.stdout:
            if line.startswith(b"{"):
                yield time.monotonic() - started, {**orjson.loads(line), "supervisor": process.pid}
                return
        raise Untried(f"it ended before it was ready: see {log}")
    finally:
        if process.returncode is None:
            process.send_signal(SIGINT)
        await process.communicate()


async def _idle(pids: Pids) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """Megabytes, and percent of a core, by part."""
    await asyncio.sleep(QUIET)
    before = processes.cpu(pids)
    await asyncio.sleep(WATCHED)
    used = processes.between(before, processes.cpu(pids))
    return processes.memory(pids), {name: seconds / WATCHED * 100 for name, seconds in used.items()}


async def _growth(log: Path, deliveries: int) -> tuple[list[Figure], list[str]]:
    """What memory was after the first fifth of the deliveries, and after all."""
    first = int(deliveries * _FIRST)
    async with ground(log) as on:
        before = await _memory_after(on, "first", first)
        after = await _memory_after(on, "rest", deliveries - first)
        broken = await on.broken()
    more = processes.between(before, after)
    growth = sum(more.values()) / sum(before.values()) * 100
    return [
        Figure(f"memory after {first:,} deliveries", sum(before.values()), "MB"),
        Figure(f"memory after {deliveries:,} deliveries", sum(after.values()), "MB"),
        Figure("growth", growth, "%", at_most=_GROWTH),
        *(Figure(f"growth, {name}", megabytes, "MB") for name, megabytes in more.items()),
    ], broken


async def _memory_after(on: Ground, token: str, deliveries: int) -> dict[str, float]:
    accepted, wanted = 0, deliveries // RECIPIENTS
    while accepted < wanted:  # the door refuses some when it is ahead of what is sent
        load = {"count": wanted - accepted, "recipients": RECIPIENTS, "rest": 1.0}
        taken = (await on.offer(f"{token}-{accepted}", CLIENTS, **load)).accepted
        if not taken:
            raise Untried("the door takes nothing any more")
        accepted += taken
    await on.drained()
    await asyncio.sleep(_IDLE_AGAIN)
    return processes.memory(processes.pids_of(on.stack.services))
