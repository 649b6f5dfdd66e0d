"""Totals, read from the narrow table `statistic` that settle writes: nothing here ever counts deliveries."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from domain.deliveries import WELL_ENDED, Status, outside
from ledger.database import Database

_SENT = frozenset({Status.SENT}) | WELL_ENDED
_FAILED = frozenset({Status.FAILED, Status.DEAD, Status.EXPIRED, Status.SUPPRESSED})
_LATE = 5.0  # seconds past its time until an open batch is called overdue


@dataclass(frozen=True, slots=True)
class Totals:
    """Deliveries by what has become of them, as of the last look of each run.

    sent: a vendor has it, and nothing worse was heard (SENT, DELIVERED, UNCONFIRMED).
    success: those of them that have ended (DELIVERED, UNCONFIRMED, and SENT where no receipt will come).
    failed: FAILED, DEAD, EXPIRED, SUPPRESSED. CANCELLED is neither, nor is what is still on its way.
    """

    sent: int = 0
    success: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Statistics:
    """The totals of one tenant; `by_status` under the names the outside knows."""

    totals: Totals
    by_status: Mapping[str, int]
    by_channel: Mapping[str, Totals]
    by_provider: Mapping[str, Totals]


@dataclass(frozen=True, slots=True)
class Gauges:
    """What has to be watched, over all tenants: dead letters and the age of the oldest in seconds, by channel."""

    dead_letters: Mapping[str, float] = field(default_factory=dict[str, float])
    oldest_age: Mapping[str, float] = field(default_factory=dict[str, float])
    overdue: int = 0


_TOTALS = """
SELECT channel, provider, status, sum(n)::bigint AS n FROM statistic WHERE tenant_id = :tenant
 GROUP BY channel, provider, status HAVING sum(n) <> 0
"""

# One statement: every row is either still there for a reader, or in the sum.
_FOLD = """
WITH gone AS (
    DELETE FROM statistic s USING (
        SELECT tenant_id, channel, provider, status FROM statistic
         GROUP BY tenant_id, channel, provider, status HAVING count(*) > 1) AS many
     WHERE s.tenant_id = many.tenant_id AND s.channel = many.channel AND s.provider = many.provider
       AND s.status = many.status
    RETURNING s.*
), folded AS (
    INSERT INTO statistic (tenant_id, channel, provider, status, n)
    SELECT tenant_id, channel, provider, status, sum(n) FROM gone
     GROUP BY tenant_id, channel, provider, status HAVING sum(n) <> 0
    RETURNING 1
)
SELECT (SELECT count(*) FROM gone) - (SELECT count(*) FROM folded)
"""

_DEAD = """
SELECT channel, count(*) AS n, extract(epoch FROM now() - min(dead_at))::float8 AS age FROM dead_letter GROUP BY channel
"""
_OVERDUE = """
SELECT count(DISTINCT batch_id) FROM batch_channel
 WHERE done_at IS NULL AND next_look_at < now() - make_interval(secs => :late)
"""


async def of_tenant(db: Database, tenant: str) -> Statistics:
    """What has become of this tenant's deliveries."""
    rows = [(r.channel, r.provider, Status(r.status), r.n) for r in await db.run(_TOTALS, tenant=tenant)]
    by_status: Counter[str] = Counter()
    for _, _, status, n in rows:
        by_status[outside(status)] += n
    return Statistics(
        totals=_totals((status, n) for _, _, status, n in rows),
        by_status=dict(by_status),
        by_channel={
            c: _totals((s, n) for channel, _, s, n in rows if channel == c) for c in sorted({r[0] for r in rows})
        },
        by_provider={
            p: _totals((s, n) for _, provider, s, n in rows if provider == p) for p in sorted({r[1] for r in rows}) if p
        },
    )


async def fold(db: Database) -> int:
    """Sum up rows of the same key into one. Returns how many rows fewer there are."""
    return (await db.run(_FOLD))[0][0]


async def gauges(db: Database) -> Gauges:
    """Depth and age of the dead letters, and open batches that nobody looked at in time."""
    dead = await db.run(_DEAD)
    overdue = (await db.run(_OVERDUE, late=_LATE))[0][0]
    return Gauges({row.channel: row.n for row in dead}, {row.channel: row.age for row in dead}, overdue)


def _totals(rows: Iterable[tuple[Status, int]]) -> Totals:
    counted: Counter[Status] = Counter()
    for status, n in rows:
        counted[status] += n
    return Totals(*(sum(counted[status] for status in kind) for kind in (_SENT, WELL_ENDED, _FAILED)))
