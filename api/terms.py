"""What each tenant may send and has chosen, as last read: once a second, so that no request asks."""

import asyncio
from collections.abc import Mapping
from typing import Never

from domain.limits import Limits
from ledger import limits, searching
from ledger.database import Database, LedgerUnavailable
from observe import logs

log = logs.get(__name__)

_EVERY = 1.0  # seconds


class Terms:
    """One per API process."""

    def __init__(self, db: Database, usual: Limits) -> None:
        """`usual`: of a tenant without limits of its own."""
        self._db, self._usual = db, usual
        self._own: Mapping[str, Limits] = {}
        self._keepers: frozenset[str] = frozenset()

    def of(self, tenant: str) -> Limits:
        """What it may send."""
        return self._own.get(tenant, self._usual)

    def weight(self, tenant: str) -> int:
        """Its share where tenants take turns."""
        return self.of(tenant).weight

    def keeps_text(self, tenant: str) -> bool:
        """Has it chosen that its words are kept to be found by?"""
        return tenant in self._keepers

    async def read(self) -> None:
        """Raises LedgerUnavailable: then what was read last stands."""
        self._own = await limits.own(self._db, self._usual)
        self._keepers = await searching.keepers(self._db)

    async def keep(self) -> Never:
        """Read again and again. Run it as a task."""
        while True:
            try:
                await self.read()
            except LedgerUnavailable as error:
                log.warning("terms.unread", error=type(error).__name__)
            except Exception as error:  # the loop has to outlive whatever it meets
                log.exception("terms.unread", error=type(error).__name__)
            await asyncio.sleep(_EVERY)
