"""The way back: receipts of all webhook calls that arrived together, in one commit, then a hint to the runs."""

from collections.abc import Sequence

from domain.receipts import Receipt
from ledger.database import Database
from ledger.grouping import Flushed, Group
from ledger.receipts import Heard, hear
from observe import metrics
from runs import Runs

_CAP = 2000  # receipts in one commit
_BOUND = 50_000  # receipts waiting in memory; then 503, and the vendor tries again
_PACE = 0.03  # seconds


class Hearing:
    """One per API process."""

    def __init__(self, db: Database, runs: Runs) -> None:
        self._db, self._runs = db, runs
        self._group = Group[Sequence[Receipt], None](self._flush, cap=_CAP, bound=_BOUND, pace=_PACE)

    async def hear(self, receipts: Sequence[Receipt]) -> None:
        """Returns once they are committed. Raises Full, LedgerUnavailable."""
        if receipts:
            await self._group.put(receipts, weight=len(receipts))

    async def close(self) -> None:
        """Wait for what is under way."""
        await self._group.close()

    async def _flush(self, calls: Sequence[Sequence[Receipt]]) -> Flushed[None]:
        receipts = [receipt for call in calls for receipt in call]
        heard = await hear(self._db, receipts)
        _count(receipts, heard)
        return [None] * len(calls), self._runs.wake(heard.wake)


def _count(receipts: Sequence[Receipt], heard: Heard) -> None:
    """By provider and report as they came; what became of them is known for the group only."""
    seen: dict[tuple[str, str], int] = {}
    for receipt in receipts:
        name = (receipt.provider, receipt.report.value)
        seen[name] = seen.get(name, 0) + 1
    for (provider, report), n in seen.items():
        metrics.count(metrics.RECEIPTS, provider, report, "matched", n=n)
    metrics.count(metrics.RECEIPTS, "all", "all", "repeated", n=heard.repeated)
    metrics.count(metrics.RECEIPTS, "all", "all", "parked", n=heard.parked)
