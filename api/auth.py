"""Who asks, and what they may: API keys and roles."""

import asyncio
import time
from collections.abc import Mapping
from hashlib import sha256
from ipaddress import IPv6Address, ip_address
from typing import Never

from api.problems import Problem
from ledger import keys
from ledger.database import Database, LedgerUnavailable
from ledger.keys import Principal, Role
from ledger.tenants import DEV
from observe import logs

log = logs.get(__name__)

MAY_SEND = frozenset({Role.SEND, Role.ADMIN})
MAY_READ = frozenset({Role.READ, Role.ADMIN})
MAY_MANAGE = frozenset({Role.ADMIN})
MAY_OPERATE = frozenset({Role.OPERATOR})

_FRESH = 1.0  # seconds an answer of the ledger is believed: a revoked key works for no longer
_NOTED_EVERY = 20.0  # seconds between two notes of which keys are used
_REMEMBERED = 4096  # keys, good and bad
# Who calls from this machine without a key, in development: the one, and where only operators may the other.
_DEVELOPER = Principal(DEV, Role.ADMIN)
_DEVELOPER_AS_OPERATOR = Principal(None, Role.OPERATOR)
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="clarion"'}


class Auth:
    """Knows who asks. One per process: it remembers keys for a second, so that the hot path rarely asks the ledger."""

    def __init__(self, db: Database, *, dev: bool) -> None:
        """`dev`: a loopback request without a key is tenant `dev`, and an operator where only operators may."""
        self._db, self._dev = db, dev
        self._known: dict[bytes, tuple[float, asyncio.Task[Principal | None]]] = {}
        self._used: set[str] = set()

    async def principal(self, headers: Mapping[str, str], client_host: str | None) -> Principal:
        """Who sent a request with these headers (lower-case names). Raises Problem 401, LedgerUnavailable."""
        authorization = headers.get("authorization")
        if authorization is None:
            if self._dev and client_host and _is_loopback(client_host):
                return _DEVELOPER
            raise Problem("unauthenticated", headers=_CHALLENGE)
        scheme, _, presented = authorization.partition(" ")
        found = await self._look_up(presented.strip()) if scheme.lower() == "bearer" else None
        if found is None:
            raise Problem("unauthenticated", headers=_CHALLENGE)
        return found

    async def admitted(
        self, headers: Mapping[str, str], client_host: str | None, may: frozenset[Role], *, suspended: bool = False
    ) -> Principal:
        """The same, if its role is one of these. `suspended`: also of a tenant that is, which else may only read.

        Raises Problem 401 and 403, LedgerUnavailable.
        """
        who = await self.principal(headers, client_host)
        if who is _DEVELOPER and may == MAY_OPERATE:
            return _DEVELOPER_AS_OPERATOR
        if who.suspended and not (suspended or Role.READ in may):
            raise Problem("tenant_suspended")
        if who.role not in may:
            needed = " or ".join(sorted(may))
            raise Problem("forbidden", f"This key has the role {who.role}; this needs {needed}.")
        return who

    async def tenant(self, headers: Mapping[str, str], client_host: str | None, may: frozenset[Role]) -> str:
        """The tenant a request of these roles speaks for. Raises Problem 401 and 403, LedgerUnavailable."""
        who = await self.admitted(headers, client_host, may)
        if who.tenant is None:
            raise Problem("forbidden", "An operator's key belongs to no tenant.")
        return who.tenant

    async def note_uses(self) -> None:
        """Write down which keys were used since the last time. Raises LedgerUnavailable."""
        used, self._used = self._used, set()
        try:
            await keys.used(self._db, used)
        except LedgerUnavailable:
            self._used |= used
            raise

    async def keep_notes(self) -> Never:
        """Do so again and again. Run it as a task."""
        while True:
            await asyncio.sleep(_NOTED_EVERY)
            try:
                await self.note_uses()
            except LedgerUnavailable as error:
                log.warning("auth.uses_not_noted", error=type(error).__name__)

    async def _look_up(self, presented: str) -> Principal | None:
        name, now = sha256(presented.encode("utf-8", "surrogateescape")).digest(), time.monotonic()
        known = self._known.get(name)
        if known is None or known[0] < now:
            self._make_room(now)
            known = (now + _FRESH, asyncio.create_task(keys.authenticate(self._db, presented)))
            self._known[name] = known
        asked = known[1]
        try:
            found = asked.result() if asked.done() else await asyncio.shield(asked)
        except Exception:
            self._known.pop(name, None)
            raise
        if found and found.key_prefix:
            self._used.add(found.key_prefix)
        return found

    def _make_room(self, now: float) -> None:
        if len(self._known) >= _REMEMBERED:
            self._known = {name: known for name, known in self._known.items() if known[0] >= now}
        if len(self._known) >= _REMEMBERED:
            self._known.clear()


def _is_loopback(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback
