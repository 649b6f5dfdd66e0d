"""The way back: receipts of all webhook calls that arrived together, in one commit, then a hint to the runs."""

import asyncio
import time
from collections.abc import Sequence
from typing import Never
from uuid import UUID

from domain.receipts import Receipt
from ledger.database import Database
from ledger.grouping import Flushed, Group
from ledger.receipts import Heard, hear, traceparents
from observe import logs, metrics, traces
from runs import Runs
from throttle.rhythm import Rhythm
from throttle.watch import Watch

log = logs.get(__name__)

_CAP = 2000  # receipts in one commit
_BOUND = 50_000  # receipts waiting in memory; then 503, and the vendor tries again
_PACE = 0.03  # seconds
_BEAT = 1.0  # seconds


class Hearing:
    """One per API process."""

    def __init__(self, db: Database, runs: Runs, watch: Watch) -> None:
        self._db, self._runs, self._watch = db, runs, watch
        self._news: dict[tuple[UUID, str], None] = {}  # of which runs have not been told
        self._waking = Rhythm(0.0, self._wake)
        self._group = Group[Sequence[Receipt], None](self._flush, cap=_CAP, bound=_BOUND, pace=_PACE)

    async def hear(self, receipts: Sequence[Receipt]) -> None:
        """Returns once they are committed. Raises Full, LedgerUnavailable."""
        if receipts:
            await self._group.put(receipts, weight=len(receipts))

    async def close(self) -> None:
        """Wait for what is under way."""
        await self._group.close()
        await self._waking.close()

    async def keep_open(self) -> Never:
        """Say every second that receipts can be taken here, while they can. Run it as a task."""
        while True:
            try:
                await self._db.run("SELECT 1")
                await self._watch.beat()
            except Exception as error:  # the loop has to outlive whatever it meets
                log.warning("hearing.closed", error=type(error).__name__)
            await asyncio.sleep(_BEAT)

    async def _flush(self, calls: Sequence[Sequence[Receipt]]) -> Flushed[None]:
        receipts = [receipt for call in calls for receipt in call]
        started = time.perf_counter()
        heard = await hear(self._db, receipts)
        metrics.observe(metrics.COMMIT, "receipt", seconds=time.perf_counter() - started)
        _count(heard)
        self._watch.reported(heard.reports)
        if traces.tracing():
            await self._trace(receipts)
        if heard.wake:
            self._news |= dict.fromkeys(heard.wake)
            self._waking.wake()  # beside the commits: a slow Temporal must not hold up what vendors report
        return [None] * len(calls), None

    async def _wake(self) -> bool:
        news, self._news = self._news, {}
        try:
            await self._runs.wake(news)
        except Exception as error:  # a hint: the sweep makes up for it
            log.warning("hearing.runs_not_told", error=type(error).__name__)
        return bool(self._news)

    async def _trace(self, receipts: Sequence[Receipt]) -> None:
        """The last span of a notification's trace: its receipt."""
        for provider, traceparent in await traceparents(self._db, receipts):
            with traces.start("receipt", traceparent, provider=provider):
                pass


def _count(heard: Heard) -> None:
    for (provider, report, result), n in heard.results.items():
        metrics.count(metrics.RECEIPTS, provider, report, result, n=n)
    for provider, seconds in heard.delays:
        metrics.observe(metrics.RECEIPT_DELAY, provider, seconds=max(0.0, seconds))
