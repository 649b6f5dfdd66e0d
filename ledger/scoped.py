"""The ways an API process has into the ledger: a pool for each role, and one tenant's part of it for who asks."""

import asyncio

from ledger.database import Database
from ledger.roles import LedgerRole
from ledger.vault import Vault

# Connections of one process, opened as they are needed: 20 at the most.
_POOLS = {
    LedgerRole.API_READ: 5,
    LedgerRole.API_WRITE: 3,
    LedgerRole.INTAKE: 6,  # three lanes, each flush with one, and repeats
    LedgerRole.RECEIPTS: 3,  # one commit at a time, its traces, and the beat
    LedgerRole.OPERATE: 3,  # keys, the backlog, providers
}


class Ledgers:
    """Make one per process; `close()` at its end."""

    def __init__(self, url: str, vault: Vault, *, application: str = "clarion api") -> None:
        """`url` as for Database; its user must be able to take the roles."""
        pools = {
            role: Database(url, role=role, vault=vault, pool_size=n, application=application)
            for role, n in _POOLS.items()
        }
        self._read, self._write = pools[LedgerRole.API_READ], pools[LedgerRole.API_WRITE]
        self.intake, self.receipts = pools[LedgerRole.INTAKE], pools[LedgerRole.RECEIPTS]
        self.operate = pools[LedgerRole.OPERATE]
        self._pools = tuple(pools.values())

    def reading(self, tenant: str | None) -> Database:
        """To show a tenant its own; None: an operator asks, about all."""
        return self.operate if tenant is None else self._read.of(tenant)

    def changing(self, tenant: str | None) -> Database:
        """To change what is a tenant's own; None: an operator does it, to all."""
        return self.operate if tenant is None else self._write.of(tenant)

    async def close(self) -> None:
        """Close every connection."""
        await asyncio.gather(*(pool.close() for pool in self._pools))
