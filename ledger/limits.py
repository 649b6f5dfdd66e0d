"""What each tenant may send, where it differs from what all may."""

from collections.abc import Mapping
from typing import Any

import orjson

from domain.limits import Limits, changed
from ledger import audit
from ledger.audit import By
from ledger.database import Database, execute
from observe import logs

log = logs.get(__name__)

_READ = "SELECT id, limits FROM tenant WHERE limits <> '{}'"
_GET = "SELECT limits FROM tenant WHERE id = :id"
_PUT = "UPDATE tenant SET limits = CAST(:limits AS jsonb) WHERE id = :id RETURNING id"


async def own(db: Database, usual: Limits) -> Mapping[str, Limits]:
    """The limits of every tenant that has some of its own. Raises LedgerUnavailable."""
    found: dict[str, Limits] = {}
    for row in await db.run(_READ):
        try:
            found[row.id] = changed(usual, row.limits)
        except ValueError as error:  # written by another version: the usual ones are better than none
            log.warning("limits.unreadable", tenant=row.id, error=str(error))
    return found


async def changes_of(db: Database, tenant: str) -> Mapping[str, Any] | None:
    """What is this tenant's own, by field; None if there is no such tenant. Raises LedgerUnavailable."""
    rows = await db.run(_GET, id=tenant)
    return rows[0].limits if rows else None


async def put(db: Database, tenant: str, changes: Mapping[str, Any], by: By) -> bool:
    """Replace what is this tenant's own; False if there is no such tenant. Raises ValueError, LedgerUnavailable."""
    changed(Limits(), changes)
    async with db.begin() as connection:
        values = {"id": tenant, "limits": orjson.dumps(dict(changes)).decode()}
        if not await execute(connection, _PUT, values):
            return False
        await audit.record(connection, by, "tenant.limits", tenant, tenant=tenant, detail=changes)
    return True
