"""The key `clarion dev` prints: of tenant `dev`, kept for the next start, and nobody else's to read."""

import stat
from pathlib import Path

import pytest

from ledger import keys
from ledger.audit import By
from ledger.database import Database
from ledger.keys import Role
from workers.embedded.dev_key import dev_key
from workers.embedded.layout import Addresses


@pytest.fixture
def stack(database_url: str, tmp_path: Path) -> Addresses:
    """A stack whose database is there."""
    return Addresses(
        apis=(),
        sandbox="",
        smtp_port=0,
        database_url=database_url,
        redis_url="",
        temporal_address="",
        temporal_ui=None,
        data_dir=tmp_path,
    )


async def test_it_is_the_same_until_it_is_revoked(stack: Addresses) -> None:
    first = await dev_key(stack)
    assert await dev_key(stack) == first
    assert stat.S_IMODE((stack.data_dir / "dev-key").stat().st_mode) == 0o600
    db = Database(stack.database_url, pool_size=1)
    try:
        who = await keys.authenticate(db, first)
        assert who and (who.tenant, who.role) == ("dev", Role.ADMIN)
        assert await keys.revoke(db, first[:16], By("test"))
        assert await dev_key(stack) != first
    finally:
        await db.close()
