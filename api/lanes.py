"""The way in: a lane per priority gathers requests into group commits, and starts a run for one or more of them."""

import asyncio
import time
from collections.abc import Callable, Sequence

from api.opening import Open, Opening
from domain.priorities import Priority
from domain.submissions import Accepted, Refused, Submission
from ledger.grouping import Flushed, Group, Turns
from ledger.intake import Intake
from observe import logs, metrics, traces
from runs import Runs, TemporalAway

log = logs.get(__name__)

_PACE = 0.05  # seconds a lane under load gathers for a commit: its callers wait
_KEEP = 0.4  # seconds a run under load gathers commits
_START_WITHIN = 5.0  # seconds for the start of a run; the sweep makes up for one that fails
_ALONE = 32  # flushes at once with max_batch 1, where each carries a single notification


class Lanes:
    """All lanes of one API process."""

    def __init__(
        self, intake: Intake, runs: Runs, *, max_batch: int, bound: int, weight_of: Callable[[str], int] | None = None
    ) -> None:
        """`bound`: deliveries that may wait in one lane. `weight_of` a tenant: they take turns; None: they do not."""
        self._intake, self._runs = intake, runs
        self._opening = {priority: Opening(self._start, keep=_KEEP, cap=max_batch) for priority in Priority}
        flushes = _ALONE if max_batch == 1 else 1
        turns = Turns[Submission](lambda submission: submission.tenant, weight_of) if weight_of else None
        self._lanes = {
            priority: Group[Submission, Accepted | Refused](
                lambda group, lane=priority: self._flush(lane, group),
                cap=max_batch,
                bound=bound,
                pace=_PACE,
                flushes=flushes,
                turns=turns,
            )
            for priority in Priority
        }

    async def submit(self, submission: Submission) -> Accepted:
        """Returns once it is committed. Raises Refused, Full, LedgerUnavailable."""
        verdict = await self._lanes[submission.priority].put(submission, weight=submission.size)
        if isinstance(verdict, Refused):
            raise verdict
        return verdict

    async def close(self) -> None:
        """Wait for what is under way."""
        for lane in self._lanes.values():
            await lane.close()
        for opening in self._opening.values():
            await opening.close()

    async def _flush(self, lane: Priority, group: Sequence[Submission]) -> Flushed[Accepted | Refused]:
        carried = [s.traceparent for s in group if s.traceparent]
        opening = self._opening[lane]
        try:
            with traces.start("accept", links=carried, requests=len(group)) as span:
                started = time.perf_counter()
                flush = await self._intake.accept(group, opening.lend())
                metrics.observe(metrics.COMMIT, "accept", seconds=time.perf_counter() - started)
        except BaseException:
            opening.take_back()
            raise
        opening.take_back(flush.batches, span.traceparent)
        metrics.child(metrics.FLUSH_SIZE, lane.value).observe(len(group))
        metrics.count(metrics.ACCEPTED, lane.value, n=sum(_is_new(verdict) for verdict in flush.verdicts))
        metrics.LANE_DEPTH.labels(lane.value).set(self._lanes[lane].depth)
        return flush.verdicts, opening.crowded()

    async def _start(self, ready: Open) -> None:
        try:
            async with asyncio.timeout(_START_WITHIN):
                with traces.start("start run", ready.traceparent, links=()):
                    await self._runs.start(ready.batch.run, start_at=ready.batch.start_at)
        except (TemporalAway, TimeoutError) as error:
            log.warning("lane.start_failed", batch=ready.batch.run.batch, error=type(error).__name__)


def _is_new(verdict: Accepted | Refused) -> bool:
    return isinstance(verdict, Accepted) and not verdict.replayed
