"""PostgreSQL, Redis and Temporal for one stack: each the outside one its setting names, or an embedded one."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from settings import Settings
from workers.embedded import probes, temporal
from workers.embedded.errors import StackError
from workers.embedded.postgres import Postgres, require_durable
from workers.embedded.service import Service
from workers.embedded.supervisor import Supervisor
from workers.embedded.temporal import Temporal
from workers.embedded.valkey import Valkey

PATIENCE = 5.0
"""Seconds an outside server may take to answer."""


class Foundation:
    """The three servers everything stands on. The addresses are known once it has started."""

    def __init__(
        self,
        settings: Settings,
        data_dir: Path,
        *,
        postgres_port: int,
        valkey_port: int,
        temporal_ports: temporal.Ports,
    ) -> None:
        outside_database, outside_redis = settings.database_url, settings.redis_url
        self._outside_database = outside_database.get_secret_value() if outside_database else None
        self._outside_redis = outside_redis.get_secret_value() if outside_redis else None
        self._outside_temporal = settings.temporal_address
        self._postgres = None if self._outside_database else Postgres(data_dir, postgres_port)
        self._valkey = None if self._outside_redis else Valkey(data_dir, valkey_port)
        self._temporal = None if self._outside_temporal else Temporal(data_dir, temporal_ports)

    @property
    def database_url(self) -> str:
        """PostgreSQL."""
        return self._postgres.url if self._postgres else str(self._outside_database)

    @property
    def redis_url(self) -> str:
        """Redis or Valkey."""
        return self._valkey.url if self._valkey else str(self._outside_redis)

    @property
    def temporal_address(self) -> str:
        """host:port of Temporal's frontend."""
        return self._temporal.address if self._temporal else str(self._outside_temporal)

    @property
    def temporal_ui(self) -> str | None:
        """The Web UI of an embedded Temporal."""
        return self._temporal.ui_url if self._temporal else None

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead Clarion's processes to the three."""
        return {
            "CLARION_DATABASE_URL": self.database_url,
            "CLARION_REDIS_URL": self.redis_url,
            "CLARION_TEMPORAL_ADDRESS": self.temporal_address,
        }

    async def start(self, supervisor: Supervisor) -> None:
        """Start what is embedded, wait for what is not. Raises StackError when one cannot be had or is not durable."""
        if self._postgres:
            await self._postgres.initialise()
        await supervisor.start(self._services())
        if self._postgres:
            await self._postgres.create_database()
        await self._meet_outside_ones()
        await require_durable(self.database_url)

    def _services(self) -> list[Service]:
        embedded = (self._postgres, self._valkey, self._temporal)
        return [server.service() for server in embedded if server]

    async def _meet_outside_ones(self) -> None:
        if self._outside_database:
            url = self._outside_database
            await _meet("CLARION_DATABASE_URL", "PostgreSQL", lambda: probes.postgres(url))
        if self._outside_redis:
            url = self._outside_redis
            await _meet("CLARION_REDIS_URL", "Redis", lambda: _ping(url))
        if self._outside_temporal:
            host, _, port = self._outside_temporal.rpartition(":")
            await _meet("CLARION_TEMPORAL_ADDRESS", "Temporal", lambda: probes.tcp(host or "127.0.0.1", int(port)))


async def _ping(url: str) -> None:
    """Ping an outside Redis, whatever its URL asks for: TLS, a password, a socket."""
    from redis.asyncio import Redis

    async with Redis.from_url(url) as client:
        await client.execute_command("PING")


async def _meet(variable: str, what: str, probe: Callable[[], Awaitable[None]]) -> None:
    error: Exception = TimeoutError()
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while asyncio.get_running_loop().time() < deadline:
        try:
            return await probe()
        except Exception as failure:
            # A driver's own error types say no more to the user than their text.
            error = failure
            await asyncio.sleep(0.25)
    reason = str(error) or type(error).__name__
    raise StackError(f"{variable}: {what} did not answer within {PATIENCE:g} s: {reason}")
