"""Can the ledger be written to, and has it this version's shape?"""

import asyncio

from ledger.database import Database, LedgerUnavailable

_WITHIN = 2.0  # seconds

_ASK = "SELECT (SELECT version_num FROM alembic_version) AS revision, pg_is_in_recovery() AS read_only"


async def check(db: Database) -> str:
    """The revision in force. Raises LedgerUnavailable, also for a server that only reads or does not answer in 2 s."""
    try:
        async with asyncio.timeout(_WITHIN):
            row = (await db.run(_ASK))[0]
    except TimeoutError as error:
        raise LedgerUnavailable("no answer") from error
    if row.read_only:
        raise LedgerUnavailable("read only")
    return row.revision
