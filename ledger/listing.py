"""A tenant's notifications, newest first: a bounded walk along an index, then the standing of those found."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from ledger.database import Database
from ledger.notifications import Overview, overview
from ledger.partitions import floor_of

OPEN = ("SCHEDULED", "ENQUEUED", "PROCESSING")
ENDED = ("COMPLETED", "PARTIAL_FAILURE", "FAILED", "CANCELLED")

_WINDOW = 1000  # notifications looked at by one statement of a filtered walk
_WALKS = 5  # such statements for one page: a rare find costs another request, never a scan
_SKEW = timedelta(hours=1)  # between the clock that made an id and the database's
_NEWEST = UUID(int=(1 << 128) - 1)


@dataclass(frozen=True, slots=True)
class Filters:
    """What is looked for; None is no condition. `since` <= created_at < `until`."""

    channel: str | None = None
    status: str | None = None
    recipient: str | None = None
    priority: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """What was found. `following`: where to go on, if there may be more; a page may be short, even empty, before it."""

    found: tuple[Overview, ...]
    following: UUID | None


# Where ids come from, newest first: whichever index leads to the fewest.
_OF_TENANT = "SELECT id FROM notification WHERE tenant_id = :tenant AND id < :before AND id >= :low ORDER BY id DESC"
_OF_STATUS = """
SELECT notification_id AS id FROM notification_end WHERE tenant_id = :tenant AND status = :status
   AND notification_id < :before AND notification_id >= :low ORDER BY notification_id DESC"""
_OF_RECIPIENT = """
SELECT DISTINCT notification_id AS id FROM delivery WHERE tenant_id = :tenant AND recipient_id = :recipient
   AND notification_id < :before AND notification_id >= :low ORDER BY notification_id DESC"""

# SCHEDULED from the rest, and open from ended. What is exact is seen from the deliveries, afterwards.
_MAY_BE = """
       CASE WHEN CAST(:status AS text) IS NULL THEN true
            WHEN :open THEN e.status IS NULL AND coalesce(n.send_at > now(), false) = (:status = 'SCHEDULED')
            ELSE coalesce(e.status = :status, false) END"""

_WALK = """
WITH ids AS MATERIALIZED ({source} LIMIT :window)
SELECT i.id, {may_be}
       AND (CAST(:channel AS text) IS NULL OR :channel = ANY(n.channels))
       AND (CAST(:priority AS text) IS NULL OR n.priority = :priority)
       AND (CAST(:since AS timestamptz) IS NULL OR n.created_at >= :since)
       AND (CAST(:until AS timestamptz) IS NULL OR n.created_at < :until) AS fits
  FROM ids i JOIN notification n ON n.id = i.id LEFT JOIN notification_end e ON e.notification_id = i.id
 ORDER BY i.id DESC
"""

_DETAILS = """
SELECT n.id, n.priority, n.metadata, n.send_at, n.expires_at, n.created_at,
       coalesce(n.send_at > now(), false) AS scheduled, t.totals
  FROM notification n CROSS JOIN LATERAL (
       SELECT jsonb_agg(jsonb_build_array(channel, status, n)) AS totals FROM (
           SELECT d.channel, d.status, count(*) AS n FROM delivery d
            WHERE d.batch_id = ANY(n.batch_ids) AND d.seq >= n.first_seq AND d.seq < n.first_seq + n.size
            GROUP BY d.channel, d.status) AS each) AS t
 WHERE n.id = ANY(CAST(:ids AS uuid[]))
 ORDER BY n.id DESC
"""


async def listing(db: Database, tenant: str, filters: Filters, limit: int, after: UUID | None) -> Page:
    """At most `limit` notifications older than `after`. `filters.status` is one of OPEN or ENDED."""
    found: list[Overview] = []
    before = after or _upper(filters)
    for _ in range(_WALKS):
        window = _WINDOW if _narrow(filters) else limit - len(found) + 1
        walked = await db.run(_statement(filters), **_values(tenant, filters, before, window))
        wanted = [row.id for row in walked if row.fits][: limit - len(found)]
        found += [one for one in await _details(db, wanted) if filters.status in (None, one.status)]
        before = _next(walked, wanted, window)
        if before is None or len(found) == limit:
            break
    return Page(tuple(found), before)


def _next(walked: Sequence[Any], wanted: Sequence[UUID], window: int) -> UUID | None:
    """The id below which the walk goes on; None at the end of the road."""
    if sum(row.fits for row in walked) > len(wanted):
        return wanted[-1]
    return walked[-1].id if len(walked) == window else None


def _narrow(filters: Filters) -> bool:
    return any((filters.channel, filters.status, filters.priority, filters.since, filters.until))


def _statement(filters: Filters) -> str:
    by_time = _OF_STATUS if filters.status in ENDED else _OF_TENANT
    return _WALK.format(source=_OF_RECIPIENT if filters.recipient else by_time, may_be=_MAY_BE)


def _upper(filters: Filters) -> UUID:
    return floor_of(filters.until + _SKEW) if filters.until else _NEWEST


def _values(tenant: str, filters: Filters, before: UUID, window: int) -> dict[str, Any]:
    values: dict[str, Any] = {
        "tenant": tenant,
        "channel": filters.channel,
        "priority": filters.priority,
        "status": filters.status,
        "open": filters.status in OPEN,
        "since": filters.since,
        "until": filters.until,
        "before": before,
        "low": floor_of(filters.since - _SKEW) if filters.since else UUID(int=0),
        "window": window,
    }
    return values | ({"recipient": filters.recipient} if filters.recipient else {})


async def _details(db: Database, ids: Sequence[UUID]) -> list[Overview]:
    rows = await db.run(_DETAILS, ids=list(ids)) if ids else ()
    return [overview(row, row.totals) for row in rows]
