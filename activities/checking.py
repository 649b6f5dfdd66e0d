"""Asks vendors themselves whether they work again, where no message may be the probe."""

import asyncio
from collections.abc import Mapping
from typing import Never

from domain.outcomes import accepted, vendor_down
from observe import logs
from providers.base import Provider
from throttle.gate import Gate
from throttle.tally import Tally
from throttle.words import Breaker

log = logs.get(__name__)

_EVERY = 1.0  # seconds between two looks; how often a vendor is asked is the gate's decision
_WITHIN = 5.0  # seconds a vendor may take


class Checks:
    """One per worker process."""

    def __init__(self, gate: Gate, tally: Tally, providers: Mapping[str, Provider]) -> None:
        self._gate, self._tally, self._providers = gate, tally, providers

    async def keep(self) -> Never:
        """Look again and again. Run it as a task."""
        while True:
            await asyncio.sleep(_EVERY)
            views = self._gate.last_heard()
            for name, provider in self._providers.items():
                if views[name].breaker is not Breaker.CLOSED and await self._gate.may_check(name):
                    await self._check(name, provider)

    async def _check(self, name: str, provider: Provider) -> None:
        call = self._tally.begin(name, probe=True)
        answer = accepted()
        try:
            async with asyncio.timeout(_WITHIN):
                await provider.check()
        except Exception as error:  # whatever it raises is a no
            log.info("checks.failed", provider=name, error=type(error).__name__)
            answer = vendor_down("check failed")
        finally:
            self._tally.end(call, [answer])
