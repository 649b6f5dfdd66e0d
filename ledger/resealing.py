"""A walk over everything that holds sealed values: what is older than its tenant's newest data key is sealed anew."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson

from domain.submissions import Recipient
from ledger.database import Database
from ledger.keyring import Unreadable
from ledger.sealing import RECIPIENT_ID, DataKey, address_of, content_of, entry_of, version_of
from ledger.vault import Keys, Vault

_ROWS = 500  # looked at by one statement

Change = tuple[Any, ...]  # the key of a row, its values as they are, and as they shall be


@dataclass(frozen=True, slots=True)
class Walked:
    """Rows that were sealed anew, and values that could not be opened."""

    resealed: int
    closed: int


@dataclass(frozen=True, slots=True)
class _Table:
    """`page` reads rows behind a key, `update` changes those that are still as they were read."""

    name: str
    page: str
    last: str  # its last row, in SQL's words
    plain: str  # which of its rows are not sealed
    start: tuple[Any, ...]
    update: str
    columns: tuple[str, ...]  # of a change
    key: Callable[[Any], tuple[Any, ...]]
    stored: Callable[[Any], Sequence[object]]
    anew: Callable[[Any, Keys], Sequence[Any]]  # the values as they shall be; raises Unreadable


def _text(row: Any, place: bytes, stored: str | None, keys: Keys) -> str | None:
    """The same value under the newest key; itself if it is so already."""
    newest = keys.sealing(row.tenant_id)
    if stored is None or version_of(stored) == newest.version:
        return stored
    return newest.seal(place, keys.open(row.tenant_id, place, stored))


def _json(row: Any, place: bytes, stored: Any, keys: Keys) -> str:
    """The same of a JSON column, as JSON."""
    plain = stored if isinstance(stored, str) else orjson.dumps(stored).decode()
    return orjson.dumps(_text(row, place, plain, keys)).decode()


def _delivery(row: Any, keys: Keys) -> Sequence[Any]:
    newest, place = keys.sealing(row.tenant_id), address_of(row.batch_id, row.seq)
    return _text(row, place, row.address, keys), _name(row, place, newest, keys)


def _name(row: Any, place: bytes, newest: DataKey, keys: Keys) -> str:
    version = version_of(row.recipient_id)
    if version == newest.version:
        return row.recipient_id
    id = keys.open(row.tenant_id, RECIPIENT_ID, row.recipient_id)
    addresses = {"": keys.open(row.tenant_id, place, row.address)} if row.address else {}
    personal = version is not None or Recipient(id, addresses).named_by_address
    return newest.seal_same(RECIPIENT_ID, id) if personal else id


_DELIVERY = _Table(
    name="delivery",
    last="batch_id DESC, seq DESC",
    plain="address NOT LIKE 'sealed %'",
    page="""
    SELECT batch_id, seq, tenant_id, address, recipient_id FROM delivery
     WHERE (batch_id, seq) > (CAST(:a AS uuid), CAST(:b AS int)) ORDER BY batch_id, seq LIMIT :most""",
    start=(UUID(int=0), -1),
    update="""
    WITH g AS MATERIALIZED (
        SELECT * FROM unnest(CAST(:batch AS uuid[]), CAST(:seq AS int[]), CAST(:old_address AS text[]),
                             CAST(:old_id AS text[]), CAST(:address AS text[]), CAST(:id AS text[]))
            AS g(batch_id, seq, old_address, old_id, address, id)
    ), locked AS MATERIALIZED (
        SELECT d.batch_id, d.seq, g.address, g.id FROM g JOIN delivery d ON d.batch_id = g.batch_id AND d.seq = g.seq
         WHERE d.address IS NOT DISTINCT FROM g.old_address AND d.recipient_id = g.old_id
         ORDER BY d.batch_id, d.seq FOR NO KEY UPDATE OF d
    )
    UPDATE delivery d SET address = l.address, recipient_id = l.id
      FROM locked l WHERE d.batch_id = l.batch_id AND d.seq = l.seq RETURNING 1""",
    columns=("batch", "seq", "old_address", "old_id", "address", "id"),
    key=lambda row: (row.batch_id, row.seq),
    stored=lambda row: (row.address, row.recipient_id),
    anew=_delivery,
)
_NOTIFICATION = _Table(
    name="notification",
    last="id DESC",
    plain="""jsonb_typeof(content) = 'object' AND content <> '{"text": ""}'""",  # an erased one says nothing
    page="""
    SELECT id, tenant_id, content FROM notification WHERE id > CAST(:a AS uuid) ORDER BY id LIMIT :most""",
    start=(UUID(int=0),),
    update="""
    UPDATE notification n SET content = g.content
      FROM unnest(CAST(:id AS uuid[]), CAST(:old AS jsonb[]), CAST(:content AS jsonb[])) AS g(id, old, content)
     WHERE n.id = g.id AND n.content = g.old RETURNING 1""",
    columns=("id", "old", "content"),
    key=lambda row: (row.id,),
    stored=lambda row: (_as_json(row.content),),
    anew=lambda row, keys: (_json(row, content_of(row.id), row.content, keys),),
)
_RECIPIENT = _Table(
    name="recipient",
    last="tenant_id DESC, id DESC",
    plain="jsonb_typeof(addresses) = 'object'",
    page="""
    SELECT tenant_id, id, addresses FROM recipient
     WHERE (tenant_id, id) > (CAST(:a AS text), CAST(:b AS text)) ORDER BY tenant_id, id LIMIT :most""",
    start=("", ""),
    update="""
    UPDATE recipient r SET addresses = g.addresses
      FROM (SELECT * FROM unnest(CAST(:tenant AS text[]), CAST(:id AS text[]), CAST(:old AS jsonb[]),
                                 CAST(:addresses AS jsonb[])) AS g(tenant_id, id, old, addresses)) AS g
     WHERE r.tenant_id = g.tenant_id AND r.id = g.id AND r.addresses = g.old RETURNING 1""",
    columns=("tenant", "id", "old", "addresses"),
    key=lambda row: (row.tenant_id, row.id),
    stored=lambda row: (_as_json(row.addresses),),
    anew=lambda row, keys: (_json(row, entry_of(row.id), row.addresses, keys),),
)
_TABLES = (_DELIVERY, _NOTIFICATION, _RECIPIENT)

_PLAIN = """
WITH page AS MATERIALIZED ({page})
SELECT (SELECT count(*) FROM page WHERE {plain}) AS n, page.* FROM page ORDER BY {last} LIMIT 1
"""
_SIZE = """
SELECT sum(greatest(c.reltuples, 0))::bigint AS n
  FROM unnest(ARRAY['delivery', 'notification', 'recipient']) AS name
 CROSS JOIN LATERAL pg_partition_tree(name::regclass) t JOIN pg_class c ON c.oid = t.relid WHERE t.isleaf
"""


async def plain(db: Database) -> dict[str, int]:
    """How many rows of each table hold something that is not sealed. It reads all of them."""
    found: dict[str, int] = {}
    for table in _TABLES:
        n, after = 0, table.start
        statement = _PLAIN.format(page=table.page, plain=table.plain, last=table.last)
        while rows := await db.run(statement, most=_ROWS * 4, **_behind(after)):
            n, after = n + rows[0].n, table.key(rows[0])
        found[table.name] = n
    return found


async def size(db: Database) -> int:
    """About how many rows a walk looks at, by the planner's estimate."""
    return (await db.run(_SIZE))[0].n


async def reseal(db: Database, vault: Vault, told: Callable[[int], None]) -> Walked:
    """Look at every row, and seal anew what is plain or sealed with an older key. `told` hears how many were seen."""
    seen = resealed = closed = 0
    for table in _TABLES:
        after = table.start
        while rows := await db.run(table.page, most=_ROWS, **_behind(after)):
            after = table.key(rows[-1])
            changes, unreadable = await _changes(db, vault, table, rows)
            if changes:
                columns = map(list, zip(*changes, strict=True))
                resealed += len(await db.run(table.update, **dict(zip(table.columns, columns, strict=True))))
            closed += unreadable
            seen += len(rows)
            told(seen)
    return Walked(resealed, closed)


async def _changes(db: Database, vault: Vault, table: _Table, rows: Sequence[Any]) -> tuple[list[Change], int]:
    """What has to change of these rows, and how many cannot be read."""
    sealing = await vault.sealing(db.run, {row.tenant_id for row in rows})
    changes: list[Change] = []
    closed = 0
    for row in rows:
        old = table.stored(row)
        try:
            new = table.anew(row, sealing)
        except Unreadable:
            closed += 1
            continue
        if tuple(new) != tuple(old):
            changes.append((*table.key(row), *old, *new))
    return changes, closed


def _behind(key: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip("ab", key, strict=False))


def _as_json(stored: Any) -> str:
    return orjson.dumps(stored).decode()
