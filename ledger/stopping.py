"""What a sender may still do to a notification under way: cancel it, or choose another time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from domain.deliveries import Status, Step, outside
from domain.ids import DeliveryId
from domain.submissions import Refused
from ledger.database import Database, execute, repeated
from ledger.transition import transition


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Which deliveries nobody will ever send, and which were too late, with their status.

    `wake`: the runs that have to look again, as (batch, channel).
    """

    cancelled: tuple[DeliveryId, ...]
    too_late: Mapping[DeliveryId, str]
    wake: tuple[tuple[UUID, str], ...]


@dataclass(frozen=True, slots=True)
class Rescheduled:
    """How many deliveries wait for the new time, and how many had been claimed or ended before."""

    moved: int
    too_late: int
    wake: tuple[tuple[UUID, str], ...]


_HEAD = """
SELECT batch_ids, first_seq, size, expires_at FROM notification WHERE id = :id AND tenant_id = :tenant
"""

_MINE = "d.batch_id = ANY(CAST(:batches AS uuid[])) AND d.seq >= :first AND d.seq < :first + :size"

# With doubts something may have gone out: then nothing more is sent, but nobody may call it cancelled.
_CANCEL = transition(
    Step.CANCEL,
    where=f"{_MINE} AND d.status = 'queued'",
    change="status = CASE WHEN d.doubts = 0 THEN 'cancelled' ELSE 'unconfirmed' END, reason = 'cancelled'",
    reopens="true",
    returning="SELECT batch_id, channel FROM moved",
)

_STATUSES = f"SELECT d.batch_id, d.seq, d.status FROM delivery d WHERE {_MINE} ORDER BY d.batch_id, d.seq"  # noqa: S608

# Not a transition: no state changes. The lock order is the same: deliveries, batch_channel, the rest.
_RESCHEDULE = f"""
WITH locked AS MATERIALIZED (
    SELECT d.batch_id, d.seq FROM delivery d
     WHERE {_MINE} AND d.status = 'queued' AND d.attempt = 0
     ORDER BY d.batch_id, d.seq FOR UPDATE
), moved AS (
    UPDATE delivery d SET due_at = greatest(now(), :send_at), updated_at = now(),
           give_up_at = d.give_up_at + (greatest(now(), :send_at) - d.due_at)
      FROM locked l WHERE d.batch_id = l.batch_id AND d.seq = l.seq
    RETURNING d.batch_id, d.channel
), channels AS MATERIALIZED (
    SELECT c.batch_id, c.channel FROM batch_channel c
     WHERE (c.batch_id, c.channel) IN (SELECT batch_id, channel FROM moved)
     ORDER BY c.batch_id, c.channel FOR UPDATE
), looked AS (
    UPDATE batch_channel c SET next_look_at = now() FROM channels l
     WHERE c.batch_id = l.batch_id AND c.channel = l.channel
    RETURNING c.batch_id
)
SELECT batch_id, channel, (SELECT count(*) FROM looked) AS looks FROM moved
"""  # noqa: S608 - built from constants

# A run that was never started must not wait for a time that is now too late.
_START = """
WITH starts AS (
    UPDATE batch SET start_at = least(start_at, :send_at)
     WHERE id = ANY(CAST(:batches AS uuid[])) AND start_at > :send_at
)
UPDATE notification SET send_at = :send_at WHERE id = :id
"""


async def cancel(db: Database, tenant: str, notification: UUID) -> Cancelled | None:
    """Cancel what has not been claimed; None for another tenant's notification or none.

    A repeated call answers with the same deliveries as cancelled.
    """
    mine = await _mine(db, tenant, notification)
    if mine is None:
        return None
    keys = _keys(mine)
    moved = await db.run(_CANCEL, **keys)
    rows = await db.run(_STATUSES, **keys)
    statuses = {DeliveryId(row.batch_id, row.seq): Status(row.status) for row in rows}
    return Cancelled(
        cancelled=tuple(delivery for delivery, status in statuses.items() if status is Status.CANCELLED),
        too_late={d: outside(status) for d, status in statuses.items() if status is not Status.CANCELLED},
        wake=_channels(moved),
    )


async def reschedule(db: Database, tenant: str, notification: UUID, send_at: datetime) -> Rescheduled | None:
    """Choose another time for what nobody has claimed yet; None for another tenant's notification or none.

    Raises Refused when that is not before the notification's expiry.
    """
    mine = await _mine(db, tenant, notification)
    if mine is None:
        return None
    if mine.expires_at and send_at >= mine.expires_at:
        raise Refused("invalid_request", "`send_at` must lie before the notification's `expires_at`.", "/send_at")

    async def once() -> Sequence[Any]:
        async with db.begin() as connection:
            moved = await execute(connection, _RESCHEDULE, {**_keys(mine), "send_at": send_at})
            if moved:
                values = {"batches": mine.batch_ids, "id": notification, "send_at": send_at}
                await execute(connection, _START, values)
            return moved

    moved = await repeated(once)
    return Rescheduled(len(moved), mine.size - len(moved), _channels(moved))


async def _mine(db: Database, tenant: str, notification: UUID) -> Any | None:
    found = await db.run(_HEAD, id=notification, tenant=tenant)
    return found[0] if found else None


def _keys(mine: Any) -> dict[str, Any]:
    return {"batches": mine.batch_ids, "first": mine.first_seq, "size": mine.size}


def _channels(rows: Sequence[Any]) -> tuple[tuple[UUID, str], ...]:
    return tuple(dict.fromkeys((row.batch_id, row.channel) for row in rows))
