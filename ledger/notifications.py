"""Where notifications stand: read from their own rows, found by key, many of one tenant in one statement."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from domain.deliveries import Status, channel_status, outside, overall_status
from domain.ids import DeliveryId
from domain.runs import run_id
from ledger.database import NAMING, Database
from ledger.sealing import RECIPIENT_ID
from ledger.vault import Keys

_EVENTS = 100  # of one delivery, the newest: endless throttling writes many
_START = DeliveryId(UUID(int=0), -1)  # before every delivery


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


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody wants to see: the deliveries after one of them, or the first; `events`: with their histories."""

    id: UUID
    after: DeliveryId | None = None
    events: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """What was read for one who asked, not yet put together: what is wrong in it is this one's fault alone."""

    tenant: str
    rows: Sequence[Any]
    limit: int
    keys: Keys
    history: Mapping[DeliveryId, list[Event]] | None  # None if not asked for

    def standing(self) -> Standing:
        """How the notification stands."""
        head = self.rows[0]
        page = [row for row in self.rows if row.batch_id is not None]
        more, page = len(page) > self.limit, page[: self.limit]
        return Standing(
            overview=overview(head, head.totals),
            updated_at=head.changed,
            workflow_ids=tuple(run_id(str(batch)) for batch in head.batch_ids),
            deliveries=tuple(_delivery(row, self.history, self.tenant, self.keys) for row in page),
            following=DeliveryId(page[-1].batch_id, page[-1].seq) if more else None,
        )


# The deliveries of `h`, a row of `notification`: totals of all, and those after the place in `a`. OFFSET 0: by the key
# of each batch, whatever the planner thinks of their number.
_DELIVERIES = """
WITH mine AS MATERIALIZED (
    SELECT found.* FROM unnest(h.batch_ids) AS b(id) CROSS JOIN LATERAL (
           SELECT batch_id, seq, recipient_id, channel, status, provider, attempt, possible_duplicates, reason,
                  updated_at
             FROM delivery WHERE batch_id = b.id AND seq >= h.first_seq AND seq < h.first_seq + h.size
           OFFSET 0) AS found
), totals AS (
    SELECT jsonb_agg(jsonb_build_array(channel, status, n)) AS totals, max(changed) AS changed
      FROM (SELECT channel, status, count(*) AS n, max(updated_at) AS changed
              FROM mine GROUP BY channel, status) AS each
)
SELECT t.totals, t.changed, page.*
  FROM totals t LEFT JOIN LATERAL (
       SELECT *, row_number() OVER (ORDER BY batch_id, seq) AS nth FROM mine
        WHERE (batch_id, seq) > (a.after_batch, a.after_seq)
        ORDER BY batch_id, seq LIMIT :limit) AS page ON true
"""

# LIMIT 1: each is looked up by its key, whatever the planner thinks of their number. Arrays come through a SELECT,
# which hides their lengths: no plan is thought better for just this number, so one is kept, as planning takes longer
# than reading. Metadata, which may be long, comes with the first delivery only.
_STATUS = f"""
SELECT a.n, h.id, h.priority, h.tags, h.batch_ids, h.send_at, h.expires_at, h.created_at, h.scheduled,
       CASE WHEN coalesce(d.nth, 1) = 1 THEN h.metadata END AS metadata, d.*
  FROM {NAMING} CROSS JOIN unnest(
       (SELECT CAST(:ids AS uuid[])), (SELECT CAST(:after_batches AS uuid[])), (SELECT CAST(:after_seqs AS int[]))
       ) WITH ORDINALITY AS a(id, after_batch, after_seq, n)
 CROSS JOIN LATERAL (
       SELECT id, priority, metadata, tags, batch_ids, first_seq, size, send_at, expires_at, created_at,
              coalesce(send_at > now(), false) AS scheduled
         FROM notification WHERE id = a.id AND tenant_id = scope.tenant LIMIT 1) AS h
 CROSS JOIN LATERAL ({_DELIVERIES}) AS d
 ORDER BY a.n, d.batch_id, d.seq
"""  # noqa: S608 - constants

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
    (found,) = await statuses(db, tenant, [Asked(notification, after, events)], limit=limit)
    return found.standing() if found else None


async def statuses(db: Database, tenant: str, asked: Sequence[Asked], *, limit: int) -> Sequence[Found | None]:
    """For each in order what was found, with at most `limit` deliveries; None for another tenant's or none.

    Raises LedgerUnavailable.
    """
    distinct = list(dict.fromkeys(asked))
    after = [one.after or _START for one in distinct]
    rows = await db.run_naming(
        _STATUS,
        tenant=tenant,
        ids=[one.id for one in distinct],
        after_batches=[place.batch for place in after],
        after_seqs=[place.seq for place in after],
        limit=limit + 1,
    )
    of: list[list[Any]] = [[] for _ in distinct]
    for row in rows:
        of[row.n - 1].append(row)
    pairs = [(one, found) for one, found in zip(distinct, of, strict=True) if found]
    pages = [row for one, found in pairs if one.events for row in found[:limit] if row.batch_id]
    history = await _history(db, pages)
    keys = await db.vault.opening(db.run, [(tenant, row.recipient_id) for row in rows])
    read = {one: Found(tenant, found, limit, keys, history if one.events else None) for one, found in pairs}
    return [read.get(one) for one in asked]


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
    if not page:
        return found
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
