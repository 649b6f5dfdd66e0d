"""Faults of processes: killed, stalled, robbed of their database, their runs ended by hand."""

import asyncio
import os
import random
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from temporalio.client import Client
from temporalio.service import RPCError

from bench.chaos.site import Site
from workers.embedded.errors import StackError
from workers.embedded.part import Part

_BACK_WITHIN = 90.0  # seconds for a part on a busy machine; a quiet one needs one or two
_LISTED, _RUNS = 200, 20  # open runs looked at, and ended of them


async def kill(part: Part) -> None:
    """kill -9, and wait for its next life."""
    before = part.pid
    if before:
        os.kill(before, signal.SIGKILL)
    await back(part, not_as=before)


async def back(part: Part, not_as: int | None = None) -> None:
    """Wait until it answers, in another life than this one. Raises StackError."""
    try:
        async with asyncio.timeout(_BACK_WITHIN):
            while part.pid in (None, not_as) or not part.ready.is_set():  # noqa: ASYNC110 (a pid has no event)
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise StackError(f"{part.name} did not come back within {_BACK_WITHIN:g} s.", exit_code=1) from None


@contextmanager
def stalled(part: Part) -> Iterator[None]:
    """SIGSTOP for it and all it has started, inside the block."""
    held = _with_children(part.pid) if part.pid else []
    try:
        _signal(held, signal.SIGSTOP)
        yield
    finally:
        _signal(held, signal.SIGCONT)


async def lose_database(site: Site, temporal: Part) -> None:
    """Temporal forgets everything: its file is deleted, it is killed, and starts with an empty one."""
    for file in (site.stack.addresses.data_dir / "temporal").glob("temporal.db*"):
        file.unlink()
    await kill(temporal)


async def terminate_runs(site: Site, chance: random.Random) -> int:
    """End some open runs as a person would in the Web UI. Returns how many."""
    client = await Client.connect(site.stack.addresses.temporal_address)
    open_runs = "WorkflowType = 'Batch' AND ExecutionStatus = 'Running'"
    found = [run.id async for run in client.list_workflows(open_runs, limit=_LISTED)]
    ended = 0
    for run in chance.sample(found, min(_RUNS, len(found))):
        with suppress(RPCError):  # it may have ended by itself
            await client.get_workflow_handle(run).terminate("fault suite")
            ended += 1
    return ended


def _with_children(pid: int) -> list[int]:
    """A process and what it has started: PostgreSQL's backends are processes of their own."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True)
    pairs = [tuple(map(int, line.split())) for line in listed.stdout.splitlines()]
    family = [pid]
    for member in family:
        family += [child for child, parent in pairs if parent == member]
    return family


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
