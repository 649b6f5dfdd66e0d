"""Fixtures every test may use: real servers, shared by the run, with a corner of its own for each test or process."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
import structlog
from databases import Databases, execute
from hypothesis import HealthCheck, settings
from redis.asyncio import Redis
from servers import Servers, locked, shared
from vaults import KEYS
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

TEMPLATE = "clarion_template"

os.environ["CLARION_ENCRYPTION_KEYS"] = KEYS  # no process starts without one

# An example may take any time: a busy machine stands still for a moment.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# A shell that starts the tests in the background has them ignore Ctrl-C, and whom they start would too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Where every process of ours logs. structlog's own default is what `sys.stdout` is at the time: a line of an API that
# shares this process would then stand in the output of a command that happens to run.
structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.__stderr__))

# Whole stacks, which several tests share: such a folder's tests go to one process. What a module of these shares costs
# seconds too. All others go one by one, to whoever is free. (xdist's own marks do nothing under pytest 9.2.)
_TOGETHER = {"bench": "stacks", "embedded": "stacks"}
_BY_MODULE = {"deploy", "fuzz", "security"}


class _Scheduler(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        folder = path.split("/")[-2]
        return _TOGETHER.get(folder) or (path if folder in _BY_MODULE else nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Xdist asks for it."""
    return _Scheduler(config, log)


@pytest_asyncio.fixture(scope="session", autouse=True)
async def _quiet_end() -> AsyncIterator[None]:
    """Let Temporal's threads come to rest: an interpreter that ends under them crashes (PyGILState_Release)."""
    yield
    if "temporalio" in sys.modules:
        await asyncio.sleep(0.25)


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder all processes of this test run share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def worker_name() -> str:
    """The name of this test process within the run."""
    return os.environ.get("PYTEST_XDIST_WORKER", "gw0")


@pytest.fixture(scope="session")
def servers(run_folder: Path) -> Iterator[Servers]:
    """PostgreSQL, Valkey and Temporal, running."""
    with shared(run_folder) as found:
        yield found


@pytest_asyncio.fixture(scope="session")
async def _databases(servers: Servers, run_folder: Path) -> Databases:
    """Copies of a migrated database nobody is connected to, which is made once in a run."""
    from ledger.migrate import migrate

    databases = Databases(servers.database_url, TEMPLATE)
    with locked(run_folder):
        if not await execute(servers.database_url, f"SELECT 1 FROM pg_database WHERE datname = '{TEMPLATE}'"):
            draft = f"{TEMPLATE}_draft"
            await execute(servers.database_url, f"DROP DATABASE IF EXISTS {draft}")
            await execute(servers.database_url, f"CREATE DATABASE {draft}")
            await migrate(databases.url_of(draft))
            await execute(servers.database_url, f"ALTER DATABASE {draft} RENAME TO {TEMPLATE}")
    return databases


@pytest_asyncio.fixture
async def database_url(_databases: Databases) -> AsyncIterator[str]:
    """A migrated, empty database that no other test uses at the same time."""
    url = await _databases.take()
    yield url
    await _databases.give(url)


@pytest_asyncio.fixture
async def redis_url(servers: Servers, worker_name: str) -> str:
    """An empty Redis database that no other test uses at the same time."""
    number = 1 + int(worker_name.removeprefix("gw"))
    url = f"{servers.redis_url.rpartition('/')[0]}/{number}"
    async with Redis.from_url(url) as client:
        await client.flushdb()
    return url


@pytest.fixture(scope="session")
def temporal_address(servers: Servers) -> str:
    """host:port of Temporal's frontend."""
    return servers.temporal_address


@pytest_asyncio.fixture(scope="session")
async def temporal_namespace(servers: Servers, worker_name: str) -> str:
    """A namespace of this test process's own, so that queues may have their real names. No search attributes yet."""
    from google.protobuf.duration_pb2 import Duration
    from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
    from temporalio.client import Client
    from temporalio.service import RPCError, RPCStatusCode

    name = f"tests-{worker_name}"
    client = await Client.connect(servers.temporal_address)
    request = RegisterNamespaceRequest(namespace=name, workflow_execution_retention_period=Duration(seconds=86_400))
    try:
        await client.workflow_service.register_namespace(request)
    except RPCError as error:
        # A worker process that xdist started again finds the namespace of its predecessor.
        if error.status != RPCStatusCode.ALREADY_EXISTS:
            raise
    return name
