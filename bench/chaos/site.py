"""The place of a run: a stack with two APIs and three workers, its vendors, its ledger, its Temporal."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from bench.chaos.plan import APIS, WORKERS
from ledger.database import Database
from settings import Settings
from workers.embedded.output import to_file
from workers.embedded.programs import CLARION, Programs
from workers.embedded.stack import Stack, running

# Every queue has two workers: one may die. The third knows the machine is small.
_QUEUES = {"worker-high": "high", "worker-rest": "rest", "worker-all": "all"}
COMMANDS = Programs(
    workers=tuple((name, (*CLARION, "worker", "--queues", _QUEUES[name])) for name in WORKERS), apis=len(APIS)
)

# What waits for hours in production must have its end within the run: doubts, silence, retries.
_POLICY = {"window": 30, "doubt": 4, "timeout": 3, "retry": [0.5, 1, 2, 4]}
CHANNELS = {"email": _POLICY, "sms": _POLICY}
_PROGRAMS = {"CLARION_POSTGRES_BIN", "CLARION_VALKEY_BIN", "CLARION_TEMPORAL_BIN"}


@dataclass(frozen=True)
class Site:
    """What faults, load and verdict act on."""

    stack: Stack
    http: aiohttp.ClientSession
    db: Database
    folder: Path

    @property
    def apis(self) -> tuple[str, ...]:
        """Where the load goes."""
        return self.stack.addresses.apis

    @property
    def vendor_log(self) -> Path:
        """The sandbox's own account of what it took."""
        return self.folder / "data" / "sandbox" / "log.jsonl"

    async def control(self, method: str, vendor: str = "", settings: Any = None) -> None:
        """Set a vendor's rules, or forget them; without a vendor those of all."""
        url = f"{self.stack.addresses.sandbox}/control{f'/{vendor}' if vendor else ''}"
        async with self.http.request(method, url, json=settings) as answer:
            answer.raise_for_status()


@asynccontextmanager
async def site(folder: Path) -> AsyncIterator[Site]:
    """Everything running inside the block, its lines in `parts.log`. Raises StackError when it cannot start."""
    _leave_own_settings(folder)
    async with AsyncExitStack() as stack:
        settings = Settings.load().model_copy(update={"data_dir": folder / "data"})
        sink = to_file(folder / "parts.log")
        here = await stack.enter_async_context(running(settings, free_ports=True, sink=sink, commands=COMMANDS))
        http = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15)))
        db = Database(here.addresses.database_url, pool_size=2, application="clarion chaos")
        stack.push_async_callback(db.close)
        yield Site(here, http, db, folder)


def _leave_own_settings(folder: Path) -> None:
    """Nothing of this machine's settings shall change what is tried: not its variables, nor its `.env`."""
    for name in [name for name in os.environ if name.startswith("CLARION_") and name not in _PROGRAMS]:
        del os.environ[name]
    os.environ["CLARION_CHANNELS"] = json.dumps(CHANNELS)
    os.chdir(folder)
