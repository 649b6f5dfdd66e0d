"""What the ledger's checker, the vendors' log and the callers' notes say of a run, in the few numbers that count."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from bench.chaos.crowd import Harvest
from bench.chaos.recovery import Sent
from bench.chaos.site import Site
from ledger.checking.checker import check
from ledger.checking.outside import Outside, Takes, accepted_ids
from ledger.checking.reading import Unfinished
from ledger.checking.report import Invariant, Report

# A delivery nobody took is lost, unless it was not to be sent: unconfirmed without a take was cancelled, or had
# expired, while a doubt was open. That a vendor's yes is missing from its log is the checker's own finding.
_EXCUSED = frozenset({"cancelled", "expired", "suppressed", "unconfirmed"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """Numbers of deliveries, and the whole report behind them. `lost` includes what was never brought to an end."""

    lost: int
    counted: int
    uncounted: int
    unfinished: Unfinished
    report: Report

    @property
    def clean(self) -> bool:
        """What was promised was kept."""
        left = self.unfinished.open or self.unfinished.dead or self.unfinished.looks
        return self.report.clean and not (self.lost or self.uncounted or left)


async def judge(site: Site, accepted: Path, harvest: Harvest, left: Unfinished) -> Verdict:
    """Hold everything against everything."""
    with Takes(site.vendor_log) as takes:
        outside = Outside(accepted_ids(accepted), frozenset(harvest.cancelled), takes)
        report = await check(site.db, outside)
    untaken = sum(n for status, n in report.untaken.items() if status not in _EXCUSED)
    uncounted = report.wrong(Invariant.ONCE)
    lost = untaken + report.wrong(Invariant.ACCEPTED)
    return Verdict(lost, report.extra - uncounted, uncounted, left, report)


def sends(log: Path) -> Sequence[Sent]:
    """The vendors' log as recovery is measured from it: the text of each message names its request."""
    lines = map(orjson.loads, log.read_bytes().splitlines())
    return [Sent(int(line["text"].rpartition(" ")[2]), line["vendor"], line["at"]) for line in lines]
