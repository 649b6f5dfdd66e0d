"""The side of DBOS Transact: its workflow, the process that runs it, and the API that enqueues it."""

import asyncio
import os
import signal
import threading
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import UUID

import asyncpg
import psycopg
import sqlalchemy as sa
from dbos import DBOS, DBOSClient, DBOSConfig, EnqueueOptions
from fastapi import FastAPI

from bench.peers import door, rows
from bench.peers.choices import DbosSettings
from bench.peers.places import DATABASE, EXECUTOR
from bench.peers.sending import AsyncSender, async_sender, mine
from domain.priorities import Priority
from workers import ready

VERSION = "peer"
_ONE = "all"
_CONNECTIONS = 32  # of each worker to DBOS's tables, and as many to ours by coroutines
_THREADS = 64  # of each worker, each with a connection of its own to our tables: PostgreSQL takes 200 in all


def _queue(settings: DbosSettings, priority: str) -> str:
    return priority if settings.queues == 3 else _ONE


def _workflow(settings: DbosSettings) -> str:
    return f"deliver_{settings.kind}_{settings.steps}"


_shared: dict[str, AsyncSender] = {}
_opening_shared = asyncio.Lock()
_stack = AsyncExitStack()  # never closed: it ends with the process


async def _async_sender() -> AsyncSender:
    """The process's, opened in the loop that DBOS runs coroutines in."""
    async with _opening_shared:
        if "it" not in _shared:
            _shared["it"] = await _stack.enter_async_context(async_sender(_CONNECTIONS))
        return _shared["it"]


@DBOS.step(retries_allowed=True, max_attempts=10)
def send(notification: str, seq: int) -> str | None:
    """Load and call: repeated only if the process dies before its checkpoint."""
    return mine().send(UUID(notification), seq)


@DBOS.step(retries_allowed=True, max_attempts=10)
def record(notification: str, seq: int, message_id: str) -> None:
    """Update."""
    mine().record(UUID(notification), seq, message_id)


@DBOS.step(retries_allowed=True, max_attempts=10)
async def send_async(notification: str, seq: int) -> str | None:
    """As `send`."""
    return await (await _async_sender()).send(UUID(notification), seq)


@DBOS.step(retries_allowed=True, max_attempts=10)
async def record_async(notification: str, seq: int, message_id: str) -> None:
    """As `record`."""
    await (await _async_sender()).record(UUID(notification), seq, message_id)


@DBOS.workflow(name="deliver_threads_2")
def deliver_in_steps(notification: str, seq: int) -> None:
    """As the documentation has it."""
    if message_id := send(notification, seq):
        record(notification, seq, message_id)


@DBOS.workflow(name="deliver_async_2")
async def deliver_in_steps_async(notification: str, seq: int) -> None:
    """The same as a coroutine."""
    if message_id := await send_async(notification, seq):
        await record_async(notification, seq, message_id)


@DBOS.workflow(name="deliver_threads_0")
def deliver(notification: str, seq: int) -> None:
    """Without checkpoints in between: a crash repeats all of it, as it does with Celery."""
    delivery = UUID(notification)
    if message_id := mine().send(delivery, seq):
        mine().record(delivery, seq, message_id)


@DBOS.workflow(name="deliver_async_0")
async def deliver_async(notification: str, seq: int) -> None:
    """The same as a coroutine."""
    sender, delivery = await _async_sender(), UUID(notification)
    if message_id := await sender.send(delivery, seq):
        await sender.record(delivery, seq, message_id)


class _Taker:
    """Commits the rows and DBOS's own in one transaction: both are in one database."""

    def __init__(self, settings: DbosSettings, engine: sa.Engine, threads: ThreadPoolExecutor) -> None:
        self._settings, self._engine, self._threads = settings, engine, threads
        self._client = DBOSClient(system_database_engine=engine, application_name=VERSION)
        self._priorities = {str(priority): priority.key for priority in Priority}

    async def take(self, entry: rows.Entry) -> bool:
        """As `door.Taker` says."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._take, entry)

    def _take(self, entry: rows.Entry) -> bool:
        options = EnqueueOptions(
            workflow_name=_workflow(self._settings),
            queue_name=_queue(self._settings, entry.priority),
            app_version=VERSION,
            priority=self._priorities[entry.priority],  # within a queue; it matters where there is one for all
        )
        with self._engine.begin() as connection:
            driver = connection.connection.driver_connection
            assert isinstance(driver, psycopg.Connection)
            if psycopg.RawCursor(driver).execute(rows.ACCEPT, entry.parameters).fetchone() is None:
                return False
            for seq in range(len(entry.recipients)):
                self._client.enqueue_in_transaction(connection, options, str(entry.id), seq)
        return True


@asynccontextmanager
async def _opening(db: asyncpg.Pool) -> AsyncGenerator[_Taker]:
    settings = DbosSettings.given()
    engine = sa.create_engine(_sqlalchemy_url(), pool_size=settings.accepters, max_overflow=0)
    with ThreadPoolExecutor(settings.accepters) as threads:
        yield _Taker(settings, engine, threads)
    engine.dispose()


def _sqlalchemy_url() -> str:
    return os.environ[DATABASE].replace("postgresql://", "postgresql+psycopg://", 1)


def api() -> FastAPI:
    """For uvicorn."""
    return door.app(_opening)


def work() -> None:
    """Run workflows until SIGTERM."""
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    settings = DbosSettings.given()
    DBOS(
        config=DBOSConfig(
            name=VERSION,
            system_database_url=os.environ[DATABASE],
            sys_db_pool_size=_CONNECTIONS,
            db_engine_kwargs={"pool_pre_ping": False},  # a question less before each of its transactions
            application_version=VERSION,
            max_executor_threads=_THREADS,
            executor_id=os.environ[EXECUTOR],
            log_level="WARNING",
        )
    )
    DBOS.launch()
    for name in {_queue(settings, str(priority)) for priority in Priority}:
        DBOS.register_queue(name, worker_concurrency=settings.concurrency, polling_interval_sec=settings.polling)
    ready.announce()
    over.wait()
    DBOS.destroy()


if __name__ == "__main__":
    work()
