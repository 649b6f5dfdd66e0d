"""Which dead letters there are: the choice by filter, a page of them, their number."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

from domain.ids import DeliveryId
from ledger.database import Database
from ledger.sealing import RECIPIENT_ID


@dataclass(frozen=True, slots=True)
class Which:
    """Which dead letters are meant; what is not said is no condition. `since` <= time of death < `until`."""

    tenant: str | None = None
    batch: UUID | None = None
    seqs: Sequence[int] | None = None
    channel: str | None = None
    provider: str | None = None
    reason: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter. `attempts`: claims made in all; `dead_at`: by the database's clock."""

    id: DeliveryId
    tenant: str
    notification: UUID
    recipient: str
    channel: str
    provider: str | None
    reason: str | None
    attempts: int
    possible_duplicate: bool
    dead_at: datetime


WHICH = """
      (CAST(:tenant AS text) IS NULL OR x.tenant_id = :tenant)
  AND (CAST(:batch AS uuid) IS NULL OR x.batch_id = :batch)
  AND (CAST(:seqs AS int[]) IS NULL OR x.seq = ANY(:seqs))
  AND (CAST(:channel AS text) IS NULL OR x.channel = :channel)
  AND (CAST(:provider AS text) IS NULL OR x.provider = :provider)
  AND (CAST(:reason AS text) IS NULL OR x.reason = :reason)
  AND (CAST(:since AS timestamptz) IS NULL OR x.dead_at >= :since)
  AND (CAST(:until AS timestamptz) IS NULL OR x.dead_at < :until)
"""

_LIST = f"""
SELECT x.*, d.notification_id, d.recipient_id, d.attempt, d.possible_duplicates > 0 AS possible_duplicate
  FROM (SELECT x.batch_id, x.seq, x.tenant_id, x.channel, x.provider, x.reason, x.dead_at FROM dead_letter x
         WHERE {WHICH}
           AND (CAST(:after_at AS timestamptz) IS NULL
                OR (x.dead_at, x.batch_id, x.seq) < (:after_at, CAST(:after_batch AS uuid), CAST(:after_seq AS int)))
         ORDER BY x.dead_at DESC, x.batch_id DESC, x.seq DESC LIMIT :limit) AS x
  JOIN delivery d ON d.batch_id = x.batch_id AND d.seq = x.seq
 ORDER BY x.dead_at DESC, x.batch_id DESC, x.seq DESC
"""  # noqa: S608 - built from constants

_COUNT = f"SELECT count(*) FROM dead_letter x WHERE {WHICH}"  # noqa: S608 - built from constants


async def listed(db: Database, which: Which, limit: int, after: tuple[datetime, DeliveryId] | None) -> list[Letter]:
    """At most `limit` dead letters, newest first, after the one whose time of death and id are given."""
    at, last = after or (None, None)
    place = {"after_at": at, "after_batch": last.batch if last else None, "after_seq": last.seq if last else None}
    rows = await db.run(_LIST, **asdict(which), **place, limit=limit)
    keys = await db.vault.opening(db.run, [(row.tenant_id, row.recipient_id) for row in rows])
    return [
        Letter(
            id=DeliveryId(row.batch_id, row.seq),
            tenant=row.tenant_id,
            notification=row.notification_id,
            recipient=keys.open(row.tenant_id, RECIPIENT_ID, row.recipient_id),
            channel=row.channel,
            provider=row.provider,
            reason=row.reason,
            attempts=row.attempt,
            possible_duplicate=row.possible_duplicate,
            dead_at=row.dead_at,
        )
        for row in rows
    ]


async def count(db: Database, which: Which) -> int:
    """How many are meant."""
    return (await db.run(_COUNT, **asdict(which)))[0][0]
