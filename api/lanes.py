"""The way in: what arrives together is committed together; each lane, one a priority, starts runs for its own."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import chain

from api.opening import Open, Opening
from domain.priorities import Priority
from domain.submissions import Accepted, Refused, Submission
from ledger.grouping import Flushed, Full, Group, Turns
from ledger.intake import Intake
from observe import logs, metrics, traces
from runs import Runs, TemporalAway

log = logs.get(__name__)

_PACE = 0.05  # seconds that requests gather for a commit under load: their callers wait
_KEEP = 0.4  # seconds a run under load gathers commits
_START_WITHIN = 5.0  # seconds for the start of a run; the sweep makes up for one that fails
_ALONE = 32  # flushes at once with max_batch 1, where each carries a single notification


class Lanes:
    """All lanes of one API process."""

    def __init__(
        self, intake: Intake, runs: Runs, *, max_batch: int, bound: int, weight_of: Callable[[str], int] | None = None
    ) -> None:
        """`bound`: deliveries that may wait. `weight_of` a tenant: they take turns; None: only lanes do."""
        self._intake, self._runs = intake, runs
        self._opening = {priority: Opening(self._start, keep=_KEEP, cap=max_batch) for priority in Priority}
        self._depth = Counter[Priority]()  # deliveries that wait for a commit
        # One commit for all lanes: it costs as much for a few as for hundreds. Each lane has its turn in each. Only
        # a tenant that has nothing in it does not wait until a flood of others is committed: it has one beside.
        self._crowd, self._beside = (
            Group[Submission, Accepted | Refused](
                self._flush,
                cap=max_batch,
                bound=bound,
                pace=_PACE,
                flushes=_ALONE if max_batch == 1 else 1,
                turns=_turns(weight_of),
            )
            for _ in range(2)
        )
        self._fair = weight_of is not None
        self._in_crowd = Counter[str]()  # requests by tenant, waiting or being committed

    async def submit(self, submission: Submission) -> Accepted:
        """Returns once it is committed. Raises Refused, Full, LedgerUnavailable."""
        self._depth[submission.priority] += submission.size
        try:
            verdict = await self._put(submission)
        except Full:
            self._depth[submission.priority] -= submission.size
            raise
        if isinstance(verdict, Refused):
            raise verdict
        return verdict

    async def close(self) -> None:
        """Wait for what is under way."""
        await self._crowd.close()
        await self._beside.close()
        for opening in self._opening.values():
            await opening.close()

    async def _put(self, submission: Submission) -> Accepted | Refused:
        tenant = submission.tenant
        if self._fair and self._in_crowd and tenant not in self._in_crowd:
            return await self._beside.put(submission, weight=submission.size)
        self._in_crowd[tenant] += 1
        try:
            return await self._crowd.put(submission, weight=submission.size)
        finally:
            self._in_crowd[tenant] -= 1
            if not self._in_crowd[tenant]:
                del self._in_crowd[tenant]

    async def _flush(self, group: Sequence[Submission]) -> Flushed[Accepted | Refused]:
        for submission in group:
            self._depth[submission.priority] -= submission.size
        carried = [s.traceparent for s in group if s.traceparent]
        tenants = {submission.tenant for submission in group}
        lent = {lane: opening.lend(tenants) for lane, opening in self._opening.items()}
        try:
            with traces.start("accept", links=carried, requests=len(group)) as span:
                started = time.perf_counter()
                flush = await self._intake.accept(group, list(chain(*lent.values())))
                metrics.observe(metrics.COMMIT, "accept", seconds=time.perf_counter() - started)
        except BaseException:
            for lane, opening in self._opening.items():
                opening.take_back(lent[lane])
            raise
        for lane, opening in self._opening.items():
            made = [batch for batch in flush.batches if batch.run.priority is lane]
            opening.take_back(lent[lane], made, span.traceparent)
        self._count(group, flush.verdicts)
        return flush.verdicts, next(filter(None, (opening.crowded() for opening in self._opening.values())), None)

    def _count(self, group: Sequence[Submission], verdicts: Sequence[Accepted | Refused]) -> None:
        sizes = Counter(submission.priority for submission in group)
        new = Counter(s.priority for s, verdict in zip(group, verdicts, strict=True) if _is_new(verdict))
        for lane, n in sizes.items():
            metrics.child(metrics.FLUSH_SIZE, lane.value).observe(n)
            metrics.count(metrics.ACCEPTED, lane.value, n=new[lane])
            metrics.LANE_DEPTH.labels(lane.value).set(self._depth[lane])

    async def _start(self, ready: Open) -> None:
        try:
            async with asyncio.timeout(_START_WITHIN):
                with traces.start("start run", ready.traceparent, links=()):
                    await self._runs.start(ready.batch.run, start_at=ready.batch.start_at)
        except (TemporalAway, TimeoutError) as error:
            log.warning("lane.start_failed", batch=ready.batch.run.batch, error=type(error).__name__)


def _is_new(verdict: Accepted | Refused) -> bool:
    return isinstance(verdict, Accepted) and not verdict.replayed


def _turns(weight_of: Callable[[str], int] | None) -> Turns[Submission]:
    if weight_of is None:
        return Turns(lambda submission: submission.priority.value)
    return Turns(lambda s: f"{s.priority.value} {s.tenant}", lambda owner: weight_of(owner.split(" ", 1)[1]))
