"""Where a notification stands: read from its own rows, found by key, in two statements."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from domain.deliveries import Status, channel_status, outside, overall_status
from domain.ids import DeliveryId
from domain.runs import run_id
from ledger.database import Database
from ledger.sealing import RECIPIENT_ID
from ledger.vault import Keys

_EVENTS = 100  # of one delivery, the newest: endless throttling writes many


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a delivery's history. `old` is None at the start, and equal to `new` for what came too late."""

    at: datetime
    step: str
    old: str | None
    new: str
    provider: str | None
    attempt: int
    message_id: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message to one recipient by one channel, as the outside sees it."""

    id: DeliveryId
    recipient: str
    channel: str
    status: str
    provider: str | None
    attempts: int
    possible_duplicate: bool
    reason: str | None
    updated_at: datetime
    events: tuple[Event, ...] | None  # oldest first; None if not asked for


@dataclass(frozen=True, slots=True)
class Overview:
    """A whole notification, as the outside sees it."""

    id: UUID
    status: str
    channel_statuses: Mapping[str, str]
    counts: Mapping[str, int]  # deliveries by status
    priority: str
    metadata: Mapping[str, Any] | None
    tags: tuple[str, ...]
    created_at: datetime
    send_at: datetime | None
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Standing:
    """An overview with a page of deliveries. `following`: the last of the page, if there are more after it."""

    overview: Overview
    updated_at: datetime
    workflow_ids: tuple[str, ...]
    deliveries: tuple[Delivery, ...]
    following: DeliveryId | None


_HEAD = """
SELECT id, priority, metadata, tags, batch_ids, first_seq, size, send_at, expires_at, created_at,
       coalesce(send_at > now(), false) AS scheduled
  FROM notification WHERE id = :id AND tenant_id = :tenant
"""

_DELIVERIES = """
WITH mine AS MATERIALIZED (
    SELECT batch_id, seq, recipient_id, channel, status, provider, attempt, possible_duplicates, reason, updated_at
      FROM delivery WHERE batch_id = ANY(CAST(:batches AS uuid[])) AND seq >= :first AND seq < :first + :size
), totals AS (
    SELECT jsonb_agg(jsonb_build_array(channel, status, n)) AS totals, max(changed) AS changed
      FROM (SELECT channel, status, count(*) AS n, max(updated_at) AS changed
              FROM mine GROUP BY channel, status) AS each
)
SELECT t.totals, t.changed, page.*
  FROM totals t LEFT JOIN LATERAL (
       SELECT * FROM mine WHERE (batch_id, seq) > (CAST(:after_batch AS uuid), CAST(:after_seq AS int))
        ORDER BY batch_id, seq LIMIT :limit) AS page ON true
 ORDER BY page.batch_id, page.seq
"""

_HISTORY = """
SELECT p.batch_id, p.seq, e.*
  FROM unnest(CAST(:batches AS uuid[]), CAST(:seqs AS int[])) AS p(batch_id, seq) CROSS JOIN LATERAL (
       SELECT id, at, step, old, new, provider, attempt, message_id, reason FROM delivery_event
        WHERE batch_id = p.batch_id AND seq = p.seq ORDER BY id DESC LIMIT :most) AS e
 ORDER BY p.batch_id, p.seq, e.id
"""


async def status(
    db: Database, tenant: str, notification: UUID, *, limit: int, after: DeliveryId | None, events: bool
) -> Standing | None:
    """How a notification stands, with at most `limit` deliveries after `after`; None for another tenant's or none."""
    found = await db.run(_HEAD, id=notification, tenant=tenant)
    if not found:
        return None
    head = found[0]
    after = after or DeliveryId(UUID(int=0), -1)
    rows = await db.run(
        _DELIVERIES,
        batches=head.batch_ids,
        first=head.first_seq,
        size=head.size,
        after_batch=after.batch,
        after_seq=after.seq,
        limit=limit + 1,
    )
    page = [row for row in rows if row.batch_id is not None]
    more, page = len(page) > limit, page[:limit]
    history = await _history(db, page) if events else None
    keys = await db.vault.opening(db.run, [(tenant, row.recipient_id) for row in page])
    return Standing(
        overview=overview(head, rows[0].totals),
        updated_at=rows[0].changed,
        workflow_ids=tuple(run_id(str(batch)) for batch in head.batch_ids),
        deliveries=tuple(_delivery(row, history, tenant, keys) for row in page),
        following=DeliveryId(page[-1].batch_id, page[-1].seq) if more else None,
    )


def overview(head: Any, totals: Iterable[tuple[str, str, int]]) -> Overview:
    """From a row of `notification` with `scheduled`, and its deliveries' number by channel and state."""
    by_channel: dict[str, Counter[Status]] = {}
    for channel, state, n in totals:
        by_channel.setdefault(channel, Counter())[Status(state)] += n
    together = sum(by_channel.values(), Counter[Status]())
    counts: Counter[str] = Counter()
    for state, n in together.items():
        counts[outside(state)] += n
    return Overview(
        id=head.id,
        status=overall_status(together, scheduled=head.scheduled),
        channel_statuses={name: channel_status(by_channel[name]) for name in sorted(by_channel)},
        counts=dict(counts),
        priority=head.priority,
        metadata=head.metadata,
        tags=tuple(head.tags),
        created_at=head.created_at,
        send_at=head.send_at,
        expires_at=head.expires_at,
    )


async def _history(db: Database, page: Sequence[Any]) -> Mapping[DeliveryId, list[Event]]:
    found: dict[DeliveryId, list[Event]] = {}
    batches, seqs = [row.batch_id for row in page], [row.seq for row in page]
    for row in await db.run(_HISTORY, batches=batches, seqs=seqs, most=_EVENTS):
        event = Event(
            at=row.at,
            step=row.step,
            old=outside(Status(row.old)) if row.old else None,
            new=outside(Status(row.new)),
            provider=row.provider,
            attempt=row.attempt,
            message_id=row.message_id,
            reason=row.reason,
        )
        found.setdefault(DeliveryId(row.batch_id, row.seq), []).append(event)
    return found


def _delivery(row: Any, history: Mapping[DeliveryId, list[Event]] | None, tenant: str, keys: Keys) -> Delivery:
    delivery = DeliveryId(row.batch_id, row.seq)
    return Delivery(
        id=delivery,
        recipient=keys.open(tenant, RECIPIENT_ID, row.recipient_id),
        channel=row.channel,
        status=outside(Status(row.status)),
        provider=row.provider,
        attempts=row.attempt,
        possible_duplicate=row.possible_duplicates > 0,
        reason=row.reason,
        updated_at=row.updated_at,
        events=None if history is None else tuple(history.get(delivery, ())),
    )
