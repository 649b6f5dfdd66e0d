"""Erase a person: nothing that leads to them stays but the counts, and a hash that keeps them from being written to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from domain.deliveries import Step
from domain.suppressions import blind
from ledger import audit, searching
from ledger.audit import By
from ledger.database import Database, asking, execute, repeated
from ledger.recipients import addresses_in
from ledger.sealing import RECIPIENT_ID
from ledger.transition import transition

ERASED = "erased"  # what stands where their id stood
_CHUNK = 500  # deliveries a transaction


@dataclass(frozen=True, slots=True)
class Erased:
    """What was done. `wake`: the runs whose rows were cancelled, as (batch, channel)."""

    in_book: bool
    deliveries: int
    cancelled: int
    contents: int  # notifications that went to nobody else
    wake: tuple[tuple[UUID, str], ...]


# The book first: what is accepted after it cannot find them by their id any more. The addresses that were in it.
_UNBOOK = "DELETE FROM recipient WHERE tenant_id = :tenant AND id = :id RETURNING addresses"

_FIND = """
SELECT batch_id, seq, notification_id, address_hash FROM delivery
 WHERE tenant_id = :tenant AND recipient_id = ANY(CAST(:names AS text[]))
 ORDER BY batch_id, seq LIMIT :most FOR UPDATE
"""

_GIVEN = "SELECT * FROM unnest(CAST(:batch AS uuid[]), CAST(:seq AS int[])) AS g(batch_id, seq)"

# As cancel does: with doubts something may have gone out.
_CANCEL = transition(
    Step.CANCEL,
    given=_GIVEN,
    join="d.batch_id = g.batch_id AND d.seq = g.seq",
    where="d.status = 'queued'",
    change="status = CASE WHEN d.doubts = 0 THEN 'cancelled' ELSE 'unconfirmed' END, reason = 'erased'",
    reopens="true",
    returning="SELECT batch_id, channel, status FROM moved",
)

# A row under way keeps its state: its answer is recorded as ever. Without an address it is never claimed again.
_DELIVERIES = f"""
UPDATE delivery d SET recipient_id = '{ERASED}', address = NULL, address_hash = NULL, updated_at = now(),
       reason = CASE WHEN d.reason IS NOT NULL THEN '{ERASED}' END
  FROM ({_GIVEN}) g WHERE d.batch_id = g.batch_id AND d.seq = g.seq
"""  # noqa: S608 - built from constants

# A vendor's id of a message leads to it at the vendor. What is still awaited is found by `send_ref`, which is pruned.
_EVENTS = f"""
UPDATE delivery_event e SET reason = CASE WHEN e.reason IS NOT NULL THEN '{ERASED}' END, message_id = NULL
  FROM ({_GIVEN}) g WHERE e.batch_id = g.batch_id AND e.seq = g.seq AND (e.reason, e.message_id) IS DISTINCT FROM (NULL, NULL)
"""  # noqa: E501, S608 - built from constants
_RECEIPTS = f"""
UPDATE receipt r SET reason = NULL
  FROM ({_GIVEN}) g WHERE r.batch_id = g.batch_id AND r.seq = g.seq AND r.reason IS NOT NULL
"""  # noqa: S608 - built from constants
_LETTERS = f"""
UPDATE dead_letter x SET reason = '{ERASED}'
  FROM ({_GIVEN}) g WHERE x.batch_id = g.batch_id AND x.seq = g.seq AND x.reason IS NOT NULL
"""  # noqa: S608 - built from constants

# Of a notification to others too, the text stays theirs. `text` stays as a field: the content keeps its shape.
_CONTENTS = f"""
UPDATE notification n SET content = '{{"text": ""}}', metadata = NULL, tags = '{{}}'
 WHERE n.id = ANY(CAST(:notifications AS uuid[])) AND n.tenant_id = :tenant
   AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.batch_id = ANY(n.batch_ids) AND d.notification_id = n.id
                      AND d.recipient_id <> '{ERASED}')
RETURNING n.id
"""  # noqa: S608 - built from constants

# The hash stays: the law that has them erased also has their "no" respected, and it says nothing to anybody else.
_HINTS = """
UPDATE suppression SET hint = NULL
 WHERE tenant_id = :tenant AND address_hash = ANY(CAST(:hashes AS bytea[])) AND hint IS NOT NULL
"""


async def erase(
    db: Database, tenant: str, recipient_id: str, *, secret: bytes, fields: Sequence[tuple[str, str]], by: By
) -> Erased | None:
    """Remove every trace of a person but the counts; None if there is none. To be repeated after a crash.

    `secret`, and `fields` as (channel, field of the address), find the suppressions of addresses in the book.
    """
    if recipient_id == ERASED:
        return None  # the name of nobody: it stands where people were
    subject = blind(secret, tenant, "recipient", recipient_id).hex()[:16]

    async def unbook() -> bool:
        async with db.begin() as connection:
            rows = await execute(connection, _UNBOOK, {"tenant": tenant, "id": recipient_id})
            keys = await db.vault.opening(asking(connection), [(tenant, row.addresses) for row in rows])
            books = [addresses_in(keys, tenant, recipient_id, row.addresses) for row in rows]
            known = [(channel, book.get(field)) for book in books for channel, field in fields]
            hashes = [blind(secret, tenant, channel, address) for channel, address in known if address]
            await execute(connection, _HINTS, {"tenant": tenant, "hashes": hashes})
            if rows:
                await audit.record(connection, by, "recipient.erase", subject, tenant=tenant)
            return bool(rows)

    in_book = await repeated(unbook)
    total = Erased(in_book, 0, 0, 0, ())
    while part := await repeated(lambda: _chunk(db, tenant, recipient_id)):
        total = _sum(total, part)
    return total if in_book or total.deliveries else None


async def _chunk(db: Database, tenant: str, recipient_id: str) -> Erased | None:
    """Some of their deliveries, in the order of locks: deliveries, batch_channel, the rest. None when none is left."""
    async with db.begin() as connection:
        # Each time anew: a change of the data key may be under way.
        names = await db.vault.names(asking(connection), tenant, RECIPIENT_ID, recipient_id)
        found = await execute(connection, _FIND, {"tenant": tenant, "names": names, "most": _CHUNK})
        if not found:
            return None
        these = {"batch": [row.batch_id for row in found], "seq": [row.seq for row in found]}
        moved = await execute(connection, _CANCEL, these)
        await _forget(connection, these)
        notifications = sorted({row.notification_id for row in found})
        blanked = await execute(connection, _CONTENTS, {"notifications": notifications, "tenant": tenant})
        await searching.unfind(connection, tenant, [row.id for row in blanked])
        hashes = [row.address_hash for row in found if row.address_hash]
        await execute(connection, _HINTS, {"tenant": tenant, "hashes": hashes})
        wake = tuple(dict.fromkeys((row.batch_id, row.channel) for row in moved))
        cancelled = sum(row.status == "cancelled" for row in moved)
        return Erased(False, len(found), cancelled, len(blanked), wake)


async def _forget(connection: AsyncConnection, these: dict[str, Any]) -> None:
    for statement in (_DELIVERIES, _EVENTS, _RECEIPTS, _LETTERS):
        await execute(connection, statement, these)


def _sum(one: Erased, other: Erased) -> Erased:
    return Erased(
        one.in_book,
        one.deliveries + other.deliveries,
        one.cancelled + other.cancelled,
        one.contents + other.contents,
        tuple(dict.fromkeys(one.wake + other.wake)),
    )
