"""Changing keys: data keys wrapped anew under the newest key, new data keys, and the old ones destroyed."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ledger import audit, resealing
from ledger.audit import By
from ledger.database import Database, repeated
from ledger.keyring import KEY_BYTES, Keyring, Unreadable
from ledger.vault import FRESH, Vault

_PAGE = 500
# Seconds after a new data key within which some process may still seal with the one before, and commit that.
_SETTLED = FRESH + 240.0

_BY_KEY = """
SELECT kek_id, count(*) AS data_keys, count(DISTINCT tenant_id) AS tenants FROM tenant_key
 GROUP BY kek_id ORDER BY kek_id
"""
_TWO = "SELECT count(*) AS n FROM (SELECT 1 FROM tenant_key GROUP BY tenant_id HAVING count(*) > 1) AS each"

_WRAPPED = """
SELECT tenant_id, version, kek_id, wrapped FROM tenant_key
 WHERE kek_id <> :newest AND (tenant_id, version) > (CAST(:tenant AS text), CAST(:version AS int))
 ORDER BY tenant_id, version LIMIT :most
"""
_REWRAP = """
UPDATE tenant_key k SET kek_id = :newest, wrapped = g.wrapped
  FROM unnest(CAST(:tenants AS text[]), CAST(:versions AS int[]), CAST(:old AS text[]), CAST(:wrapped AS bytea[]))
       AS g(tenant_id, version, old, wrapped)
 WHERE k.tenant_id = g.tenant_id AND k.version = g.version AND k.kek_id = g.old RETURNING 1
"""

# A tenant with two is still on its way from one to the other: it gets no third.
_ONE = """
SELECT tenant_id, max(version) AS version FROM tenant_key WHERE tenant_id > :after
 GROUP BY tenant_id HAVING count(*) = 1 ORDER BY tenant_id LIMIT :most
"""
_RENEW = """
INSERT INTO tenant_key (tenant_id, version, kek_id, wrapped)
SELECT g.tenant_id, g.version, :kek, g.wrapped
  FROM unnest(CAST(:tenants AS text[]), CAST(:versions AS int[]), CAST(:wrapped AS bytea[]))
       AS g(tenant_id, version, wrapped)
ON CONFLICT DO NOTHING RETURNING 1
"""
_DESTROY = """
DELETE FROM tenant_key k USING (
       SELECT tenant_id, max(version) AS version, max(created_at) AS since FROM tenant_key GROUP BY tenant_id) AS newest
 WHERE k.tenant_id = newest.tenant_id AND k.version < newest.version
   AND newest.since < CAST(:began AS timestamptz) - make_interval(secs => :settled) RETURNING 1
"""


@dataclass(frozen=True, slots=True)
class Wraps:
    """What one key of the setting, or one that was, wraps."""

    key: str
    known: bool  # the setting has it
    data_keys: int
    tenants: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How the keys stand. `changing`: tenants on their way from one data key to the next."""

    wraps: tuple[Wraps, ...]
    changing: int


@dataclass(frozen=True, slots=True)
class Rotated:
    """What was done. `lost`: data keys that could not be unwrapped, with why; nothing was changed of them."""

    rewrapped: int
    lost: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Renewed:
    """What was done. `waiting`: old data keys that a process may still use; another run destroys them."""

    made: int
    resealed: int
    closed: int  # values that could not be opened: their old keys are kept
    destroyed: int
    waiting: int


async def standing(db: Database, keyring: Keyring) -> Standing:
    """Which keys wrap how much. The setting's come first, in its order."""
    found = {row.kek_id: row for row in await db.run(_BY_KEY)}
    ids = [*keyring.ids, *(id for id in found if id not in keyring.ids)]
    numbers = {id: (found[id].data_keys, found[id].tenants) if id in found else (0, 0) for id in ids}
    changing = (await db.run(_TWO))[0].n
    return Standing(tuple(Wraps(id, id in keyring.ids, *numbers[id]) for id in ids), changing)


async def rewrap(db: Database, keyring: Keyring, by: By) -> Rotated:
    """Wrap every data key under the newest key. Nothing that is sealed changes; repeating it does no harm."""
    await _noted(db, by, "secrets.rewrap", keyring.newest)
    rewrapped, lost = 0, list[str]()
    at: dict[str, Any] = {"tenant": "", "version": 0}
    while rows := await db.run(_WRAPPED, newest=keyring.newest, most=_PAGE, **at):
        at = {"tenant": rows[-1].tenant_id, "version": rows[-1].version}
        changed: list[tuple[str, int, str, bytes]] = []
        for row in rows:
            try:
                data_key = keyring.unwrap(row.kek_id, row.tenant_id, row.version, bytes(row.wrapped))
            except Unreadable as error:
                lost.append(str(error))
                continue
            wrapped = keyring.wrap(row.tenant_id, row.version, data_key)
            changed.append((row.tenant_id, row.version, row.kek_id, wrapped))
        if changed:
            values = dict(
                zip(("tenants", "versions", "old", "wrapped"), map(list, zip(*changed, strict=True)), strict=True)
            )
            rewrapped += len(await db.run(_REWRAP, newest=keyring.newest, **values))
    return Rotated(rewrapped, tuple(lost))


async def renew(db: Database, keyring: Keyring, by: By, told: Callable[[int], None] = lambda rows: None) -> Renewed:
    """Give every tenant a new data key, seal all rows anew with it, and destroy the old keys when nobody can use them.

    Rows older than sealing are sealed by it. To be repeated after a crash: it passes over what is done. `told` hears
    the number of rows looked at.
    """
    began: datetime = (await db.run("SELECT now() AS at"))[0].at
    await _noted(db, by, "secrets.renew", keyring.newest)
    made = await _make(db, keyring)
    walked = await resealing.reseal(db, Vault(keyring), told)
    destroyed = 0 if walked.closed else len(await db.run(_DESTROY, began=began, settled=_SETTLED))
    waiting = (await db.run(_TWO))[0].n
    return Renewed(made, walked.resealed, walked.closed, destroyed, waiting)


async def _make(db: Database, keyring: Keyring) -> int:
    made, after = 0, ""
    while rows := await db.run(_ONE, after=after, most=_PAGE):
        after = rows[-1].tenant_id
        tenants, versions = [row.tenant_id for row in rows], [row.version + 1 for row in rows]
        made += len(
            await db.run(_RENEW, kek=keyring.newest, tenants=tenants, versions=versions, wrapped=_new(keyring, rows))
        )
    return made


def _new(keyring: Keyring, rows: Sequence[Any]) -> list[bytes]:
    return [keyring.wrap(row.tenant_id, row.version + 1, os.urandom(KEY_BYTES)) for row in rows]


async def _noted(db: Database, by: By, action: str, key: str) -> None:
    """At the beginning: it is many transactions, and may be interrupted."""

    async def once() -> None:
        async with db.begin() as connection:
            await audit.record(connection, by, action, key)

    await repeated(once)
