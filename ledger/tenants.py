"""Tenants: whose notifications these are, and in whose name they are sent."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, cast

from domain.addresses import email_address, phone_number
from ledger import audit
from ledger.audit import By
from ledger.database import Database, execute

DEV = "dev"  # whose a request without a key is, in `make dev`

_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,39}\Z")
_NAMED_SENDER = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9 ]{1,11}\Z")  # GSM 03.40: an alphanumeric sender has 11 characters
_SHORT_CODE = re.compile(r"\d{3,8}\Z")


class TenantExists(Exception):
    """There is a tenant of this id already."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """One customer of the service. Senders that are None are the provider's defaults."""

    id: str
    name: str
    email_from: str | None = None
    reply_to: str | None = None
    sms_from: str | None = None
    created_at: datetime | None = None
    suspended_at: datetime | None = None
    suspended_reason: str | None = None
    keep_text: bool = False


_SHOWN = "id, name, email_from, reply_to, sms_from, created_at, suspended_at, suspended_reason, keep_text"
_CREATE = f"""
INSERT INTO tenant (id, name, email_from, reply_to, sms_from, keep_text)
VALUES (:id, :name, :email_from, :reply_to, :sms_from, :keep_text) ON CONFLICT DO NOTHING
RETURNING {_SHOWN}
"""
_UPDATE = f"""
UPDATE tenant SET name = :name, email_from = :email_from, reply_to = :reply_to, sms_from = :sms_from,
       keep_text = :keep_text
 WHERE id = :id RETURNING {_SHOWN}
"""
_SUSPEND = f"""
UPDATE tenant SET suspended_at = coalesce(suspended_at, now()), suspended_reason = :reason WHERE id = :id
RETURNING {_SHOWN}
"""
_RESUME = f"UPDATE tenant SET suspended_at = NULL, suspended_reason = NULL WHERE id = :id RETURNING {_SHOWN}"
_LIST = f"SELECT {_SHOWN} FROM tenant WHERE id > :after ORDER BY id LIMIT :most"
_GET = f"SELECT {_SHOWN} FROM tenant WHERE id = :id"


async def create(db: Database, tenant: Tenant, by: By) -> Tenant:
    """Add a tenant, as checked. Raises ValueError with one plain sentence, TenantExists."""
    wanted = checked(tenant)
    async with db.begin() as connection:
        rows = await execute(connection, _CREATE, _values(wanted))
        if not rows:
            raise TenantExists(wanted.id)
        await audit.record(connection, by, "tenant.create", wanted.id, tenant=wanted.id)
    return Tenant(*rows[0])


async def update(db: Database, id: str, changes: Mapping[str, str | bool | None], by: By) -> Tenant | None:
    """Change name, senders or `keep_text` by field, None taking a sender away; None if there is no such tenant.

    Raises ValueError with one plain sentence.
    """
    async with db.begin() as connection:
        rows = await execute(connection, f"{_GET} FOR NO KEY UPDATE", {"id": id})
        if not rows:
            return None
        wanted = checked(replace(Tenant(*rows[0]), **cast("dict[str, Any]", changes)))
        rows = await execute(connection, _UPDATE, _values(wanted))
        detail = {"fields": sorted(changes), **{name: changes[name] for name in changes if name == "keep_text"}}
        await audit.record(connection, by, "tenant.update", id, tenant=id, detail=detail)
    return Tenant(*rows[0])


async def suspend(db: Database, id: str, reason: str, by: By) -> Tenant | None:
    """Take nothing more from this tenant; what was accepted still goes out. None if there is no such tenant.

    Raises ValueError with one plain sentence.
    """
    if not 1 <= len(reason.strip()) <= 200 or not reason.isprintable():
        raise ValueError("A reason is one line of 1 to 200 printable characters.")
    return await _changed(db, _SUSPEND, id, by, "tenant.suspend", reason=reason.strip())


async def resume(db: Database, id: str, by: By) -> Tenant | None:
    """Take from it again; None if there is no such tenant."""
    return await _changed(db, _RESUME, id, by, "tenant.resume")


async def listed(db: Database, *, after: str = "", most: int = 100_000) -> list[Tenant]:
    """By id, from behind `after` on."""
    return [Tenant(*row) for row in await db.run(_LIST, after=after, most=most)]


async def get(db: Database, id: str) -> Tenant | None:
    """One of them; None if there is no such tenant."""
    rows = await db.run(_GET, id=id)
    return Tenant(*rows[0]) if rows else None


async def ensure_dev(db: Database) -> None:
    """Make the tenant `dev` if it is not there."""
    await db.run(_CREATE, id=DEV, name="Development", email_from=None, reply_to=None, sms_from=None, keep_text=False)


def checked(tenant: Tenant) -> Tenant:
    """The same with senders in their normal form. Raises ValueError with one plain sentence."""
    if not _ID.match(tenant.id):
        raise ValueError("A tenant's id is 1 to 40 of a-z, 0-9 and -, and does not start with -.")
    if not tenant.name.strip() or len(tenant.name) > 200 or not tenant.name.isprintable():
        raise ValueError("A tenant's name is 1 to 200 printable characters.")
    return Tenant(
        id=tenant.id,
        name=tenant.name.strip(),
        email_from=email_address(tenant.email_from) if tenant.email_from else None,
        reply_to=email_address(tenant.reply_to) if tenant.reply_to else None,
        sms_from=_sms_sender(tenant.sms_from) if tenant.sms_from else None,
        keep_text=tenant.keep_text,
    )


def _sms_sender(text: str) -> str:
    if _NAMED_SENDER.match(text) or _SHORT_CODE.match(text):
        return text
    return phone_number(text)


async def _changed(db: Database, statement: str, id: str, by: By, action: str, **detail: str) -> Tenant | None:
    async with db.begin() as connection:
        rows = await execute(connection, statement, {"id": id, **detail})
        if not rows:
            return None
        await audit.record(connection, by, action, id, tenant=id, detail=detail)
    return Tenant(*rows[0])


def _values(tenant: Tenant) -> dict[str, str | bool | None]:
    senders = {"email_from": tenant.email_from, "reply_to": tenant.reply_to, "sms_from": tenant.sms_from}
    return {"id": tenant.id, "name": tenant.name, "keep_text": tenant.keep_text, **senders}
