"""A stack that is warm, and how a case loads it, waits for it and has it checked."""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.driver import Load, offered
from bench.load import Result
from bench.site import site
from bench.verdict import Verdict, settled
from ledger.database import Database
from workers.embedded.dev_key import dev_key
from workers.embedded.stack import Stack

_ENDS_WITHIN = 300.0  # seconds from the last request until everything has ended
_LOOK_EVERY = 0.5  # seconds

# Served by a small index: asking it does not disturb what is measured, as counting deliveries would.
_OPEN = "SELECT count(*) AS n FROM batch_channel WHERE done_at IS NULL"


@dataclass(frozen=True, slots=True)
class Ground:
    """A running stack. `key`: an API key of tenant `dev`."""

    stack: Stack
    db: Database
    key: str

    def promised(self, token: str) -> Path:
        """The file of what the load of this name was promised: one line for each 202."""
        return self.stack.addresses.data_dir / f"promised-{token}"

    @property
    def vendors(self) -> Path:
        """The vendors' own log."""
        return self.stack.addresses.data_dir / "sandbox" / "log.jsonl"

    def load(self, token: str, clients: int, **more: Any) -> Load:
        """A load of this stack, with a key; `more` as in Load."""
        load = Load(self.stack.addresses.api, self.key, token, clients, promised=str(self.promised(token)))
        return replace(load, **more)

    async def offer(self, token: str, clients: int, **more: Any) -> Result:
        """Load it, from another process."""
        return await offered(self.load(token, clients, **more))

    async def drained(self, within: float = _ENDS_WITHIN) -> bool:
        """Wait until every run has ended, but no longer than so many seconds. Costs next to nothing."""
        end = time.monotonic() + within
        while (await self.db.run(_OPEN))[0].n:
            if time.monotonic() > end:
                return False
            await asyncio.sleep(_LOOK_EVERY)
        return True

    async def broken(self) -> list[str]:
        """What is wrong with ledger and vendors' log, once everything has ended: nothing, if all is well."""
        await self.drained()
        files = sorted(self.stack.addresses.data_dir.glob("promised-*"))
        together = self.stack.addresses.data_dir / "promised"
        together.write_bytes(b"".join(file.read_bytes() for file in files))
        return reasons(await settled(self.db, together, self.vendors))


@asynccontextmanager
async def ground(
    log: Path, settings: Mapping[str, str] | None = None, *, channels: tuple[str, ...] = ("email",), warm: int = 500
) -> AsyncGenerator[Ground]:
    """Runs inside the block, and has sent so many notifications. `log` takes what its parts write.

    Raises StackError.
    """
    async with site(log, settings) as stack:
        db = Database(stack.addresses.database_url, pool_size=2)
        try:
            ready = Ground(stack, db, await dev_key(stack.addresses))
            await ready.offer("warm", 16, count=warm, channels=channels)
            await ready.drained()
            yield ready
        finally:
            await db.close()


def reasons(verdict: Verdict) -> list[str]:
    """What of a verdict is not as promised, in words."""
    left = verdict.unfinished
    found = {
        "lost": verdict.lost,
        "taken more often than counted": verdict.uncounted,
        "not at an end": left.open,
        "dead": left.dead,
        "runs not done": left.looks,
    }
    said = [f"{what}: {n}" for what, n in found.items() if n]
    said += [f"{invariant}: {tally.wrong}" for invariant, tally in verdict.report.tallies.items() if tally.wrong]
    return said
