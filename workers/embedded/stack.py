"""Everything Clarion needs on one machine, started in order and stopped in the opposite one."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from settings import Settings
from workers.embedded import programs
from workers.embedded.encryption_key import encryption_keys
from workers.embedded.foundation import Foundation
from workers.embedded.layout import Addresses, any_ports, promised_ports
from workers.embedded.output import to_terminal
from workers.embedded.part import Part
from workers.embedded.programs import Programs
from workers.embedded.record import Record
from workers.embedded.service import Sink
from workers.embedded.supervisor import Supervisor


class Stack:
    """One stack on one data folder: the servers, the migration, the sandbox, the API and the workers."""

    def __init__(self, settings: Settings, *, free_ports: bool, sink: Sink, commands: Programs) -> None:
        self._settings = settings
        self._free_ports = free_ports
        self._sink = sink
        self._commands = commands
        self._data_dir = settings.data_dir.resolve()
        self._record = Record(self._data_dir)
        self._supervisor = Supervisor(sink, self._record.note)
        self._addresses: Addresses | None = None

    @property
    def services(self) -> dict[str, Part]:
        """Every running part by its name; `.pid` is that of its present life."""
        return self._supervisor.parts

    @property
    def addresses(self) -> Addresses:
        """Where everything is. Known once the stack has started."""
        if self._addresses is None:
            raise RuntimeError("the stack has not started")
        return self._addresses

    async def start(self) -> None:
        """Start it all; return when every part answers. Raises StackError; call `stop` in any case."""
        self._record.acquire()
        apis = self._commands.apis
        ports = any_ports(apis) if self._free_ports else promised_ports(self._settings, apis)
        foundation = Foundation(
            self._settings,
            self._data_dir,
            postgres_port=ports.postgres,
            valkey_port=ports.valkey,
            temporal_ports=ports.temporal,
        )
        await foundation.start(self._supervisor)
        host = self._settings.host
        loopback = "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104
        self._addresses = Addresses(
            apis=tuple(f"http://{loopback}:{port}" for port in ports.apis),
            sandbox=f"http://127.0.0.1:{ports.sandbox}",
            smtp_port=ports.smtp,
            database_url=foundation.database_url,
            redis_url=foundation.redis_url,
            temporal_address=foundation.temporal_address,
            temporal_ui=foundation.temporal_ui,
            data_dir=self._data_dir,
        )
        await self._start_clarion(ports.sandbox)

    async def stop(self) -> None:
        """Stop it all, the workers first."""
        await self._supervisor.stop()
        self._record.release()

    async def failure(self) -> None:
        """Wait until a part can no longer be kept running, then raise its StackError."""
        await self._supervisor.failure()

    def kill(self) -> None:
        """End every process now; nothing accepted is lost by it."""
        self._supervisor.kill()

    async def _start_clarion(self, sandbox_port: int) -> None:
        addresses, commands, start = self.addresses, self._commands, self._supervisor.start
        vendors = self._data_dir / "sandbox"
        env = {**os.environ, **self._environment(), **_sandbox_environment(vendors, addresses)}
        self._record.publish({name: value for name, value in env.items() if name.startswith("CLARION_")})
        await programs.run_once("migrate", commands.migrate, env, self._sink)
        callbacks = f"{self._settings.public_url or addresses.api}/webhook".replace("//webhook", "/webhook")
        await start(
            [
                programs.sandbox(
                    commands.sandbox,
                    env,
                    port=sandbox_port,
                    smtp_port=addresses.smtp_port,
                    data_dir=vendors,
                    callbacks=callbacks,
                )
            ]
        )
        workers = [programs.worker(name, argv, env, data_dir=self._data_dir) for name, argv in commands.workers]
        apis = [
            programs.api(f"api-{n}" if n > 1 else "api", commands.api, env, url=url)
            for n, url in enumerate(addresses.apis, 1)
        ]
        await start([*apis, *workers])

    def _environment(self) -> dict[str, str]:
        """What tells Clarion's processes about this stack and repeats the settings it was made with."""
        settings, addresses = self._settings, self.addresses
        given = settings.encryption_keys
        return {
            "CLARION_DATABASE_URL": addresses.database_url,
            "CLARION_REDIS_URL": addresses.redis_url,
            "CLARION_TEMPORAL_ADDRESS": addresses.temporal_address,
            "CLARION_TEMPORAL_NAMESPACE": settings.temporal_namespace,
            "CLARION_DATA_DIR": str(self._data_dir),
            "CLARION_HOST": settings.host,
            "CLARION_PORT": str(urlsplit(addresses.api).port),
            "CLARION_PUBLIC_URL": settings.public_url or addresses.api,
            "CLARION_ENCRYPTION_KEYS": given.get_secret_value() if given else encryption_keys(self._data_dir),
            "CLARION_DEV": "1",
            "CLARION_LOG_LEVEL": settings.log_level,
            # Their lines go through our pipe, where `auto` would mean JSON; a person reads them here.
            "CLARION_LOG_FORMAT": "text" if settings.log_format == "auto" else settings.log_format,
            "PYTHONUNBUFFERED": "1",
        }


def _sandbox_environment(data_dir: Path, addresses: Addresses) -> dict[str, str]:
    """The vendors' addresses and keys. They win over the user's own: a development stack never sends for real."""
    from sandbox.credentials import load_or_create

    return load_or_create(data_dir).environment(addresses.sandbox, addresses.smtp_port)


@asynccontextmanager
async def running(
    settings: Settings,
    *,
    free_ports: bool = False,
    sink: Sink | None = None,
    commands: Programs = Programs(),  # noqa: B008 (frozen)
) -> AsyncIterator[Stack]:
    """A stack that is ready inside the block and stopped after it, also when its start fails or is cancelled.

    `sink` takes the parts' lines (default: the terminal). Raises StackError when it cannot start.
    """
    stack = Stack(settings, free_ports=free_ports, sink=sink or to_terminal(), commands=commands)
    try:
        await stack.start()
        yield stack
    finally:
        await stack.stop()
