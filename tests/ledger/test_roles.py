"""Roles: the table of who may do what covers every table there is, a database is brought to it, and it holds."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from sqlalchemy.exc import DBAPIError

from ledger import database
from ledger.database import Database, LedgerUnavailable, sqlstate
from ledger.granting import RolesMissing, apply_roles, differences, out_of_reach
from ledger.migrate import migrate
from ledger.partitions import ensure_partitions, floor_of
from ledger.roles import FUNCTIONS, ONE_TENANT, SEQUENCES, TABLES, LedgerRole

INTAKE, RECEIPTS, WORKER, OPERATE = LedgerRole.INTAKE, LedgerRole.RECEIPTS, LedgerRole.WORKER, LedgerRole.OPERATE
API_READ, API_WRITE = ONE_TENANT

_THINGS = """
SELECT relname AS name FROM pg_class
 WHERE relnamespace = current_schema()::regnamespace AND relkind::text = ANY(:kinds) AND NOT relispartition
"""
# An identity's sequence needs no privilege of its own.
_SEQUENCES = """
SELECT c.relname AS name FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'S'
   AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'i')
"""
_STRONG_FUNCTIONS = (
    "SELECT proname AS name FROM pg_proc WHERE pronamespace = current_schema()::regnamespace AND prosecdef"
)


async def names(db: Database, statement: str, **values: object) -> set[str]:
    return {row.name for row in await db.run(statement, **values)}


async def test_everything_in_the_database_has_its_place_in_the_table(db: Database) -> None:
    """A new table, sequence or strong function has to say in ledger/roles.py who may use it."""
    assert await names(db, _THINGS, kinds=["r", "p", "v", "m"]) == set(TABLES)
    assert await names(db, _SEQUENCES) == set(SEQUENCES)
    assert await names(db, _STRONG_FUNCTIONS) == set(FUNCTIONS)


def test_what_roles_of_one_tenant_may_touch_is_held_to_the_tenant() -> None:
    assert not [name for name, table in TABLES.items() if not table.own and set(ONE_TENANT) & set(table.may)]


async def test_what_always_has_a_tenant_is_held_to_it_by_that_column(db: Database) -> None:
    having = """SELECT table_name AS name FROM information_schema.columns
                 WHERE column_name = 'tenant_id' AND table_schema = current_schema() AND is_nullable = 'NO'"""
    by_column = await names(db, having) & {name for name, table in TABLES.items() if table.own}
    assert len(by_column) > 5
    assert [name for name in by_column if not str(TABLES[name].own).startswith("tenant_id = ")] == []


async def test_a_migrated_database_is_as_the_table_says(db: Database) -> None:
    async with db.begin() as connection:
        assert await out_of_reach(connection) == []
        assert await differences(connection) == []


async def test_what_somebody_changed_is_put_right(db: Database) -> None:
    changes = (
        f"GRANT DELETE ON delivery TO {WORKER}",
        f"GRANT SELECT ON delivery_default TO {API_READ}",
        f"GRANT UPDATE (hash) ON api_key TO {OPERATE}",
        f"REVOKE SELECT ON notification FROM {API_READ}",
        'CREATE POLICY "Any other" ON delivery USING (true)',
        "ALTER TABLE recipient DISABLE ROW LEVEL SECURITY",
    )
    for change in changes:
        await db.run(change)
    async with db.begin() as connection:
        wrong = await differences(connection)
        assert len(wrong) >= len(changes)
        await apply_roles(connection)
        assert await differences(connection) == []
    async with db.begin() as connection:
        await connection.exec_driver_sql("DROP FUNCTION make_month")
        assert await differences(connection), "what is gone is missed"


# What is not a role's own, by the statement it would take.
FORBIDDEN = [
    (INTAKE, "UPDATE tenant_key SET wrapped = ''"),
    (API_WRITE, "DELETE FROM tenant_key"),
    (WORKER, "INSERT INTO tenant_key (tenant_id) VALUES ('x')"),
    (OPERATE, "UPDATE tenant_key SET kek_id = 'x'"),
    (RECEIPTS, "DELETE FROM tenant_key"),
    (API_READ, "INSERT INTO tenant_key (tenant_id) VALUES ('x')"),
    (INTAKE, "UPDATE delivery SET status = 'delivered'"),
    (INTAKE, "SELECT address FROM delivery"),
    (INTAKE, "SELECT content FROM notification"),
    (INTAKE, "DELETE FROM idempotency_key"),
    (INTAKE, "SELECT term FROM search_entry"),
    (INTAKE, "INSERT INTO receipt (provider, event_id) VALUES ('x', 'x')"),
    (INTAKE, "SELECT 1 FROM api_key"),
    (RECEIPTS, "UPDATE delivery SET address = 'x'"),
    (RECEIPTS, "UPDATE delivery SET key_no = 1"),
    (RECEIPTS, "INSERT INTO notification (id) VALUES (NULL)"),
    (RECEIPTS, "SELECT content FROM notification"),
    (RECEIPTS, "DELETE FROM receipt"),
    (RECEIPTS, "SELECT 1 FROM recipient"),
    (WORKER, "DELETE FROM delivery"),
    (WORKER, "UPDATE delivery SET tenant_id = 'x'"),
    (WORKER, "UPDATE delivery SET address = 'x'"),
    (WORKER, "UPDATE notification SET content = '{}'"),
    (WORKER, "INSERT INTO delivery (batch_id) VALUES (NULL)"),
    (WORKER, "UPDATE delivery_event SET new = 'sent'"),
    (WORKER, "DELETE FROM delivery_event"),
    (WORKER, "SELECT 1 FROM recipient"),
    (WORKER, "UPDATE search_entry SET term = 'x'"),
    (WORKER, "SELECT 1 FROM api_key"),
    (WORKER, "CREATE TABLE more (id int)"),
    (API_READ, "SELECT hash FROM api_key"),
    (API_READ, "SELECT name FROM tenant"),
    (API_READ, "SELECT 1 FROM idempotency_key"),
    (API_READ, "SELECT 1 FROM delivery_default"),
    (API_READ, "UPDATE notification SET send_at = now()"),
    (API_READ, "SELECT 1 FROM notification FOR UPDATE"),
    (API_READ, "DELETE FROM recipient"),
    (API_READ, "DELETE FROM search_entry"),
    (API_READ, "SELECT make_month(now())"),
    (API_WRITE, "SELECT hash FROM api_key"),
    (API_WRITE, "UPDATE notification SET tenant_id = 'x'"),
    (API_WRITE, "UPDATE delivery SET tenant_id = 'x'"),
    (API_WRITE, "DELETE FROM delivery"),
    (API_WRITE, "UPDATE statistic SET n = 0"),
    (OPERATE, "SELECT content FROM notification"),
    (OPERATE, "SELECT 1 FROM recipient"),
    (API_WRITE, "UPDATE api_key SET tenant_id = NULL"),
    (API_WRITE, "SELECT 1 FROM audit"),
    (OPERATE, "DELETE FROM audit"),
    (OPERATE, "UPDATE api_key SET hash = ''"),
    (OPERATE, "DELETE FROM provider_event"),
    *((role, "DROP TABLE tenant") for role in LedgerRole),
    *((role, "ALTER TABLE delivery DISABLE ROW LEVEL SECURITY") for role in LedgerRole),
    *((role, "UPDATE alembic_version SET version_num = '0'") for role in LedgerRole),
]


@pytest.mark.parametrize("role", LedgerRole)
async def test_a_role_cannot_do_what_is_not_its_own(database_url: str, role: LedgerRole) -> None:
    db = Database(database_url, role=role, pool_size=1)
    forbidden = [statement for of, statement in FORBIDDEN if of is role]
    assert len(forbidden) > 5
    try:
        for statement in forbidden:
            with pytest.raises(DBAPIError) as caught:
                await db.run(statement)
            assert sqlstate(caught.value) == "42501", (role, statement, caught.value.orig)
    finally:
        await db.close()


async def test_the_worker_makes_months_though_it_owns_nothing(db: Database, database_url: str) -> None:
    worker = Database(database_url, role=WORKER, pool_size=1)
    try:
        async with worker.begin() as connection:
            await ensure_partitions(connection, datetime(2031, 12, 31, 23, 59, tzinfo=UTC))
    finally:
        await worker.close()
    made = await names(db, "SELECT relname AS name FROM pg_class WHERE relname ~ '^delivery_203._..$'")
    assert made == {"delivery_2031_12", "delivery_2032_01", "delivery_2032_02"}
    (january,) = await db.run(
        "SELECT pg_get_expr(relpartbound, oid) AS bounds FROM pg_class WHERE relname = 'delivery_2032_01'"
    )
    start, after = (floor_of(datetime(2032, month, 1, tzinfo=UTC)) for month in (1, 2))
    assert january.bounds == f"FOR VALUES FROM ('{start}') TO ('{after}')"


@asynccontextmanager
async def login(database_url: str, db: Database) -> AsyncIterator[str]:
    """A user without any rights, who owns the database of this test; its URL."""
    name = f"user_{uuid4().hex[:12]}"
    url = urlsplit(database_url)
    await db.run(f"CREATE ROLE {name} LOGIN PASSWORD 'secret'")
    await db.run(f"CREATE DATABASE {name} OWNER {name}")
    try:
        yield url._replace(netloc=f"{name}:secret@{url.hostname}:{url.port}", path=f"/{name}").geturl()
    finally:
        await db.run(f"DROP DATABASE {name} WITH (FORCE)")
        await db.run(f"DROP ROLE {name}")


async def test_a_user_who_may_not_make_roles_is_told_what_an_administrator_does(
    db: Database, database_url: str
) -> None:
    async with login(database_url, db) as url:
        closed = Database(url, role=WORKER, pool_size=1)
        with pytest.raises(LedgerUnavailable):
            await closed.run("SELECT 1")
        await closed.close()
        with pytest.raises(RolesMissing) as caught:
            await migrate(url)
        statements = [line.strip() for line in str(caught.value).splitlines() if line.startswith("  ")]
        assert len(statements) == len(LedgerRole)
        for statement in statements:
            await db.run(statement)
        await migrate(url)
        for role in LedgerRole:
            taken = Database(url, role=role, pool_size=1)
            assert (await taken.run("SELECT current_user AS name"))[0].name == role
            await taken.close()


async def test_a_login_that_owns_nothing_can_only_take_roles(db: Database, database_url: str) -> None:
    """The way to run processes that cannot get around row-level security, whatever they are made to say."""
    async with login(database_url, db) as url:
        name = str(urlsplit(url).username)
        await db.run(f"GRANT {API_READ} TO {name} WITH INHERIT FALSE, SET TRUE")
        here = urlsplit(url)._replace(path=urlsplit(database_url).path).geturl()
        plain, reader = Database(here, pool_size=1), Database(here, role=API_READ, pool_size=1)
        worker = Database(here, role=WORKER, pool_size=1)
        assert await reader.of("acme").run("SELECT 1 FROM notification") == []
        with pytest.raises(DBAPIError, match="permission denied"):
            await plain.run("SELECT 1 FROM notification")
        with pytest.raises(LedgerUnavailable):
            await worker.run("SELECT 1")
        for each in (plain, reader, worker):
            await each.close()


async def test_a_connection_without_its_role_is_not_used(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As behind a pooler that drops what a client asks for when it connects."""
    monkeypatch.setattr(database.asyncpg, "connect", partial(_without_role, database.asyncpg.connect))
    db = Database(database_url, role=API_READ, pool_size=1)
    with pytest.raises(LedgerUnavailable, match="not clarion_api_read"):
        await db.run("SELECT 1")
    await db.close()


async def _without_role(connect: Callable[..., Any], *words: Any, server_settings: dict[str, str], **more: Any) -> Any:
    return await connect(*words, server_settings={**server_settings, "role": "none"}, **more)
