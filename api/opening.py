"""Batches of a lane that are committed and not started yet: what is accepted meanwhile goes into the same run.

A run costs Temporal as much as thirty messages cost all of Clarion, and a caller waits for the commit only. So under
load commits are many and small, runs are few and large. A process that dies here leaves batches that the sweep starts.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from ledger.batching import Batch

_CROWD = 32  # deliveries from which a batch stays open for its full time
_STARTS = 32  # runs being started, from which on the lane waits
_BRISK = 0.02  # seconds in which a run is started where little is in its way: mostly 5 to 15 ms, in a flood 50
_TIMES = 5.0  # a batch stays open for so many times what starts take longer than that; with 15 all wait for it


@dataclass(frozen=True, slots=True)
class Open:
    """A batch whose run has not been started. `traceparent`: of a commit of its that is traced, if one is."""

    batch: Batch
    began: float  # by the loop's clock
    traceparent: str | None = None


class Opening:
    """Of one lane."""

    def __init__(self, start: Callable[[Open], Coroutine[Any, Any, None]], *, keep: float, cap: int) -> None:
        """`start`: begin its run. `keep`: seconds under load, from its first commit. `cap`: deliveries it may have."""
        self._start, self._keep, self._cap = start, keep, cap
        self._open: dict[str, Open] = {}
        self._lent: set[str] = set()  # ids of batches
        self._timer: asyncio.TimerHandle | None = None
        self._starting: set[asyncio.Task[None]] = set()
        self._took: deque[float] = deque([0.0], maxlen=8)  # seconds, of the last starts

    def lend(self, tenants: AbstractSet[str]) -> Sequence[Batch]:
        """Those a flush of these tenants may add to. None of them is started, or lent again, before it is back."""
        free = [each.batch for each in self._free() if _is_of(each.batch.run.tenant, tenants)]
        self._lent |= {batch.run.batch for batch in free}
        return free

    def take_back(self, lent: Sequence[Batch], batches: Sequence[Batch] = (), traceparent: str | None = None) -> None:
        """The flush is over that these were lent to; and those it made or added to."""
        self._lent -= {batch.run.batch for batch in lent}
        now = asyncio.get_running_loop().time()
        for batch in batches:
            known = self._open.get(batch.run.batch) or Open(batch, now)
            self._open[batch.run.batch] = Open(batch, known.began, known.traceparent or traceparent)
        self._see_to_it()

    def crowded(self) -> Awaitable[None] | None:
        """What to wait for before more is committed, when Temporal does not keep up; None when it does."""
        return self._one_started() if len(self._starting) >= _STARTS else None

    async def close(self) -> None:
        """Start what is open, and wait for what is being started."""
        for each in self._open.values():
            self._begin(each)
        self._open.clear()
        while self._starting:
            await asyncio.wait(self._starting)

    async def _one_started(self) -> None:
        await asyncio.wait(self._starting, return_when=asyncio.FIRST_COMPLETED)

    def _free(self) -> Sequence[Open]:
        return [each for id, each in self._open.items() if id not in self._lent]

    def _see_to_it(self) -> None:
        """Let the next start be made when its time has come; never here: callers are to hear of their commit first."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if free := self._free():
            self._timer = asyncio.get_running_loop().call_at(min(map(self._end, free)), self._on_time)

    def _on_time(self) -> None:
        now = asyncio.get_running_loop().time()
        for each in [each for each in self._free() if self._end(each) <= now]:
            del self._open[each.batch.run.batch]
            self._begin(each)
        self._see_to_it()

    def _end(self, each: Open) -> float:
        """By the loop's clock. A lone message does not wait for company that does not come.

        Unless starts take long: of many small runs all would wait for each other, at every step.
        """
        if each.batch.start_at is not None or each.batch.size >= self._cap:
            return each.began
        crowded = self._keep * (each.batch.size - 1) / _CROWD
        pressed = _TIMES * (fmean(self._took) - _BRISK)
        return each.began + min(self._keep, max(crowded, pressed))

    def _begin(self, ready: Open) -> None:
        task = asyncio.create_task(self._timed(ready))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _timed(self, ready: Open) -> None:
        began = time.perf_counter()
        await self._start(ready)
        self._took.append(time.perf_counter() - began)


def _is_of(tenant: str | None, tenants: AbstractSet[str]) -> bool:
    """Whether a batch of this tenant, or of several, is of use to a flush of these."""
    return len(tenants) > 1 if tenant is None else tenant in tenants
