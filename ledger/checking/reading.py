"""Reads the ledger for the checker: page after page, each in one snapshot, so that a busy ledger can be checked too."""

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from domain.deliveries import OPEN, Status
from domain.ids import DeliveryId
from ledger.checking.history import Event, History, read
from ledger.checking.judging import Channel, Notification, Row
from ledger.database import Database, execute

_DELIVERIES = 4000  # of one page, and with them their events: some tens of megabytes
_BATCHES = 1000
_NOTIFICATIONS = 2000
_ALL = UUID(int=0)

_SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"

_BATCH_IDS = "SELECT id, size FROM batch WHERE id > :after ORDER BY id LIMIT :most"

_ROWS = """
SELECT d.batch_id, d.seq, d.channel, d.status, d.attempt, d.key_no, d.doubts, d.possible_duplicates, d.due_at,
       d.claimed_at, d.expires_at, n.id IS NOT NULL AS owned,
       extract(epoch FROM now() - CASE d.status
           WHEN 'queued' THEN least(d.expires_at, d.give_up_at)
           WHEN 'sending' THEN d.claimed_at
           WHEN 'in_doubt' THEN d.doubt_until
           WHEN 'undelivered' THEN d.updated_at END)::float8 AS waited
  FROM delivery d LEFT JOIN notification n ON n.id = d.notification_id
 WHERE d.batch_id = ANY(CAST(:batches AS uuid[])) ORDER BY d.batch_id, d.seq
"""

_EVENTS = """
SELECT batch_id, seq, at, step, old, new, attempt, key_no FROM delivery_event
 WHERE batch_id = ANY(CAST(:batches AS uuid[])) ORDER BY batch_id, seq, id
"""

_CHANNELS = """
SELECT batch_id, channel, awaiting, done_at IS NOT NULL AS done, next_look_at, now() AS now FROM batch_channel
 WHERE batch_id = ANY(CAST(:batches AS uuid[])) ORDER BY batch_id, channel
"""

_LETTERS = "SELECT batch_id, seq FROM dead_letter WHERE batch_id = ANY(CAST(:batches AS uuid[]))"

_LOST_LETTERS = """
SELECT x.batch_id, x.seq FROM dead_letter x
 WHERE NOT EXISTS (SELECT 1 FROM delivery d WHERE d.batch_id = x.batch_id AND d.seq = x.seq) ORDER BY 1, 2 LIMIT 1000
"""

# A channel that waits for a person has its next look a century away.
_HEADS = """
SELECT n.id, n.size, e.status AS ended, t.totals, NOT EXISTS (
           SELECT 1 FROM batch_channel c WHERE c.batch_id = ANY(n.batch_ids) AND c.done_at IS NULL
              AND c.next_look_at < now() + interval '1 year') AS still
  FROM (SELECT * FROM notification WHERE id > :after ORDER BY id LIMIT :most) AS n
  LEFT JOIN notification_end e ON e.notification_id = n.id
 CROSS JOIN LATERAL (SELECT jsonb_object_agg(status, n) AS totals FROM (
       SELECT d.status, count(*) AS n FROM delivery d
        WHERE d.batch_id = ANY(n.batch_ids) AND d.seq >= n.first_seq AND d.seq < n.first_seq + n.size
          AND d.notification_id = n.id
        GROUP BY d.status) AS each) AS t
 ORDER BY n.id
"""

_KNOWN = {
    table: f"SELECT id FROM {table} WHERE id = ANY(CAST(:ids AS uuid[]))"  # noqa: S608 - built from constants
    for table in ("batch", "notification")
}

_UNFINISHED = f"""
SELECT (SELECT count(*) FROM delivery WHERE status IN ({", ".join(f"'{status}'" for status in sorted(OPEN))})) AS open,
       (SELECT count(*) FROM delivery WHERE status = 'dead') AS dead,
       (SELECT count(*) FROM batch_channel WHERE done_at IS NULL AND next_look_at < now() + interval '1 year') AS looks
"""  # noqa: S608 - built from constants


@dataclass(frozen=True, slots=True)
class Page:
    """Some batches at one moment. A history without a row is of a delivery that is gone."""

    batches: tuple[UUID, ...]
    sizes: dict[UUID, int]
    rows: dict[DeliveryId, Row]
    histories: dict[DeliveryId, History]
    channels: dict[tuple[UUID, str], Channel]
    letters: frozenset[DeliveryId]


@dataclass(frozen=True, slots=True)
class Unfinished:
    """Deliveries that are open, or dead; channels that will still be looked at without news."""

    open: int
    dead: int
    looks: int

    @property
    def anything(self) -> bool:
        """Is anything left?"""
        return bool(self.open or self.dead or self.looks)


async def pages(db: Database) -> AsyncIterator[Page]:
    """Every batch, oldest first."""
    after = _ALL
    while found := await db.run(_BATCH_IDS, after=after, most=_BATCHES):
        for part in _portions(found):
            yield await _page(db, part)
        after = found[-1].id


async def notifications(db: Database) -> AsyncIterator[tuple[UUID, Notification]]:
    """Every notification, oldest first."""
    after = _ALL
    while found := await db.run(_HEADS, after=after, most=_NOTIFICATIONS):
        for row in found:
            totals: dict[str, int] = row.totals or {}
            counts = {Status(status): n for status, n in totals.items()}
            yield row.id, Notification(row.size, counts, row.ended, row.still)
        after = found[-1].id


async def unknown(db: Database, table: str, ids: Sequence[UUID]) -> list[UUID]:
    """Those of these batches or notifications that the ledger does not have."""
    known = {row.id for row in await db.run(_KNOWN[table], ids=list(ids))}
    return [one for one in ids if one not in known]


async def lost_letters(db: Database) -> list[DeliveryId]:
    """Dead letters whose delivery is not there."""
    return [DeliveryId(row.batch_id, row.seq) for row in await db.run(_LOST_LETTERS)]


async def unfinished(db: Database) -> Unfinished:
    """What is left to do in the whole ledger. Counts rows: for tests and fault runs, not for a dashboard."""
    row = (await db.run(_UNFINISHED))[0]
    return Unfinished(row.open, row.dead, row.looks)


def _portions(batches: Sequence[Any]) -> Iterator[dict[UUID, int]]:
    part: dict[UUID, int] = {}
    for row in batches:
        if part and sum(part.values()) + row.size > _DELIVERIES:
            yield part
            part = {}
        part[row.id] = row.size
    if part:
        yield part


async def _page(db: Database, sizes: dict[UUID, int]) -> Page:
    batches = {"batches": list(sizes)}
    async with db.begin() as connection:
        await execute(connection, _SNAPSHOT, {})
        rows = await execute(connection, _ROWS, batches)
        channels = await execute(connection, _CHANNELS, batches)
        letters = await execute(connection, _LETTERS, batches)
        histories = await _histories(connection, batches)
    return Page(
        batches=tuple(sizes),
        sizes=sizes,
        rows={row.id: row for row in map(_row, rows)},
        histories=histories,
        channels={(c.batch_id, c.channel): Channel(c.awaiting, c.done, c.next_look_at, c.now) for c in channels},
        letters=frozenset(DeliveryId(x.batch_id, x.seq) for x in letters),
    )


async def _histories(connection: AsyncConnection, batches: dict[str, Any]) -> dict[DeliveryId, History]:
    events = await execute(connection, _EVENTS, batches)
    return {
        DeliveryId(batch, seq): read(Event(e.at, e.step, e.old, e.new, e.attempt, e.key_no) for e in mine)
        for (batch, seq), mine in groupby(events, key=lambda e: (e.batch_id, e.seq))
    }


def _row(row: Any) -> Row:
    return Row(
        id=DeliveryId(row.batch_id, row.seq),
        channel=row.channel,
        status=Status(row.status),
        attempt=row.attempt,
        key_no=row.key_no,
        doubts=row.doubts,
        possible_duplicates=row.possible_duplicates,
        due_at=row.due_at,
        claimed_at=row.claimed_at,
        expires_at=row.expires_at,
        waited=row.waited,
        owned=row.owned,
    )
