"""Addresses that get nothing more: who put them there, what it does to deliveries, and how they are lifted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from domain.deliveries import Step
from domain.suppressions import Reason, hint
from ledger import audit
from ledger.audit import By
from ledger.database import Database, asking, execute, repeated
from ledger.keyring import Unreadable
from ledger.sealing import address_of
from ledger.transition import transition
from ledger.vault import Keys


@dataclass(frozen=True, slots=True)
class Suppression:
    """One entry. The address is known by its hash alone; `hint` is for people."""

    channel: str
    address_hash: bytes
    reason: Reason
    source: str  # the provider that reported it, or `api`
    at: datetime
    hint: str | None


@dataclass(frozen=True, slots=True)
class Report:
    """A vendor's word on a delivery's address."""

    batch: UUID
    seq: int
    reason: str
    provider: str


# `unsubscribed on 2026-11-26 by sendgrid`: what a suppressed delivery says. `s` is the entry.
WHY = """(CASE s.reason WHEN 'hard_bounce' THEN 'bounced' WHEN 'complaint' THEN 'complained'
          WHEN 'unsubscribe' THEN 'unsubscribed' ELSE 'suppressed' END
          || ' on ' || to_char(s.at AT TIME ZONE 'UTC', 'YYYY-MM-DD') || ' by ' || s.source)"""

# Which entry, if any, stops a delivery `d` that waits. A bounce stops only what has not been tried at all: a delivery
# under way falls back to the next provider of its route, which may reach where the first could not. Whoever wants no
# more of it gets no more of it from anybody.
_STOPS = """s.tenant_id = d.tenant_id AND s.channel = d.channel AND s.address_hash = d.address_hash
            AND (s.reason <> 'hard_bounce' OR d.attempt = 0)"""

# The guard of a claim. Without an address (its person was erased meanwhile) nothing can be sent either.
STOPPED = f"(d.address IS NULL OR EXISTS (SELECT 1 FROM suppression s WHERE {_STOPS}))"  # noqa: S608 - constants

# With doubts something may have gone out: then nothing more is sent, but nobody may say that nothing was.
_SUPPRESS = transition(
    Step.SUPPRESS,
    where=f"""d.batch_id = :batch AND d.channel = :channel AND d.provider = :provider AND d.status = 'queued'
              AND {STOPPED}""",
    change=f"""status = CASE WHEN d.doubts = 0 THEN 'suppressed' ELSE 'unconfirmed' END,
               reason = coalesce((SELECT {WHY} FROM suppression s WHERE {_STOPS}), 'erased')""",  # noqa: S608 - constants
    returning="SELECT count(*) FROM moved",
)

_ADDRESSES = """
SELECT DISTINCT ON (d.tenant_id, d.channel, d.address_hash)
       d.tenant_id, d.channel, d.address_hash, d.batch_id, d.seq, d.address, g.reason, g.provider
  FROM unnest(CAST(:batch AS uuid[]), CAST(:seq AS int[]), CAST(:reason AS text[]), CAST(:provider AS text[]))
       AS g(batch_id, seq, reason, provider)
  JOIN delivery d ON d.batch_id = g.batch_id AND d.seq = g.seq
 WHERE d.address_hash IS NOT NULL
 ORDER BY d.tenant_id, d.channel, d.address_hash, g.reason = 'hard_bounce'
"""

# In the order of the key: flushes that add the same addresses must not wait for each other in a ring. What a reader
# wants outweighs a bounce, and is never replaced by one.
_ADD = """
INSERT INTO suppression AS s (tenant_id, channel, address_hash, reason, source, hint)
SELECT * FROM unnest(CAST(:tenant AS text[]), CAST(:channel AS text[]), CAST(:hash AS bytea[]),
                     CAST(:reason AS text[]), CAST(:source AS text[]), CAST(:hint AS text[]))
    AS g(tenant_id, channel, address_hash, reason, source, hint)
 ORDER BY tenant_id, channel, address_hash
ON CONFLICT (tenant_id, channel, address_hash) DO UPDATE
   SET reason = excluded.reason, source = excluded.source, hint = excluded.hint, at = now()
 WHERE s.reason = 'hard_bounce' AND excluded.reason <> 'hard_bounce'
"""

_PUT = """
INSERT INTO suppression (tenant_id, channel, address_hash, reason, source, hint)
VALUES (:tenant, :channel, :hash, :reason, 'api', :hint)
ON CONFLICT (tenant_id, channel, address_hash) DO UPDATE SET hint = coalesce(suppression.hint, excluded.hint)
RETURNING channel, address_hash, reason, source, at, hint, (xmax = 0) AS created
"""
_GET = """
SELECT channel, address_hash, reason, source, at, hint FROM suppression
 WHERE tenant_id = :tenant AND channel = :channel AND address_hash = :hash
"""
_LIFT = """
DELETE FROM suppression WHERE tenant_id = :tenant AND channel = :channel AND address_hash = :hash RETURNING reason
"""
_LIST = """
SELECT channel, address_hash, reason, source, at, hint FROM suppression
 WHERE tenant_id = :tenant
   AND (CAST(:channel AS text) IS NULL OR channel = :channel)
   AND (CAST(:reason AS text) IS NULL OR reason = :reason)
   AND (channel COLLATE "C", address_hash) > (CAST(:after_channel AS text) COLLATE "C", CAST(:after_hash AS bytea))
 ORDER BY channel COLLATE "C", address_hash LIMIT :most
"""


async def suppress_waiting(db: Database, batch: UUID, channel: str, provider: str) -> int:
    """End what waits for a provider and must not be sent. Returns how many rows."""
    rows = await db.run(_SUPPRESS, batch=batch, channel=channel, provider=provider)
    return rows[0][0]


async def heard(db: Database, connection: AsyncConnection, reports: Sequence[Report]) -> None:
    """Add the addresses of these deliveries, in the transaction that learnt of it."""
    if not reports:
        return
    values = {
        "batch": [report.batch for report in reports],
        "seq": [report.seq for report in reports],
        "reason": [report.reason for report in reports],
        "provider": [report.provider for report in reports],
    }
    found = await execute(connection, _ADDRESSES, values)
    keys = await db.vault.opening(asking(connection), [(row.tenant_id, row.address) for row in found])
    columns = {
        "tenant": [row.tenant_id for row in found],
        "channel": [row.channel for row in found],
        "hash": [row.address_hash for row in found],
        "reason": [row.reason for row in found],
        "source": [row.provider for row in found],
        "hint": [_hint(row, keys) for row in found],
    }
    await execute(connection, _ADD, columns)


async def answered(db: Database, reports: Sequence[Report]) -> None:
    """The same for what vendors said while we sent. After a crash in between the vendor says it again next time."""

    async def once() -> None:
        async with db.begin() as connection:
            await heard(db, connection, reports)

    if reports:
        await repeated(once)


async def put(
    db: Database, tenant: str, channel: str, address_hash: bytes, *, shown: str, reason: Reason, by: By
) -> tuple[Suppression, bool]:
    """Suppress an address by hand; one that is suppressed already stays as it is. Returns it, and whether it is new."""

    async def once() -> tuple[Suppression, bool]:
        async with db.begin() as connection:
            values = {"tenant": tenant, "channel": channel, "hash": address_hash, "reason": reason, "hint": shown}
            row = (await execute(connection, _PUT, values))[0]
            if row.created:
                detail = {"channel": channel, "reason": reason}
                await audit.record(
                    connection, by, "suppression.add", _subject(address_hash), tenant=tenant, detail=detail
                )
            return _entry(row), row.created

    return await repeated(once)


async def get(db: Database, tenant: str, channel: str, address_hash: bytes) -> Suppression | None:
    """One entry; None if the address is not suppressed."""
    rows = await db.run(_GET, tenant=tenant, channel=channel, hash=address_hash)
    return _entry(rows[0]) if rows else None


async def lift(db: Database, tenant: str, channel: str, address_hash: bytes, by: By) -> bool:
    """Let an address have messages again; False if it was not suppressed."""

    async def once() -> bool:
        async with db.begin() as connection:
            values = {"tenant": tenant, "channel": channel, "hash": address_hash}
            rows = await execute(connection, _LIFT, values)
            if rows:
                detail = {"channel": channel, "reason": rows[0].reason}
                await audit.record(
                    connection, by, "suppression.lift", _subject(address_hash), tenant=tenant, detail=detail
                )
            return bool(rows)

    return await repeated(once)


async def listed(
    db: Database,
    tenant: str,
    most: int,
    *,
    channel: str | None = None,
    reason: Reason | None = None,
    after: tuple[str, bytes] = ("", b""),
) -> list[Suppression]:
    """At most so many entries by channel and hash, behind `after`."""
    rows = await db.run(
        _LIST, tenant=tenant, channel=channel, reason=reason, after_channel=after[0], after_hash=after[1], most=most
    )
    return [_entry(row) for row in rows]


def _entry(row: Any) -> Suppression:
    return Suppression(row.channel, bytes(row.address_hash), Reason(row.reason), row.source, row.at, row.hint)


def _hint(row: Any, keys: Keys) -> str | None:
    """None for who was erased meanwhile, and for what cannot be opened: a report never waits for a key."""
    try:
        return hint(keys.open(row.tenant_id, address_of(row.batch_id, row.seq), row.address)) if row.address else None
    except Unreadable:
        return None


def _subject(address_hash: bytes) -> str:
    """For the audit log, which holds no personal data."""
    return address_hash.hex()[:16]
