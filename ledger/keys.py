"""API keys: `clr_<12 visible characters>_<secret>`. The ledger knows the visible part and a hash of the rest."""

import hmac
import re
import secrets
import string
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any

from ledger.database import Database

_VISIBLE = 12
_SECRET_BYTES = 32  # 256 random bits: a plain SHA-256 of them cannot be searched
_FORM = re.compile(r"clr_([a-z0-9]{12})_([A-Za-z0-9_-]{43})\Z")
_LETTERS = string.ascii_lowercase + string.digits


class Role(StrEnum):
    """What a key is for."""

    SEND = "send"
    READ = "read"
    ADMIN = "admin"  # all that concerns one tenant
    OPERATOR = "operator"  # of no tenant: runs the service


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. An operator has no tenant; a development call has no key."""

    tenant: str | None
    role: Role
    key_prefix: str | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """What may be shown of a key."""

    prefix: str
    tenant: str | None
    role: Role
    created_at: datetime
    revoked_at: datetime | None


_CREATE = """
INSERT INTO api_key (prefix, hash, tenant_id, role)
SELECT :prefix, :hash, CAST(:tenant AS text), :role
 WHERE CAST(:tenant AS text) IS NULL OR EXISTS (SELECT 1 FROM tenant WHERE id = :tenant)
RETURNING prefix, tenant_id, role, created_at, revoked_at
"""
_LIST = """
SELECT prefix, tenant_id, role, created_at, revoked_at FROM api_key
 WHERE CAST(:tenant AS text) IS NULL OR tenant_id = :tenant ORDER BY created_at, prefix
"""
_REVOKE = "UPDATE api_key SET revoked_at = now() WHERE prefix = :prefix AND revoked_at IS NULL RETURNING prefix"
_FIND = "SELECT hash, tenant_id, role FROM api_key WHERE prefix = :prefix AND revoked_at IS NULL"


async def create(db: Database, tenant: str | None, role: Role) -> tuple[Key, str]:
    """A new key and its text, which can never be shown again. Only an operator's key has no tenant.

    Raises ValueError with one plain sentence, also for a tenant that is not there.
    """
    if (tenant is None) != (role is Role.OPERATOR):
        raise ValueError("An operator's key belongs to no tenant; any other key needs one.")
    prefix = "".join(secrets.choice(_LETTERS) for _ in range(_VISIBLE))
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    rows = await db.run(_CREATE, prefix=prefix, hash=_hash(secret), tenant=tenant, role=role.value)
    if not rows:
        raise ValueError(f"There is no tenant {tenant!r}.")
    return _key(rows[0]), f"clr_{prefix}_{secret}"


async def listed(db: Database, tenant: str | None = None) -> list[Key]:
    """The keys of a tenant, or all, oldest first."""
    return [_key(row) for row in await db.run(_LIST, tenant=tenant)]


async def revoke(db: Database, prefix: str) -> bool:
    """Make a key worthless; False if there is no such key in force. `prefix` with or without `clr_`."""
    return bool(await db.run(_REVOKE, prefix=prefix.removeprefix("clr_")))


async def authenticate(db: Database, presented: str) -> Principal | None:
    """Whose key this is; None for one that is not, or no longer, in force."""
    form = _FORM.match(presented)
    if form is None:
        return None
    rows = await db.run(_FIND, prefix=form[1])
    if not rows or not hmac.compare_digest(_hash(form[2]), rows[0].hash):
        return None
    return Principal(rows[0].tenant_id, Role(rows[0].role), form[1])


def _hash(secret: str) -> bytes:
    return sha256(secret.encode()).digest()


def _key(row: Any) -> Key:
    return Key(row.prefix, row.tenant_id, Role(row.role), row.created_at, row.revoked_at)
