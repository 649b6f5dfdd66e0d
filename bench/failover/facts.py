"""What happened in a case, as the ledger tells it: every claim, and every change of the vendor's breaker."""

from dataclasses import dataclass

from bench.failover.cases import VENDOR
from ledger.database import Database


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to one vendor call, committed before the call. Times are seconds since 1970."""

    at: float
    provider: str
    message: str
    priority: str


@dataclass(frozen=True, slots=True)
class Change:
    """The vendor's breaker changed its state. `local`: in one process alone, which could not ask Redis in time."""

    at: float
    after: str
    reason: str
    local: bool = False


_CLAIMS = """
SELECT extract(epoch FROM e.at)::float8 AS at, e.provider, e.batch_id || '.' || e.seq AS message, b.priority
  FROM delivery_event e JOIN batch b ON b.id = e.batch_id
 WHERE e.step IN ('claim', 'resume') ORDER BY e.at
"""
_CHANGES = """
SELECT extract(epoch FROM at)::float8 AS at, after, reason, local
  FROM provider_event WHERE provider = :provider AND kind = 'breaker' ORDER BY at
"""
_DUPLICATES = "SELECT coalesce(sum(possible_duplicates), 0)::int AS n FROM delivery"
_LATELY = """
SELECT count(*) FILTER (WHERE provider = :provider) AS theirs, count(*) AS n
  FROM delivery_event WHERE step IN ('claim', 'resume') AND at > now() - make_interval(secs => :seconds)
"""


async def claims(db: Database) -> list[Claim]:
    """All there are, in order."""
    return [Claim(*row) for row in await db.run(_CLAIMS)]


async def changes(db: Database) -> list[Change]:
    """Of the vendor that dies, in order."""
    return [Change(*row) for row in await db.run(_CHANGES, provider=VENDOR)]


async def possible_duplicates(db: Database) -> int:
    """Sends that the ledger counts as perhaps one too many."""
    return (await db.run(_DUPLICATES))[0].n


async def share_of_late(db: Database, seconds: float) -> float:
    """The vendor's share of the claims in the last seconds."""
    row = (await db.run(_LATELY, provider=VENDOR, seconds=seconds))[0]
    return row.theirs / row.n if row.n else 0.0
