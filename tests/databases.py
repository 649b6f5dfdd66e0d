"""Empty, migrated databases for one test at a time: emptied and used again where a test has left nothing but rows.

To copy the template takes half a second of a core, ten times what it takes to empty most.
"""

import uuid
from typing import Any

import asyncpg

# All that tests might change besides rows. Statistics are among it: plans come from them.
_SHAPE = """
SELECT md5(string_agg(x, ' ' ORDER BY x)) FROM (
    SELECT concat_ws(' ', 'class', oid, relname, relkind, relowner, relacl, relrowsecurity, relforcerowsecurity,
                     reloptions) AS x
      FROM pg_class WHERE oid >= 16384
    UNION ALL SELECT concat_ws(' ', 'attribute', attrelid, attname, xmin) FROM pg_attribute WHERE attrelid >= 16384
    UNION ALL SELECT concat_ws(' ', 'constraint', oid, xmin) FROM pg_constraint WHERE oid >= 16384
    UNION ALL SELECT concat_ws(' ', 'index', indexrelid, xmin) FROM pg_index WHERE indexrelid >= 16384
    UNION ALL SELECT concat_ws(' ', 'trigger', oid, xmin) FROM pg_trigger WHERE oid >= 16384
    UNION ALL SELECT concat_ws(' ', 'policy', oid, xmin) FROM pg_policy
    UNION ALL SELECT concat_ws(' ', 'function', oid, xmin) FROM pg_proc WHERE oid >= 16384
    UNION ALL SELECT concat_ws(' ', 'schema', oid, nspacl) FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp_'
    UNION ALL SELECT concat_ws(' ', 'extension', oid, extversion) FROM pg_extension
    UNION ALL SELECT concat_ws(' ', 'statistic', starelid, staattnum) FROM pg_statistic WHERE starelid >= 16384
    UNION ALL SELECT concat_ws(' ', 'setting', setrole, setconfig) FROM pg_db_role_setting s
                JOIN pg_database d ON d.oid = s.setdatabase AND d.datname = current_database()
    UNION ALL SELECT concat_ws(' ', 'version', version_num) FROM alembic_version
    UNION ALL SELECT concat_ws(' ', 'database', datdba, datacl) FROM pg_database WHERE datname = current_database()
) AS shape
"""
_ALONE = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_USED = """
SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND c.oid >= 16384 AND c.relname <> 'alembic_version' AND pg_relation_size(c.oid) > 0
"""


class Databases:
    """Of one test process."""

    def __init__(self, server: str, template: str) -> None:
        """`server`: URL of a database on it from which others can be made."""
        self._server, self._template = server, template
        self._free: list[str] = []
        self._shape: str | None = None

    async def take(self) -> str:
        """The URL of an empty one."""
        if self._free:
            return self._free.pop()
        name = f"test_{uuid.uuid4().hex}"
        await execute(self._server, f"CREATE DATABASE {name} TEMPLATE {self._template}")
        url = self.url_of(name)
        if self._shape is None:
            ((self._shape,),) = await execute(url, _SHAPE)
        return url

    async def give(self, url: str) -> None:
        """Empty it for the next test, or drop it where that would not make it as new."""
        if await self._emptied(url):
            self._free.append(url)
        else:
            await execute(self._server, f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)")

    def url_of(self, name: str) -> str:
        """Of another database of the server."""
        return f"{self._server.rpartition('/')[0]}/{name}"

    async def _emptied(self, url: str) -> bool:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(_ALONE)
            if used := [row[0] for row in await connection.fetch(_USED)]:
                await connection.execute("SET session_replication_role = replica")  # the audit log forbids it
                await connection.execute(f"TRUNCATE {', '.join(used)} RESTART IDENTITY CASCADE")
            await connection.execute("SELECT pg_stat_reset()")
            return await connection.fetchval(_SHAPE) == self._shape
        finally:
            await connection.close()


async def execute(url: str, statement: str) -> list[Any]:
    """One statement on a connection of its own."""
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetch(statement)
    finally:
        await connection.close()
