"""Deliberate defects, each an exact change of some file's text, and by what the fault suite has to find it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class TextNotFound(Exception):
    """The text a defect replaces is not there, or not once: somebody changed it, and the defect has to follow."""


@dataclass(frozen=True, slots=True)
class Change:
    """In this file, what stands there once, and what shall stand there instead."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Defect:
    """What is broken, the load and faults it is tried with, and whether a report shows that just this was found."""

    changes: Sequence[Change]
    seconds: float
    settle: float
    kinds: Sequence[str]
    found: Callable[[Mapping[str, Any]], bool]
    sign: str  # what `found` asks for, for people


def apply(defect: Defect, tree: Path) -> None:
    """Break the code in this folder. Raises TextNotFound."""
    for change in defect.changes:
        file = tree / change.file
        text = file.read_text()
        if text.count(change.old) != 1:
            raise TextNotFound(f"{change.file}: found {text.count(change.old)} times, not once: {change.old!r}")
        file.write_text(text.replace(change.old, change.new))


def wrong(report: Mapping[str, Any], invariant: str) -> int:
    """How often a report says that this invariant is broken."""
    return sum(one["wrong"] for one in report["ledger"]["invariants"] if one["name"] == invariant)


# The vendor is called for rows that are only looked at; they are claimed when the answer is there, just before it is
# recorded. A worker that dies in between, or a call that takes long, sends again under the same key, uncounted.
_LOOKED_AT = '''
    rows = await db.run(
        """SELECT batch_id, seq, key_no + 1 AS key_no, attempt + 1 AS attempt, notification_id, address,
                  extract(epoch FROM expires_at - now())::float8 AS left_s, doubts > 0 AS again
             FROM delivery WHERE batch_id = :batch AND channel = :channel AND provider = :provider
              AND status = 'queued' AND due_at <= now() AND (expires_at IS NULL OR expires_at > now())
              AND tries < :tries ORDER BY seq LIMIT :chunk""",
        **leg.values(), tries=leg.channel.tries, chunk=chunk)
'''
_CLAIMED_LATE = '''
_CLAIM_LATE = transition(
    Step.CLAIM,
    where="""(d.batch_id, d.seq) IN (SELECT * FROM unnest(CAST(:batch AS uuid[]), CAST(:seq AS int[])))
             AND d.status = 'queued'""",
    change="""status = 'sending', attempt = attempt + 1, key_no = key_no + 1, tries = tries + 1,
              claimed_by = gen_random_uuid(), claimed_at = now(), reason = NULL,
              possible_duplicates = possible_duplicates + (doubts > 0)::int""",
    returning="SELECT 1 FROM moved",
)


async def record('''
_RECORDS = "    rows = await db.run(\n        _RECORD,\n"
_CLAIM_FIRST = """    keys = [a.claim.key.delivery for a in answers]
    await db.run(_CLAIM_LATE, batch=[key.batch for key in keys], seq=[key.seq for key in keys])
"""

DEFECTS: Mapping[str, Defect] = {
    "record-before-claim": Defect(
        changes=(
            Change(
                "ledger/deliveries.py",
                "    rows = await db.run(_CLAIM, **leg.values(), tries=leg.channel.tries, chunk=chunk)\n",
                _LOOKED_AT,
            ),
            Change("ledger/deliveries.py", "\nasync def record(", _CLAIMED_LATE),
            Change("ledger/deliveries.py", _RECORDS, _CLAIM_FIRST + _RECORDS),
        ),
        seconds=35,
        settle=30,
        kinds=("kill-worker", "vendor-slow", "vendor-hang-after"),
        found=lambda report: report["duplicates_uncounted"] > 0,
        sign="duplicates nobody counted",
    ),
    "unguarded-transition": Defect(
        changes=(
            Change(
                "ledger/deliveries.py",
                "    where=\"d.attempt = g.attempt AND d.status IN ('sending', 'in_doubt')\",\n",
                '    where="true",\n',
            ),
        ),
        seconds=30,
        settle=30,
        kinds=("receipts-early", "receipts-repeated", "stall-worker"),
        found=lambda report: wrong(report, "path") > 0,
        sign="histories that leave the legal path",
    ),
    "unguarded-cancel": Defect(
        changes=(
            Change(
                "ledger/stopping.py", "    where=f\"{_MINE} AND d.status = 'queued'\",\n", '    where=f"{_MINE}",\n'
            ),
        ),
        seconds=30,
        settle=30,
        kinds=("vendor-slow", "stall-worker"),
        found=lambda report: wrong(report, "never") > 0,
        sign="messages that were taken though they are cancelled",
    ),
    # A start that fails is only logged, as it should be; but the sweep is told to look in a century.
    "swallowed-start": Defect(
        changes=(
            Change(
                "ledger/filing.py",
                "greatest(now(), start) + make_interval(secs => :grace)\n",
                "greatest(now(), start) + make_interval(secs => :grace) * 600000000\n",
            ),
        ),
        seconds=30,
        settle=30,
        kinds=("temporal-database-lost", "kill-api", "vendor-errors"),
        found=lambda report: wrong(report, "open") > 0 and report["lost"] > 0,
        sign="open deliveries that nobody will look at, and that no vendor has taken",
    ),
}
