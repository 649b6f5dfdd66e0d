"""Tenants: whose notifications these are, and in whose name they are sent."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from domain.addresses import email_address, phone_number
from ledger.database import Database

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


_CREATE = """
INSERT INTO tenant (id, name, email_from, reply_to, sms_from)
VALUES (:id, :name, :email_from, :reply_to, :sms_from) ON CONFLICT DO NOTHING
RETURNING id, name, email_from, reply_to, sms_from, created_at
"""
_LIST = "SELECT id, name, email_from, reply_to, sms_from, created_at FROM tenant ORDER BY id"


async def create(db: Database, tenant: Tenant) -> Tenant:
    """Add a tenant, as checked. Raises ValueError with one plain sentence, TenantExists."""
    wanted = checked(tenant)
    rows = await db.run(
        _CREATE,
        id=wanted.id,
        name=wanted.name,
        email_from=wanted.email_from,
        reply_to=wanted.reply_to,
        sms_from=wanted.sms_from,
    )
    if not rows:
        raise TenantExists(wanted.id)
    return _tenant(rows[0])


async def listed(db: Database) -> list[Tenant]:
    """All of them, by id."""
    return [_tenant(row) for row in await db.run(_LIST)]


async def ensure_dev(db: Database) -> None:
    """Make the tenant `dev` if it is not there."""
    await db.run(_CREATE, id=DEV, name="Development", email_from=None, reply_to=None, sms_from=None)


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
    )


def _sms_sender(text: str) -> str:
    if _NAMED_SENDER.match(text) or _SHORT_CODE.match(text):
        return text
    return phone_number(text)


def _tenant(row: Any) -> Tenant:
    return Tenant(row.id, row.name, row.email_from, row.reply_to, row.sms_from, row.created_at)
