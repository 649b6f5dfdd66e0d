"""A ledger of the test's own, and rows that came in and were sent as in life."""

from collections.abc import AsyncIterator

import pytest_asyncio
from vaults import vault

from ledger.database import Database


@pytest_asyncio.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    """A connection pool to an empty, migrated database."""
    database = Database(database_url, vault=vault(), pool_size=5)
    yield database
    await database.close()
