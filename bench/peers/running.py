"""Starts a peer in a temporary folder, on free ports, with the PostgreSQL, Valkey and vendor of Clarion's stack."""

import os
import secrets
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from bench.peers import rows
from bench.peers.choices import CELERY_BEST, CELERY_SWEEP, DBOS_BEST, DBOS_SWEEP, CelerySettings, DbosSettings
from bench.peers.door import hashed
from bench.peers.peer import Peer
from bench.peers.places import DATABASE, EXECUTOR, REDIS
from domain.ids import new_id
from domain.priorities import Priority
from sandbox.credentials import load_or_create
from workers.embedded import programs
from workers.embedded.output import to_file
from workers.embedded.ports import free_ports
from workers.embedded.postgres import Postgres, require_durable
from workers.embedded.service import Service
from workers.embedded.supervisor import Supervisor
from workers.embedded.valkey import Valkey

Environment = dict[str, str]
Workers = Callable[[Environment, Path], Sequence[Service]]

_TENANT = "bench"


@asynccontextmanager
async def celery(log: Path, settings: CelerySettings = CELERY_SWEEP[CELERY_BEST]) -> AsyncGenerator[Peer]:
    """Celery, Valkey and PostgreSQL, running inside the block. `log` takes what the parts write. Raises StackError."""
    here = _Building("celery", log, settings.environment(), settings.apis)
    async with _running(here, lambda env, folder: _celery_workers(settings, env, folder)) as peer:
        yield peer


@asynccontextmanager
async def dbos(log: Path, settings: DbosSettings = DBOS_SWEEP[DBOS_BEST]) -> AsyncGenerator[Peer]:
    """DBOS Transact and PostgreSQL, running inside the block. `log` takes what the parts write. Raises StackError."""
    here = _Building("dbos", log, settings.environment(), settings.apis)
    async with _running(here, lambda env, folder: _dbos_workers(settings, env, folder)) as peer:
        yield peer


def _celery_workers(settings: CelerySettings, env: Environment, folder: Path) -> Sequence[Service]:
    command = (sys.executable, "-m", "celery", "-A", "bench.peers.celery_app:app", "worker")
    options = (
        *("--pool", settings.pool, "--concurrency", str(settings.concurrency)),
        *("--prefetch-multiplier", str(settings.prefetch), "-Q", ",".join(Priority)),
        *("--loglevel", "WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat"),
    )
    return [
        programs.worker(f"worker-{n}", (*command, *options, "-n", f"worker-{n}@bench"), env, data_dir=folder)
        for n in range(1, settings.workers + 1)
    ]


def _dbos_workers(settings: DbosSettings, env: Environment, folder: Path) -> Sequence[Service]:
    command = (sys.executable, "-m", "bench.peers.dbos_app")
    return [
        programs.worker(f"worker-{n}", command, {**env, EXECUTOR: f"worker-{n}"}, data_dir=folder)
        for n in range(1, settings.workers + 1)
    ]


@dataclass(frozen=True)
class _Building:
    """What is to be built. `name` is the peer's: its API is in `bench.peers.{name}_app`."""

    name: str
    log: Path
    settings: Environment
    apis: int


@asynccontextmanager
async def _running(building: _Building, workers: Workers) -> AsyncGenerator[Peer]:
    supervisor = Supervisor(to_file(building.log))
    with tempfile.TemporaryDirectory(prefix=f"clarion-bench-{building.name}-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # noqa: ASYNC240 (PostgreSQL runs as another user when we are root)
        try:
            peer = await _started(supervisor, building, workers, folder)
            try:
                yield peer
            finally:
                await peer.database.close()
        finally:
            await supervisor.stop()


async def _started(supervisor: Supervisor, building: _Building, workers: Workers, folder: Path) -> Peer:
    postgres_port, valkey_port, sandbox_port, smtp_port, api_port = free_ports(5)
    postgres, valkey = Postgres(folder, postgres_port), Valkey(folder, valkey_port)
    await postgres.initialise()
    await supervisor.start([postgres.service(), *([valkey.service()] if building.name == "celery" else [])])
    await postgres.create_database()
    await require_durable(postgres.url)
    database = await asyncpg.connect(postgres.url)
    key = await _prepared(database)
    vendor, api = f"http://127.0.0.1:{sandbox_port}", f"http://127.0.0.1:{api_port}"
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith("CLARION_")},
        **load_or_create(folder / "sandbox").environment(vendor, smtp_port),
        **building.settings,
        DATABASE: postgres.url,
        REDIS: valkey.url,
    }
    sandbox = programs.sandbox(
        programs.Programs().sandbox,
        env,
        port=sandbox_port,
        smtp_port=smtp_port,
        data_dir=folder / "sandbox",
        callbacks=f"{api}/webhook",
    )
    first, *rest = workers(env, folder)
    await supervisor.start([sandbox, first])  # DBOS's first worker makes its tables
    await supervisor.start([*rest, programs.api("api", _api(building, api_port), env, url=api)])
    return Peer(api, key, folder / "sandbox" / "log.jsonl", supervisor.parts, database)


def _api(building: _Building, port: int) -> tuple[str, ...]:
    options = ("--host", "127.0.0.1", "--port", str(port), "--workers", str(building.apis), "--backlog", "2048")
    quiet = ("--no-access-log", "--log-level", "warning", "--loop", "uvloop", "--http", "httptools")
    return (sys.executable, "-m", "uvicorn", "--factory", f"bench.peers.{building.name}_app:api", *options, *quiet)


async def _prepared(database: asyncpg.Connection) -> str:
    """Make the tables and an API key: the key."""
    await database.execute(rows.TABLES)
    prefix = f"peer_{new_id().hex}"
    key = f"{prefix}.{secrets.token_urlsafe(32)}"
    await database.execute("INSERT INTO api_key VALUES ($1, $2, $3)", prefix, hashed(key), _TENANT)
    return key
