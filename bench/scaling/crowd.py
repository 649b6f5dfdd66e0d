"""A stack with several APIs and several workers for every queue, and a load that goes to all of them."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.driver import offered
from bench.ground import Ground
from bench.load import Result
from bench.site import site
from ledger.database import Database
from workers.embedded.dev_key import dev_key
from workers.embedded.programs import CLARION, Programs

SETS = ("high", "rest")
"""What a worker serves: together all queues."""


def programs(apis: int, each: int) -> Programs:
    """So many APIs, and so many workers of each set."""
    names = [(queues, f"worker-{queues}{f'-{n}' if n > 1 else ''}") for queues in SETS for n in range(1, each + 1)]
    return Programs(
        workers=tuple((name, (*CLARION, "worker", "--queues", queues)) for queues, name in names), apis=apis
    )


class Crowd(Ground):
    """A ground whose load is spread over its APIs in equal parts, as by a proxy before them."""

    async def offer(self, token: str, clients: int, **more: Any) -> Result:
        """Load them all, each from another process."""
        return together(await self.offer_each(token, clients, **more))

    async def offer_each(self, token: str, clients: int, *, count: int | None = None, **more: Any) -> list[Result]:
        """The same: what came of each API's part. `clients` and `count` are those of the whole."""
        apis = self.stack.addresses.apis
        part = None if count is None else count // len(apis)
        loads = [
            replace(self.load(f"{token}-{n}", clients // len(apis), count=part, **more), url=url)
            for n, url in enumerate(apis)
        ]
        return await asyncio.gather(*map(offered, loads))


def together(results: Sequence[Result]) -> Result:
    """Loads that ran side by side, as one."""
    whole = Result(
        broken=sum(result.broken for result in results),
        latencies=[seconds for result in results for seconds in result.latencies],
        seconds=max(result.seconds for result in results),
        began=min(result.began for result in results),
        cpu=sum(result.cpu for result in results),
    )
    for result in results:
        for status, n in result.refused.items():
            whole.refused[status] = whole.refused.get(status, 0) + n
    return whole


@asynccontextmanager
async def crowd(
    log: Path, apis: int, each: int, settings: Mapping[str, str] | None = None, *, warm: int = 500
) -> AsyncGenerator[Crowd]:
    """Runs inside the block, warm in every process. `each`: workers of each set. Raises StackError."""
    async with site(log, settings, programs(apis, each)) as stack:
        db = Database(stack.addresses.database_url, pool_size=2)
        try:
            ready = Crowd(stack, db, await dev_key(stack.addresses))
            await ready.offer("warm", 16 * apis, count=warm)
            await ready.drained()
            yield ready
        finally:
            await db.close()
