"""The encryption key of a test run, a vault with it for databases a test opens itself, and all that is in them."""

from base64 import b64encode

from pydantic import SecretStr

from ledger.database import Database
from ledger.keyring import keyring_of
from ledger.vault import Vault
from settings import Settings

KEYS = f"tests:{b64encode(bytes(range(32))).decode()}"


def vault(keys: str = KEYS) -> Vault:
    """One that has opened nothing yet."""
    return Vault(keyring_of(Settings(encryption_keys=SecretStr(keys))))


async def everything(db: Database) -> str:
    """Every value of every table, as text."""
    tables = await db.run(
        "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')"
    )
    assert len(tables) > 15
    rows = [await db.run(f"SELECT x::text AS said FROM {table.relname} x") for table in tables]
    return "\n".join(row.said for found in rows for row in found)
