"""Brings a database to this version's shape."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from ledger.database import opener, sqlalchemy_url
from ledger.granting import apply_roles, make_roles
from ledger.partitions import ensure_partitions

_LOCK = 7_262_011  # any number: two processes that migrate at once take turns


async def migrate(url: str) -> str:
    """Apply what is missing, make the partitions of this and the next months, and see that the roles are in force.

    Returns the revision now in force. Raises RolesMissing.
    """
    engine = create_async_engine(sqlalchemy_url(url), async_creator=opener(url))
    try:
        async with engine.begin() as connection:
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
            await make_roles(connection)
            await connection.run_sync(_upgrade)
            await ensure_partitions(connection)
            await apply_roles(connection)
            revision = await connection.execute(text("SELECT version_num FROM alembic_version"))
            return str(revision.scalar_one())
    finally:
        await engine.dispose()


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
