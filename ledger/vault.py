"""Tenants' data keys at hand: read in one statement for all that are unknown, unwrapped once, kept in memory."""

import os
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from ledger.keyring import KEY_BYTES, Keyring, Unreadable
from ledger.sealing import DataKey, version_of
from observe import logs

log = logs.get(__name__)

# Runs a statement with its values: `Database.run`, or `asking(connection)` inside a transaction.
Ask = Callable[..., Awaitable[Sequence[Any]]]

FRESH = 60.0  # seconds: so long a process may go on sealing with a version that is no longer the newest
_MOST = 20_000  # tenants whose keys are kept, about 3 kB each; the one looked up longest ago goes first

_READ = """
SELECT tenant_id, version, kek_id, wrapped FROM tenant_key WHERE tenant_id = ANY(CAST(:tenants AS text[]))
 ORDER BY tenant_id, version
"""
_MAKE = """
INSERT INTO tenant_key (tenant_id, version, kek_id, wrapped)
SELECT g.tenant_id, 1, :kek, g.wrapped
  FROM unnest(CAST(:tenants AS text[]), CAST(:wrapped AS bytea[])) AS g(tenant_id, wrapped)
 ORDER BY g.tenant_id ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class Known:
    """All versions of one tenant's key, the newest last; of one that cannot be unwrapped, why."""

    versions: Mapping[int, DataKey | str]
    read_at: float  # by `time.monotonic`

    @property
    def whole(self) -> bool:
        """Could each be unwrapped?"""
        return all(isinstance(key, DataKey) for key in self.versions.values())

    @property
    def newest(self) -> DataKey:
        """What seals. Raises Unreadable."""
        return self.version(max(self.versions, default=0))

    def version(self, version: int) -> DataKey:
        """What opens. Raises Unreadable."""
        key = self.versions.get(version) or f"there is no data key {version} of its tenant"
        if isinstance(key, str):
            raise Unreadable(key)
        return key


class Keys:
    """The keys that one piece of work needs. It awaits nothing, and nothing of it goes away meanwhile."""

    def __init__(self, known: Mapping[str, Known]) -> None:
        self._known = known

    def sealing(self, tenant: str) -> DataKey:
        """What this tenant's values are sealed with. Raises Unreadable."""
        return self._known[tenant].newest

    def open(self, tenant: str, place: bytes, stored: str) -> str:
        """The text of a stored value, sealed or older than sealing. Raises Unreadable."""
        version = version_of(stored)
        return stored if version is None else self._known[tenant].version(version).open(place, stored)

    def open_json(self, tenant: str, place: bytes, stored: Any) -> Any:
        """What a JSON column holds: sealed, or an object that is older than sealing. Raises Unreadable."""
        return orjson.loads(self.open(tenant, place, stored)) if isinstance(stored, str) else stored


class Vault:
    """One per process: it holds the unwrapped keys of the tenants that were busy last."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self._known: dict[str, Known] = {}

    async def sealing(self, ask: Ask, tenants: Iterable[str]) -> Keys:
        """Keys to seal with; a tenant that has none gets one. Raises LedgerUnavailable."""
        since = time.monotonic() - FRESH
        found = {tenant: self._known.get(tenant) for tenant in tenants}
        stale = [tenant for tenant, known in found.items() if not known or known.read_at < since or not known.whole]
        if stale:
            read = await self._read(ask, stale)
            if new := [tenant for tenant in stale if tenant not in read]:
                await self._make(ask, new)
                read |= await self._read(ask, new)
            found |= read
        return Keys({tenant: known for tenant, known in found.items() if known})

    async def opening(self, ask: Ask, stored: Iterable[tuple[str, object]]) -> Keys:
        """Keys to open these values with, each with its tenant. Raises LedgerUnavailable.

        What cannot be opened is told by `Keys.open`, of that value alone.
        """
        found: dict[str, Known] = {}
        unknown: set[str] = set()
        for tenant, value in stored:
            version = version_of(value)
            known = self._known.get(tenant)
            if version is None:
                continue
            if known and isinstance(known.versions.get(version), DataKey):
                found[tenant] = known
            else:
                unknown.add(tenant)
        if unknown:
            found |= await self._read(ask, sorted(unknown))
        return Keys({**dict.fromkeys(unknown, _NOTHING), **found})

    async def names(self, ask: Ask, tenant: str, place: bytes, text: str) -> list[str]:
        """All forms in which `text` may stand at a place where equal ones are equal. Raises LedgerUnavailable.

        It always reads: a version that was made a moment ago is not missed.
        """
        known = (await self._read(ask, [tenant])).get(tenant, _NOTHING)
        return [text, *(known.version(version).seal_same(place, text) for version in known.versions)]

    async def _read(self, ask: Ask, tenants: Sequence[str]) -> dict[str, Known]:
        versions: dict[str, dict[int, DataKey | str]] = {}
        for row in await ask(_READ, tenants=list(tenants)):
            versions.setdefault(row.tenant_id, {})[row.version] = self._unwrapped(row)
        now = time.monotonic()
        read = {tenant: Known(found, now) for tenant, found in versions.items()}
        for tenant, known in read.items():
            self._known.pop(tenant, None)  # to the end
            self._known[tenant] = known
        while len(self._known) > _MOST:
            self._known.pop(next(iter(self._known)))
        return read

    async def _make(self, ask: Ask, tenants: Sequence[str]) -> None:
        wrapped = [self._keyring.wrap(tenant, 1, os.urandom(KEY_BYTES)) for tenant in tenants]
        await ask(_MAKE, kek=self._keyring.newest, tenants=list(tenants), wrapped=wrapped)

    def _unwrapped(self, row: Any) -> DataKey | str:
        try:
            key = self._keyring.unwrap(row.kek_id, row.tenant_id, row.version, bytes(row.wrapped))
        except Unreadable as error:
            # Wrapped anew under a key this process has not: a version is the same key for ever.
            known = self._known.get(row.tenant_id, _NOTHING).versions.get(row.version)
            if isinstance(known, DataKey):
                return known
            log.error("vault.closed", why=str(error))
            return str(error)
        return DataKey(row.tenant_id, row.version, key)


_NOTHING = Known({}, 0.0)
