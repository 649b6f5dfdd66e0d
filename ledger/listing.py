"""A tenant's notifications, newest first: a bounded walk along an index, then the standing of those found."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from domain.search import Sought
from ledger.database import Database
from ledger.notifications import Overview, overview
from ledger.partitions import floor_of
from ledger.sealing import RECIPIENT_ID
from ledger.searching import RARE, measured

OPEN = ("SCHEDULED", "ENQUEUED", "PROCESSING")
ENDED = ("COMPLETED", "PARTIAL_FAILURE", "FAILED", "CANCELLED")
_SELDOM = ENDED[1:]

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
    terms: tuple[Sought, ...] = ()  # each of them has to be there


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
SELECT DISTINCT f.id FROM unnest(CAST(:recipient AS text[])) AS form(name) CROSS JOIN LATERAL (
       SELECT DISTINCT notification_id AS id FROM delivery WHERE tenant_id = :tenant AND recipient_id = form.name
          AND notification_id < :before AND notification_id >= :low ORDER BY notification_id DESC LIMIT :window) AS f
 ORDER BY f.id DESC"""
_OF_TERM = """
SELECT notification_id AS id FROM search_entry WHERE tenant_id = :tenant AND term = :low_term
   AND notification_id < :before AND notification_id >= :low ORDER BY notification_id DESC"""
_OF_TERMS = """
SELECT DISTINCT notification_id AS id FROM search_entry
 WHERE tenant_id = :tenant AND term >= :low_term AND term <= :high_term
   AND notification_id < :before AND notification_id >= :low ORDER BY notification_id DESC"""

# SCHEDULED from the rest, and open from ended. What is exact is seen from the deliveries, afterwards.
_MAY_BE = """
       CASE WHEN CAST(:status AS text) IS NULL THEN true
            WHEN :open THEN e.status IS NULL AND coalesce(n.send_at > now(), false) = (:status = 'SCHEDULED')
            ELSE coalesce(e.status = :status, false) END"""

# What has a LIMIT is looked up for each, by index: a join or EXISTS might become a hash of all there is.
_WALK = """
WITH ids AS MATERIALIZED ({source} LIMIT :window)
SELECT i.id, {may_be}
       AND (CAST(:channel AS text) IS NULL OR :channel = ANY(n.channels))
       AND (CAST(:priority AS text) IS NULL OR n.priority = :priority)
       AND (CAST(:since AS timestamptz) IS NULL OR n.created_at >= :since)
       AND (CAST(:until AS timestamptz) IS NULL OR n.created_at < :until)
       AND (cardinality(CAST(:lows AS text[])) = 0 OR {has_all}) AS fits
  FROM ids i
 CROSS JOIN LATERAL (SELECT channels, priority, created_at, send_at FROM notification WHERE id = i.id LIMIT 1) AS n
  LEFT JOIN LATERAL (SELECT status FROM notification_end WHERE notification_id = i.id LIMIT 1) AS e ON true
 ORDER BY i.id DESC
"""

_HAS_ALL = """
       NOT EXISTS (SELECT 1 FROM unnest(CAST(:lows AS text[]), CAST(:highs AS text[])) AS w(low, high)
                    WHERE (SELECT true FROM search_entry s
                            WHERE s.tenant_id = :tenant AND s.notification_id = i.id
                              AND s.term >= w.low AND s.term <= w.high LIMIT 1) IS NULL)"""

_DETAILS = """
SELECT n.id, n.priority, n.metadata, n.tags, n.send_at, n.expires_at, n.created_at,
       coalesce(n.send_at > now(), false) AS scheduled, t.totals
  FROM notification n CROSS JOIN LATERAL (
       SELECT jsonb_agg(jsonb_build_array(channel, status, n)) AS totals FROM (
           SELECT d.channel, d.status, count(*) AS n FROM delivery d
            WHERE d.batch_id = ANY(n.batch_ids) AND d.seq >= n.first_seq AND d.seq < n.first_seq + n.size
            GROUP BY d.channel, d.status) AS each) AS t
 WHERE n.id = ANY(CAST(:ids AS uuid[]))
 ORDER BY n.id DESC
"""


@dataclass(frozen=True, slots=True)
class _Way:
    """Which index leads, and what is left to be looked at in what it leads to."""

    source: str
    left: Filters
    by: Sought | None = None


async def listing(db: Database, tenant: str, filters: Filters, limit: int, after: UUID | None) -> Page:
    """At most `limit` notifications older than `after`. `filters.status` is one of OPEN or ENDED."""
    found: list[Overview] = []
    before = after or _upper(filters)
    way = _way(filters, await measured(db, tenant, filters.terms) if filters.terms else ())
    recipient = await db.vault.names(db.run, tenant, RECIPIENT_ID, filters.recipient) if filters.recipient else ()
    statement = _WALK.format(source=way.source, may_be=_MAY_BE, has_all=_HAS_ALL)
    for _ in range(_WALKS):
        window = _WINDOW if _narrow(way.left) else limit - len(found) + 1
        walked = await db.run(statement, **_values(tenant, way, before, window, recipient))
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


def _way(filters: Filters, numbers: Sequence[int]) -> _Way:
    """The way past the fewest: a person's are few, then the rarest term, if it is rare or in the order of time.

    `numbers`: of the entries each term has.
    """
    by_time = _Way(_OF_STATUS if filters.status in ENDED else _OF_TENANT, filters)
    if filters.recipient:
        return _Way(_OF_RECIPIENT, filters)
    if not filters.terms:
        return by_time
    n, by = min(zip(numbers, filters.terms, strict=True), key=lambda each: (each[0], not each[1].exact))
    if n >= RARE and (not by.exact or filters.status in _SELDOM):
        return by_time
    left = replace(filters, terms=tuple(each for each in filters.terms if each != by))
    return _Way(_OF_TERM if by.exact else _OF_TERMS, left, by)


def _narrow(left: Filters) -> bool:
    return any((left.channel, left.status, left.priority, left.since, left.until, left.terms))


def _upper(filters: Filters) -> UUID:
    return floor_of(filters.until + _SKEW) if filters.until else _NEWEST


def _values(tenant: str, way: _Way, before: UUID, window: int, recipient: Sequence[str]) -> dict[str, Any]:
    left = way.left
    values: dict[str, Any] = {
        "tenant": tenant,
        "channel": left.channel,
        "priority": left.priority,
        "status": left.status,
        "open": left.status in OPEN,
        "since": left.since,
        "until": left.until,
        "lows": [each.low for each in left.terms],
        "highs": [each.high for each in left.terms],
        "before": before,
        "low": floor_of(left.since - _SKEW) if left.since else UUID(int=0),
        "window": window,
    }
    by = {"low_term": way.by.low, "high_term": way.by.high} if way.by else {}
    return values | by | ({"recipient": list(recipient)} if recipient else {})


async def _details(db: Database, ids: Sequence[UUID]) -> list[Overview]:
    rows = await db.run(_DETAILS, ids=list(ids)) if ids else ()
    return [overview(row, row.totals) for row in rows]
