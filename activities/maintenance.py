"""Housekeeping: find runs that are late or lost, keep tables small, read the gauges."""

import asyncio
import time
from collections import Counter

from temporalio import activity

from domain.runs import SWEEP, TIDY
from ledger import receipts, searching, statistics, sweeping
from ledger.database import Database
from ledger.partitions import ensure_partitions
from observe import logs, metrics
from runs import Runs, TemporalAway

log = logs.get(__name__)

_EVERY = 1.5  # seconds between two sweeps
_SHIFT = 58.0  # seconds one activity sweeps before the next schedule's takes over
_RECEIPT_DAYS = 30  # vendors repeat a report for some days at most
_STARTS_AT_ONCE = 16
_PRUNES_FOR = 120.0  # seconds of one tidying


class Maintenance:
    """The chores of the queue `maintenance`."""

    def __init__(self, db: Database, runs: Runs) -> None:
        self._db, self._runs = db, runs

    @activity.defn(name=SWEEP)
    async def sweep(self) -> dict[str, int]:
        """Sweep for a minute: a run each time would only fill the Web UI."""
        end, called = time.monotonic() + _SHIFT, 0
        while time.monotonic() < end and not activity.is_worker_shutdown():
            called += await self.sweep_once()
            activity.heartbeat()
            await asyncio.sleep(_EVERY)
        return {"called": called}

    async def sweep_once(self) -> int:
        """Start, or wake, every run that is late. Returns how many were."""
        late = await sweeping.overdue(self._db)
        slots = asyncio.Semaphore(_STARTS_AT_ONCE)

        async def call(one: sweeping.Late) -> None:
            async with slots:
                try:
                    await self._runs.start(one.run, start_at=one.start_at, wake=one.channels)
                except TemporalAway as error:
                    log.warning("sweep.start_failed", batch=one.run.batch, error=str(error))

        await asyncio.gather(*(call(one) for one in late))
        if late:
            log.info("sweep.called", runs=len(late))
        await self._read_gauges()
        metrics.SWEPT_AT.set_to_current_time()
        return len(late)

    async def _prune(self) -> Counter[str]:
        """Portion after portion: what came in at a high rate has to go at one."""
        end, pruned = time.monotonic() + _PRUNES_FOR, Counter[str]()
        while True:
            portion = await sweeping.prune(self._db, _RECEIPT_DAYS)
            activity.heartbeat()
            pruned.update(portion)
            if max(portion.values()) < sweeping.PRUNE_AT_ONCE or time.monotonic() > end:
                return pruned

    async def _read_gauges(self) -> None:
        gauges = await statistics.gauges(self._db)
        metrics.DEAD_LETTERS.set(gauges.dead_letters)
        metrics.DEAD_LETTER_AGE.set(gauges.oldest_age)
        metrics.OVERDUE.set({"": gauges.overdue})

    @activity.defn(name=TIDY)
    async def tidy(self) -> dict[str, int]:
        """Match parked receipts, prune what is old, fold the statistics, make next month's partitions."""
        heard = await receipts.match_parked(self._db)
        await self._runs.wake(heard.wake)
        activity.heartbeat()
        pruned = await self._prune()
        pruned["search_entries"] = await searching.prune(self._db)
        activity.heartbeat()
        folded = await statistics.fold(self._db)
        async with self._db.begin() as connection:
            await ensure_partitions(connection)
        return {"matched": heard.moved, "folded": folded, **pruned}
