"""Kills the vendor, each kind in its own way, and heals it."""

from collections.abc import Mapping
from typing import Any

import aiohttp

from bench.failover.cases import VENDOR, Kind
from bench.failover.forwarder import Forwarder

_RULES: Mapping[Kind, Mapping[str, Any]] = {
    Kind.HANGING: {"hang": "before"},
    Kind.FAILING: {"answer": {"status": 500}},
    Kind.SILENT: {"receipt": {"report": "none"}},
}


class Fault:
    """One way of being dead, of the vendor behind this forwarder in this sandbox."""

    def __init__(self, kind: Kind, forwarder: Forwarder, sandbox: str) -> None:
        self._kind, self._forwarder, self._control = kind, forwarder, f"{sandbox}/control/{VENDOR}"

    async def begin(self) -> None:
        """Return when it is in force."""
        if self._kind is Kind.REFUSING:
            await self._forwarder.close()
        else:
            await self._call("PUT", {"rules": [_RULES[self._kind]]})

    async def heal(self) -> None:
        """Return when the vendor works again."""
        if self._kind is Kind.REFUSING:
            await self._forwarder.open()
        else:
            await self._call("DELETE")

    async def _call(self, method: str, body: Any = None) -> None:
        async with aiohttp.ClientSession(raise_for_status=True) as session:
            await (await session.request(method, self._control, json=body)).read()
