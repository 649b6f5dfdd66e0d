"""Holds what a load was promised against the ledger and what the vendors took: nothing lost, every extra counted."""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from domain.ids import DeliveryId
from ledger.checking.checker import check
from ledger.checking.outside import Outside, Takes, accepted_ids
from ledger.checking.reading import Unfinished, unfinished
from ledger.checking.report import Invariant, Report
from ledger.database import Database, LedgerUnavailable

_LOOK_EVERY = 0.5  # seconds

# A delivery nobody took is lost, unless it was not to be sent: unconfirmed without a take was cancelled, or had
# expired, while a doubt was open. That a vendor's yes is missing from its log is the checker's own finding.
_EXCUSED = frozenset({"cancelled", "expired", "suppressed", "unconfirmed"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """Numbers, and the checker's report behind them.

    accepted: notifications that got a 202. lost: those the ledger does not know, and deliveries no vendor took,
    whatever the reason, unless cancelled or expired. counted, uncounted: second and further messages of a delivery.
    """

    accepted: int
    lost: int
    counted: int
    uncounted: int
    unfinished: Unfinished
    report: Report

    @property
    def clean(self) -> bool:
        """What was promised was kept, and nothing is left to do."""
        return self.report.clean and not (self.lost or self.uncounted or self.unfinished.anything)


async def judge(
    db: Database,
    promised: Path,
    log: Path,
    cancelled: frozenset[DeliveryId] = frozenset(),
    left: Unfinished | None = None,
) -> Verdict:
    """The whole ledger against a load's file of accepted ids and the sandbox's log.

    `cancelled`: deliveries the API answered to be so. `left`: what is left to do, if that is known.
    """
    with Takes(log) as takes:
        report = await check(db, Outside(accepted_ids(promised), cancelled, takes))
    promises = report.tallies.get(Invariant.ACCEPTED)
    untaken = sum(n for status, n in report.untaken.items() if status not in _EXCUSED)
    uncounted = report.wrong(Invariant.ONCE)
    return Verdict(
        accepted=promises.checked if promises else 0,
        lost=untaken + report.wrong(Invariant.ACCEPTED),
        counted=report.extra - uncounted,
        uncounted=uncounted,
        unfinished=left or await unfinished(db),
        report=report,
    )


async def settled(db: Database, promised: Path, log: Path, within: float = 75) -> Verdict:
    """The verdict as soon as nothing is left to do, or after so many seconds."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        with suppress(LedgerUnavailable):
            if not (await unfinished(db)).anything:
                break
        await asyncio.sleep(_LOOK_EVERY)
    return await judge(db, promised, log)
