"""Is everything there that this process needs? Each part is asked anew, as a caller would."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from redis.asyncio import Redis
from redis.exceptions import RedisError
from temporalio.service import RPCError

from ledger import readiness
from ledger.database import Database, LedgerUnavailable
from runs import connect
from settings import Settings

WITHIN = 2.0  # seconds for each part


@dataclass(frozen=True, slots=True)
class Found:
    """How a part stands. `needed`: without it nothing can be accepted."""

    name: str
    ok: bool
    needed: bool


class Probes:
    """Asks PostgreSQL, Redis and Temporal. Accepting survives the loss of the last two."""

    def __init__(self, db: Database, settings: Settings) -> None:
        self._db, self._settings = db, settings

    async def ask(self) -> tuple[Found, ...]:
        """All of them at once."""
        probes = (
            ("postgresql", self._postgresql, True),
            ("redis", self._redis, False),
            ("temporal", self._temporal, False),
        )
        return tuple(await asyncio.gather(*(_asked(name, probe, needed) for name, probe, needed in probes)))

    async def _postgresql(self) -> None:
        await readiness.check(self._db)

    async def _redis(self) -> None:
        async with Redis.from_url(self._settings.required("redis_url"), socket_timeout=WITHIN) as client:
            await client.ping()

    async def _temporal(self) -> None:
        client = await connect(self._settings)
        await client.service_client.check_health(timeout=timedelta(seconds=WITHIN))


async def _asked(name: str, probe: Callable[[], Awaitable[None]], needed: bool) -> Found:
    try:
        async with asyncio.timeout(WITHIN):
            await probe()
    except (LedgerUnavailable, RedisError, RPCError, OSError, RuntimeError, TimeoutError):
        return Found(name, ok=False, needed=needed)
    return Found(name, ok=True, needed=needed)
