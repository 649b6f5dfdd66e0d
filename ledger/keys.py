"""API keys: `clr_<12 visible characters>_<secret>`. The ledger knows the visible part and a hash of the rest."""

import hmac
import re
import secrets
import string
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import audit
from ledger.audit import By
from ledger.database import Database, execute

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
    suspended: bool = False  # its tenant is

    @property
    def actor(self) -> str:
        """As the audit log names it."""
        return f"clr_{self.key_prefix}" if self.key_prefix else "dev"


@dataclass(frozen=True, slots=True)
class Key:
    """What may be shown of a key. `role` as text."""

    prefix: str
    tenant: str | None
    role: str
    name: str | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None  # to the minute


OVERLAP = timedelta(hours=24)  # a key that was rotated goes on for so long, unless another time is wanted
LONGEST_OVERLAP = timedelta(days=365)

_SHOWN = "prefix, tenant_id, role, name, created_at, expires_at, revoked_at, last_used_at"
_IN_FORCE = "revoked_at IS NULL AND coalesce(expires_at > now(), true)"

_CREATE = f"""
INSERT INTO api_key (prefix, hash, tenant_id, role, name)
SELECT :prefix, :hash, CAST(:tenant AS text), :role, :name
 WHERE CAST(:tenant AS text) IS NULL OR EXISTS (SELECT 1 FROM tenant WHERE id = :tenant)
RETURNING {_SHOWN}
"""
_LIST = f"""
SELECT {_SHOWN} FROM api_key
 WHERE CAST(:tenant AS text) IS NULL OR tenant_id = :tenant ORDER BY created_at, prefix
"""
_OF = "prefix = :prefix AND (CAST(:tenant AS text) IS NULL OR tenant_id = :tenant)"
_REVOKE = f"UPDATE api_key SET revoked_at = now() WHERE {_OF} AND {_IN_FORCE} RETURNING tenant_id"
_END = f"""
UPDATE api_key SET expires_at = least(expires_at, now() + make_interval(secs => :overlap))
 WHERE {_OF} AND {_IN_FORCE} RETURNING tenant_id, role, name
"""
_FIND = f"""
SELECT k.hash, k.tenant_id, k.role, t.suspended_at IS NOT NULL AS suspended
  FROM api_key k LEFT JOIN tenant t ON t.id = k.tenant_id WHERE k.prefix = :prefix AND {_IN_FORCE}
"""
_USED = """
UPDATE api_key SET last_used_at = date_trunc('minute', now())
 WHERE prefix = ANY(CAST(:prefixes AS text[])) AND coalesce(last_used_at < now() - interval '1 minute', true)
"""


async def create(db: Database, tenant: str | None, role: Role, by: By, name: str | None = None) -> tuple[Key, str]:
    """A new key and its text, which can never be shown again. Only an operator's key has no tenant.

    Raises ValueError with one plain sentence, also for a tenant that is not there.
    """
    if (tenant is None) != (role is Role.OPERATOR):
        raise ValueError("An operator's key belongs to no tenant; any other key needs one.")
    if name is not None and not (1 <= len(name.strip()) <= 100 and name.isprintable()):
        raise ValueError("A key's name is 1 to 100 printable characters.")
    async with db.begin() as connection:
        made = await _made(connection, tenant, role, name.strip() if name else None)
        await audit.record(connection, by, "key.create", f"clr_{made[0].prefix}", tenant=tenant, detail={"role": role})
    return made


async def listed(db: Database, tenant: str | None = None) -> list[Key]:
    """The keys of a tenant, or all, oldest first."""
    return [Key(*row) for row in await db.run(_LIST, tenant=tenant)]


async def rotate(
    db: Database, prefix: str, by: By, *, overlap: timedelta = OVERLAP, tenant: str | None = None
) -> tuple[Key, str] | None:
    """A new key like this one, which itself ends after the overlap. None if no such key is in force.

    `prefix` with or without `clr_`; `tenant` None: of any. Raises ValueError with one plain sentence.
    """
    if not timedelta() <= overlap <= LONGEST_OVERLAP:
        raise ValueError("A key that is rotated goes on for 0 s to 365 days.")
    async with db.begin() as connection:
        values = {"prefix": prefix.removeprefix("clr_"), "tenant": tenant, "overlap": overlap.total_seconds()}
        old = await execute(connection, _END, values)
        if not old:
            return None
        made = await _made(connection, old[0].tenant_id, Role(old[0].role), old[0].name)
        detail = {"successor": f"clr_{made[0].prefix}", "overlap_seconds": overlap.total_seconds()}
        subject = f"clr_{values['prefix']}"
        await audit.record(connection, by, "key.rotate", subject, tenant=old[0].tenant_id, detail=detail)
    return made


async def revoke(db: Database, prefix: str, by: By, tenant: str | None = None) -> bool:
    """Make a key worthless; False if there is no such key in force. `prefix` with or without `clr_`."""
    bare = prefix.removeprefix("clr_")
    async with db.begin() as connection:
        gone = await execute(connection, _REVOKE, {"prefix": bare, "tenant": tenant})
        if gone:
            await audit.record(connection, by, "key.revoke", f"clr_{bare}", tenant=gone[0].tenant_id)
    return bool(gone)


async def used(db: Database, prefixes: Collection[str]) -> None:
    """Note, to the minute, that these keys were used now. Raises LedgerUnavailable."""
    if prefixes:
        await db.run(_USED, prefixes=list(prefixes))


async def authenticate(db: Database, presented: str) -> Principal | None:
    """Whose key this is; None for one that is not, or no longer, in force."""
    form = _FORM.match(presented)
    if form is None:
        return None
    rows = await db.run(_FIND, prefix=form[1])
    if not rows or not hmac.compare_digest(_hash(form[2]), rows[0].hash):
        return None
    return Principal(rows[0].tenant_id, Role(rows[0].role), form[1], rows[0].suspended)


async def _made(connection: AsyncConnection, tenant: str | None, role: Role, name: str | None) -> tuple[Key, str]:
    prefix = "".join(secrets.choice(_LETTERS) for _ in range(_VISIBLE))
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    values = {"prefix": prefix, "hash": _hash(secret), "tenant": tenant, "role": role.value, "name": name}
    rows = await execute(connection, _CREATE, values)
    if not rows:
        raise ValueError(f"There is no tenant {tenant!r}.")
    return Key(*rows[0]), f"clr_{prefix}_{secret}"


def _hash(secret: str) -> bytes:
    return sha256(secret.encode()).digest()
