"""Brings a database's roles, privileges and row policies to what `ledger/roles.py` says; touches only what differs."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.roles import EVERY_TENANT, FUNCTIONS, ONE_TENANT, SEQUENCES, TABLES, LedgerRole

_PRIVILEGE = re.compile(r"([A-Z]+)(?: \(([^)]*)\))?")
_NOT_ALLOWED = "42501"

# Roles are the cluster's: another database's migration may make the same ones at this moment.
_CREATE = """
DO $$ BEGIN
    CREATE ROLE {role} NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$
"""
_JOIN = "GRANT {role} TO {user} WITH INHERIT FALSE, SET TRUE"

# In one order: two migrations that make the same roles must not wait for each other.
_MISSING = """
SELECT r.name FROM unnest(CAST(:roles AS text[])) AS r(name)
 WHERE NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = r.name) ORDER BY r.name
"""
_CLOSED = """
SELECT r.rolname AS name FROM pg_roles r
 WHERE r.rolname = ANY(CAST(:roles AS text[])) AND NOT pg_has_role(session_user, r.oid, 'SET') ORDER BY r.rolname
"""
_NO_SCHEMA = """
SELECT rolname AS name, quote_ident(current_schema()) AS schema FROM pg_roles
 WHERE rolname = ANY(CAST(:roles AS text[])) AND NOT has_schema_privilege(oid, current_schema(), 'USAGE')
"""

# Every privilege one of the roles has on a thing of ours, partitions too: a thing, a role, a privilege, a column or ''.
_GRANTS = """
WITH ours AS (SELECT oid, rolname FROM pg_roles WHERE rolname = ANY(CAST(:roles AS text[])))
SELECT c.relname AS thing, o.rolname AS role, a.privilege_type AS privilege, '' AS part
  FROM pg_class c CROSS JOIN aclexplode(c.relacl) a JOIN ours o ON o.oid = a.grantee
 WHERE c.relnamespace = current_schema()::regnamespace
UNION ALL
SELECT c.relname, o.rolname, a.privilege_type, t.attname
  FROM pg_class c JOIN pg_attribute t ON t.attrelid = c.oid CROSS JOIN aclexplode(t.attacl) a
  JOIN ours o ON o.oid = a.grantee
 WHERE c.relnamespace = current_schema()::regnamespace
UNION ALL
SELECT p.proname, o.rolname, a.privilege_type, ''
  FROM pg_proc p CROSS JOIN aclexplode(p.proacl) a JOIN ours o ON o.oid = a.grantee
 WHERE p.pronamespace = current_schema()::regnamespace
"""
_POLICIES = """
SELECT c.relname AS thing, quote_ident(p.polname) AS policy FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
 WHERE c.relnamespace = current_schema()::regnamespace AND NOT c.relispartition
"""
_UNGUARDED = """
SELECT c.relname AS thing FROM pg_class c
 WHERE c.relnamespace = current_schema()::regnamespace AND c.relname = ANY(CAST(:tables AS text[]))
   AND NOT c.relrowsecurity
"""


class RolesMissing(Exception):
    """The user that migrates may not make the roles, or may not take them: the text has what an administrator runs."""


@dataclass(frozen=True, slots=True)
class _Policy:
    """Its name holds a mark of what it says, so that an older version's is known by its name."""

    table: str
    name: str
    definition: str

    def create(self) -> str:
        return f"CREATE POLICY {self.name} ON {self.table} {self.definition}"


async def make_roles(connection: AsyncConnection) -> None:
    """Make the roles that are missing, for this connection's user to take. Raises RolesMissing."""
    if not await out_of_reach(connection):
        return
    user = (await _asked(connection, "SELECT quote_ident(session_user) AS name"))[0].name
    missing = [row.name for row in await _asked(connection, _MISSING, roles=_ROLES)]
    try:
        async with connection.begin_nested():
            for role in missing:
                await connection.exec_driver_sql(_CREATE.format(role=role))
            for role in await out_of_reach(connection):
                await connection.exec_driver_sql(_JOIN.format(role=role, user=user))
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != _NOT_ALLOWED:
            raise
        raise RolesMissing(_for_an_administrator(user, missing, await out_of_reach(connection))) from error


async def apply_roles(connection: AsyncConnection) -> None:
    """Put right what differs. The roles and everything in the table must be there."""
    for statement in await differences(connection):
        await connection.exec_driver_sql(statement)


async def differences(connection: AsyncConnection) -> list[str]:
    """What differs from `ledger/roles.py`, as the statements that put it right. It only reads; the roles must exist."""
    shut_out = await _asked(connection, _NO_SCHEMA, roles=_ROLES)
    statements = [f"GRANT USAGE ON SCHEMA {row.schema} TO {row.name}" for row in shut_out]
    statements += _regrants(set(map(tuple, await _asked(connection, _GRANTS, roles=_ROLES))))
    found = {(row.thing, row.policy) for row in await _asked(connection, _POLICIES)}
    wanted = {(policy.table, policy.name): policy for policy in _policies()}
    statements += [f"DROP POLICY {name} ON {table}" for table, name in sorted(found - wanted.keys())]
    statements += [policy.create() for key, policy in wanted.items() if key not in found]
    guarded = [name for name, table in TABLES.items() if table.own]
    unguarded = await _asked(connection, _UNGUARDED, tables=guarded)
    statements += [f"ALTER TABLE {row.thing} ENABLE ROW LEVEL SECURITY" for row in unguarded]
    return statements


async def out_of_reach(connection: AsyncConnection) -> list[str]:
    """The roles that are not there, or that this connection's user may not take."""
    missing = await _asked(connection, _MISSING, roles=_ROLES)
    return [row.name for row in [*missing, *await _asked(connection, _CLOSED, roles=_ROLES)]]


def _for_an_administrator(user: str, missing: Sequence[str], closed: Sequence[str]) -> str:
    lines = [f"The user {user} may not make or take Clarion's database roles. An administrator has to run:"]
    lines += [f"  CREATE ROLE {role} NOLOGIN;" for role in missing]
    lines += [f"  {_JOIN.format(role=role, user=user)};" for role in closed]
    return "\n".join([*lines, "Then run `clarion migrate` again."])


def _regrants(found: set[tuple[str, str, str, str]]) -> Iterator[str]:
    """Where a role has not just what it should on a thing: all of it taken, and given anew."""
    wanted = set(_grants())
    for thing, role in sorted({(each[0], each[1]) for each in wanted ^ found}):
        kind = "SEQUENCE " if thing in SEQUENCES else "FUNCTION " if thing in FUNCTIONS else "TABLE "
        yield f"REVOKE ALL ON {kind}{thing} FROM {role}"
        may = _may(thing).get(LedgerRole(role))
        if may:
            yield f"GRANT {may} ON {kind}{thing} TO {role}"


def _may(thing: str) -> dict[LedgerRole, str]:
    if thing in TABLES:
        return dict(TABLES[thing].may)
    return dict(SEQUENCES.get(thing) or FUNCTIONS.get(thing) or {})


def _grants() -> Iterator[tuple[str, str, str, str]]:
    """What every role should have, as `_GRANTS` finds it."""
    for thing in (*TABLES, *SEQUENCES, *FUNCTIONS):
        for role, may in _may(thing).items():
            for privilege, columns in _PRIVILEGE.findall(may):
                for column in columns.split(", ") if columns else ("",):
                    yield thing, role.value, privilege, column


def _policies() -> Iterator[_Policy]:
    for name, table in TABLES.items():
        if table.own:
            every = [role for role in EVERY_TENANT if role in table.may]
            yield _policy(name, "own", f"TO {', '.join(ONE_TENANT)} USING ({table.own})")
            if every:
                yield _policy(name, "every", f"TO {', '.join(every)} USING (true)")


def _policy(table: str, what: str, definition: str) -> _Policy:
    return _Policy(table, f"{what}_{sha256(definition.encode()).hexdigest()[:8]}", definition)


async def _asked(connection: AsyncConnection, statement: str, **values: Any) -> Sequence[Any]:
    return (await connection.execute(text(statement), values)).all()


_ROLES = [role.value for role in LedgerRole]
