"""The API key of tenant `dev`, the same at every start: for clients that have to send one."""

from ledger import keys
from ledger.audit import By
from ledger.database import Database
from ledger.keys import Role
from ledger.tenants import DEV, ensure_dev
from workers.embedded.layout import Addresses


async def dev_key(stack: Addresses) -> str:
    """The admin key kept in the data folder; made anew when it is not, or no longer, in force. For this stack only."""
    file, db = stack.data_dir / "dev-key", Database(stack.database_url, pool_size=1, application="clarion dev")
    try:
        kept = file.read_text().strip() if file.exists() else ""
        if await keys.authenticate(db, kept):
            return kept
        await ensure_dev(db)
        _, text = await keys.create(db, DEV, Role.ADMIN, By("dev"), "clarion dev")
    finally:
        await db.close()
    file.touch(0o600)
    file.chmod(0o600)
    file.write_text(f"{text}\n")
    return text
