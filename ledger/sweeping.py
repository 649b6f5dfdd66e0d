"""What maintenance finds in the ledger: runs that are late, and rows that have had their time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from domain.priorities import Priority
from domain.runs import SHARED, Part, Run
from ledger.database import Database

AGAIN = 30.0  # seconds until a run the sweep has called is called again
HEARD = 3.0  # seconds until every worker has read how providers stand: who looks before that waits for a minute again
PRUNE_AT_ONCE = 5000  # rows of a table

# Covers an unstarted batch, a lost start or signal, an operator's retry, a run that Temporal lost or somebody ended.
_OVERDUE = """
UPDATE batch_channel c SET next_look_at = now() + make_interval(secs => :again)
  FROM (SELECT batch_id, channel FROM batch_channel
         WHERE done_at IS NULL AND next_look_at < now() ORDER BY next_look_at LIMIT :most
           FOR UPDATE SKIP LOCKED) AS late
 WHERE c.batch_id = late.batch_id AND c.channel = late.channel
RETURNING c.batch_id, c.channel, c.tally <> '{}' AS seen
"""

_RELEASE = """
UPDATE batch_channel c SET next_look_at = least(c.next_look_at, now() + make_interval(secs => :heard))
  FROM (SELECT batch_id, channel FROM batch_channel WHERE done_at IS NULL AND held AND channel = :channel
           FOR UPDATE SKIP LOCKED) AS waiting
 WHERE c.batch_id = waiting.batch_id AND c.channel = waiting.channel
RETURNING 1
"""

_RUNS = """
SELECT b.id, b.priority, b.tenant_id, b.start_at, c.channel,
       (SELECT count(*) FROM delivery d WHERE d.batch_id = b.id AND d.channel = c.channel) AS size
  FROM batch b JOIN batch_channel c ON c.batch_id = b.id
 WHERE b.id = ANY(CAST(:ids AS uuid[])) ORDER BY b.id, c.channel
"""

_PRUNE_KEYS = """
DELETE FROM idempotency_key k USING (
    SELECT tenant_id, key FROM idempotency_key WHERE expires_at < now() LIMIT :most) AS old
 WHERE k.tenant_id = old.tenant_id AND k.key = old.key AND k.expires_at < now() RETURNING 1
"""
_PRUNE_RECEIPTS = """
DELETE FROM receipt r USING (
    SELECT provider, event_id FROM receipt WHERE received_at < now() - make_interval(days => :days) LIMIT :most) AS old
 WHERE r.provider = old.provider AND r.event_id = old.event_id RETURNING 1
"""
_PRUNE_REFS = """
DELETE FROM send_ref r USING (
    SELECT provider, message_id FROM send_ref
     WHERE created_at < now() - make_interval(days => :days) LIMIT :most) AS old
 WHERE r.provider = old.provider AND r.message_id = old.message_id RETURNING 1
"""


@dataclass(frozen=True, slots=True)
class Late:
    """A run nobody seems to be carrying, and the channels it has looked at and is late for.

    It need not be told of others: a run that is there and has not looked yet will. Behind a backlog many are.
    """

    run: Run
    start_at: datetime | None
    channels: tuple[str, ...]


async def overdue(db: Database, most: int = 500) -> list[Late]:
    """Runs whose time to look has passed. They are put off a little, so that each is called once."""
    rows = await db.run(_OVERDUE, again=AGAIN, most=most)
    seen: dict[UUID, list[str]] = {row.batch_id: [] for row in rows}
    for row in rows:
        if row.seen:
            seen[row.batch_id].append(row.channel)
    found = await _runs(db, list(seen))
    return [Late(run, start_at, tuple(sorted(seen[UUID(run.batch)]))) for run, start_at in found]


async def release(db: Database, channel: str) -> int:
    """Let the runs that wait for a provider of this channel be called by the sweeps in a moment. Returns how many."""
    return len(await db.run(_RELEASE, channel=channel, heard=HEARD))


async def runs_of(db: Database, batches: Sequence[UUID]) -> list[Run]:
    """The runs that carry these batches, as they would be started now."""
    return [run for run, _ in await _runs(db, batches)]


async def prune(db: Database, receipt_days: int) -> dict[str, int]:
    """Delete idempotency keys past their life, receipts and references past their use: one portion each."""
    keys = await db.run(_PRUNE_KEYS, most=PRUNE_AT_ONCE)
    receipts = await db.run(_PRUNE_RECEIPTS, most=PRUNE_AT_ONCE, days=receipt_days)
    refs = await db.run(_PRUNE_REFS, most=PRUNE_AT_ONCE, days=receipt_days)
    return {"idempotency_keys": len(keys), "receipts": len(receipts), "send_refs": len(refs)}


async def _runs(db: Database, batches: Sequence[UUID]) -> list[tuple[Run, datetime | None]]:
    if not batches:
        return []
    by_batch: dict[UUID, list[Any]] = {}
    for row in await db.run(_RUNS, ids=list(batches)):
        by_batch.setdefault(row.id, []).append(row)
    return [(_run(rows), rows[0].start_at) for rows in by_batch.values()]


def _run(rows: Sequence[Any]) -> Run:
    first = rows[0]
    parts = [Part(row.channel, row.size) for row in rows]
    return Run(str(first.id), Priority(first.priority), parts, first.tenant_id, first.tenant_id or SHARED)
