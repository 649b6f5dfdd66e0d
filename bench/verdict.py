"""Holds what a load was promised against what the vendors took: nothing lost, every extra one counted."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import orjson

from ledger.database import Database


@dataclass(frozen=True, slots=True)
class Verdict:
    """Numbers of deliveries. `uncounted`: extras whose ledger row does not say `possible_duplicate`."""

    accepted: int
    lost: int
    extra: int
    uncounted: int
    unfinished: int

    @property
    def clean(self) -> bool:
        """What was promised was kept."""
        return not (self.lost or self.uncounted or self.unfinished)


_ROWS = """
SELECT d.batch_id, d.seq, d.status, d.possible_duplicates
  FROM notification n JOIN delivery d ON d.batch_id = ANY(n.batch_ids) AND d.notification_id = n.id
 WHERE n.id = ANY(CAST(:ids AS uuid[]))
"""
_ENDED = {"delivered", "sent_final", "unconfirmed"}


def accepted_ids(file: Path) -> list[UUID]:
    """The ids a load was given with its 202s, from the file it kept."""
    return [UUID(line.split()[1]) for line in file.read_text().splitlines()]


def taken(log: Path) -> Counter[str]:
    """How many messages the vendors took of each delivery, from the sandbox's own log."""
    lines = log.read_bytes().splitlines() if log.exists() else []
    keys = [orjson.loads(line).get("key") for line in lines]
    keys = [key.replace("_", ".") for key in keys if key]  # SES takes no dots in a tag
    return Counter(key.rpartition(".")[0] for key in keys)


async def judge(db: Database, accepted: Iterable[UUID], log: Path) -> Verdict:
    """Every accepted notification against the vendors' log. One that the ledger does not know is lost."""
    ids = list(accepted)
    rows = [row for start in range(0, len(ids), 5000) for row in await db.run(_ROWS, ids=ids[start : start + 5000])]
    count = taken(log)
    known = await db.run("SELECT count(*) FROM notification WHERE id = ANY(CAST(:ids AS uuid[]))", ids=ids)
    lost = len(ids) - known[0][0]
    extra = uncounted = unfinished = 0
    for row in rows:
        times = count[f"{row.batch_id}.{row.seq}"]
        lost += times == 0
        extra += max(0, times - 1)
        uncounted += max(0, times - 1 - row.possible_duplicates)
        unfinished += row.status not in _ENDED
    return Verdict(len(ids), lost, extra, uncounted, unfinished)
