"""The log of administrative acts: who did what to whom, written with the act or not at all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.database import Database, execute


@dataclass(frozen=True, slots=True)
class By:
    """Who acts: `clr_…` for a key, `cli:name` for a command, `dev` for a development call without a key."""

    actor: str
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Act:
    """One line of the log. `tenant` None: it concerns the whole service."""

    id: int
    at: datetime
    actor: str
    action: str
    subject: str
    tenant: str | None
    detail: Mapping[str, Any]
    request_id: str | None


_RECORD = """
INSERT INTO audit (actor, action, subject, tenant_id, detail, request_id)
VALUES (:actor, :action, :subject, :tenant, CAST(:detail AS jsonb), :request)
"""

_LIST = """
SELECT id, at, actor, action, subject, tenant_id, detail, request_id FROM audit
 WHERE (CAST(:tenant AS text) IS NULL OR tenant_id = :tenant)
   AND (CAST(:action AS text) IS NULL OR action = :action)
   AND (CAST(:since AS timestamptz) IS NULL OR at >= :since)
   AND (CAST(:before AS bigint) IS NULL OR id < :before)
 ORDER BY id DESC LIMIT :most
"""


async def record(
    connection: AsyncConnection,
    by: By,
    action: str,
    subject: str,
    *,
    tenant: str | None = None,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Note an act in the transaction that does it. `action` as in `tenant.suspend`; no secrets in `detail`."""
    values = {"actor": by.actor, "request": by.request_id, "action": action, "subject": subject, "tenant": tenant}
    await execute(connection, _RECORD, {**values, "detail": orjson.dumps(detail or {}).decode()})


async def listed(
    db: Database,
    most: int,
    *,
    tenant: str | None = None,
    action: str | None = None,
    since: datetime | None = None,
    before: int | None = None,
) -> Sequence[Act]:
    """At most so many acts, newest first, older than the act `before`."""
    rows = await db.run(_LIST, tenant=tenant, action=action, since=since, before=before, most=most)
    return [Act(*row) for row in rows]
