"""After the load: everything healed, dead letters tried again, and a wait until nothing is left to do."""

import asyncio
import time
from contextlib import suppress

import aiohttp

from bench.chaos import processes
from bench.chaos.site import Site
from bench.chaos.striking import Tell
from ledger.checking.reading import Unfinished, unfinished
from ledger.database import LedgerUnavailable

_TOLD_EVERY = 5.0  # seconds


async def settle(site: Site, within: float, tell: Tell) -> Unfinished:
    """What is left once nothing is, or after so many seconds."""
    await site.control("DELETE")
    await asyncio.gather(*(processes.back(part) for part in site.stack.services.values()))
    end, told = time.monotonic() + within, 0.0
    left = Unfinished(-1, -1, -1)
    while time.monotonic() < end:
        with suppress(LedgerUnavailable):
            left = await unfinished(site.db)
            if not left.anything:
                break
            if left.dead:
                await _retry_dead_letters(site)
        if time.monotonic() - told > _TOLD_EVERY:
            told = time.monotonic()
            tell(f"waiting: {left.open} deliveries open, {left.dead} dead, {left.looks} runs not at their end")
        await asyncio.sleep(0.5)
    return left


async def _retry_dead_letters(site: Site) -> None:
    """As a person would once the vendors are back: what died in a storm has to arrive in the end, too."""
    with suppress(aiohttp.ClientError, TimeoutError):
        async with site.http.post(f"{site.apis[0]}/dead-letters/retry", json={}) as answer:
            await answer.read()
