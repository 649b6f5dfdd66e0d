"""Tells runs that there is news for them, wherever they are: open, closed, terminated or never started."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

from api.parts import Parts
from domain.runs import Run
from ledger.sweeping import runs_of
from observe import logs
from runs import TemporalAway

log = logs.get(__name__)

_MOST = 200  # runs woken by one request; the sweep wakes the rest within seconds
_AT_ONCE = 16
_WITHIN = 2.0  # seconds


async def wake(parts: Parts, news: Sequence[tuple[UUID, str]]) -> None:
    """A hint: what it cannot do, for Temporal is away, the sweep does."""
    channels: dict[UUID, list[str]] = {}
    for batch, channel in news:
        channels.setdefault(batch, []).append(channel)
    slots = asyncio.Semaphore(_AT_ONCE)

    async def call(run: Run) -> None:
        async with slots:
            await parts.runs.start(run, wake=sorted(channels[UUID(run.batch)]))

    try:
        async with asyncio.timeout(_WITHIN):
            await asyncio.gather(*(call(run) for run in await runs_of(parts.db, list(channels)[:_MOST])))
    except (TemporalAway, TimeoutError) as error:
        log.warning("wake.left_to_the_sweep", runs=len(channels), error=type(error).__name__)
