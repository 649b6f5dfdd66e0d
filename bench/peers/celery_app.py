"""Celery's side: its app, its task, and the API that publishes to it, as GOV.UK Notify is built."""

import asyncio
import os
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
from celery import Celery
from celery.signals import worker_ready
from fastapi import FastAPI

from bench.peers import door, rows
from bench.peers.choices import CelerySettings
from bench.peers.places import REDIS
from bench.peers.sending import mine
from domain.priorities import Priority
from workers import ready

QUEUES = [str(priority) for priority in Priority]

app = Celery("peer", broker=os.environ.get(REDIS), set_as_current=False)
app.conf.update(
    task_acks_late=True,  # a worker that dies loses nothing
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    task_default_queue=str(Priority.NORMAL),
    task_create_missing_queues=True,
    # What is not needed costs nothing.
    worker_send_task_events=False,
    worker_enable_remote_control=False,
    worker_disable_rate_limits=True,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
    # high is asked for first, as Clarion sends it first; an hour is Celery's default for a worker that vanished.
    broker_transport_options={"queue_order_strategy": "priority", "visibility_timeout": 3600},
)


@app.task(name="deliver", autoretry_for=(Exception,), retry_backoff=True, max_retries=10)
def deliver(notification: str, seq: int) -> None:
    """Load, call, update. What a dead worker had begun is done again from its beginning."""
    delivery = UUID(notification)
    if message_id := mine().send(delivery, seq):
        mine().record(delivery, seq, message_id)


@worker_ready.connect
def _announce(**_: object) -> None:
    ready.announce()


class _Taker:
    """Commits, then publishes. GOV.UK Notify has a task that looks for what was committed and never published."""

    def __init__(self, db: asyncpg.Pool, publishers: ThreadPoolExecutor | None) -> None:
        self._db, self._publishers = db, publishers

    async def take(self, entry: rows.Entry) -> bool:
        """As `door.Taker` says."""
        if await self._db.fetchval(rows.ACCEPT, *entry.parameters) is None:
            return False
        if self._publishers:
            await asyncio.get_running_loop().run_in_executor(self._publishers, _publish, entry)
        else:
            _publish(entry)
        return True


def _publish(entry: rows.Entry) -> None:
    for seq in range(len(entry.recipients)):
        deliver.apply_async((str(entry.id), seq), queue=entry.priority)


@asynccontextmanager
async def _opening(db: asyncpg.Pool) -> AsyncGenerator[_Taker]:
    publishers = CelerySettings.given().publishers
    app.conf.broker_pool_limit = max(publishers, 1)
    if not publishers:
        yield _Taker(db, None)
        return
    with ThreadPoolExecutor(publishers) as pool:
        yield _Taker(db, pool)


def api() -> FastAPI:
    """For uvicorn."""
    return door.app(_opening)
