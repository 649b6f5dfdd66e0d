"""A worker process: serves task queues until it is told to stop, then finishes what it has claimed."""

import asyncio
import signal
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from temporalio.client import Client
from temporalio.worker import PollerBehaviorSimpleMaximum, UnsandboxedWorkflowRunner, Worker

from activities.breakers import Breakers
from activities.checking import Checks
from activities.delivering import Activities
from activities.maintenance import Maintenance
from activities.places import Places
from activities.recorder import Recorder
from activities.sending import Means
from activities.watching import Watching
from domain.priorities import MAINTENANCE, Priority
from domain.runs import silence_of
from ledger.database import Database, LedgerUnavailable
from ledger.keyring import keyring_of
from ledger.provider_switches import switches
from ledger.roles import LedgerRole
from ledger.vault import Vault
from observe import logs, metrics, traces
from observe.exposition import serve
from observe.process import beside, calm_gc
from providers.registry import Installed, installed
from runs import Runs, TemporalAway, connect
from runs.prepare import prepare
from runs.queues import queue_states
from settings import Settings
from throttle.opened import Gates, open_gates
from throttle.tally import Tally
from workers import ready
from workers.queues import chosen, every_queue
from workflows.batch import BatchWorkflow
from workflows.maintenance import MaintenanceWorkflow

log = logs.get(__name__)

_RECORD = 5.0  # seconds to write down the answers of the last calls
_PREPARE_EVERY = 20.0  # seconds: a Temporal whose database was deleted gets its schedules back
# Executions of `deliver` for each queue. One that waits costs next to nothing, and those of a flood, or at a vendor
# that hangs, must leave room for the others.
_AT_ONCE = 1000
_POOL = 8  # connections; a statement takes milliseconds, so few are busy at once

# Temporal's sandbox would cost as much as the run itself; a test holds workflows/ to the same rules (decision 0018).
_RUNNER = UnsandboxedWorkflowRunner()


@dataclass(frozen=True, slots=True)
class Workshop:
    """What all queues of a process share."""

    client: Client
    installed: Installed
    gates: Gates
    activities: Activities
    maintenance: Maintenance


@asynccontextmanager
async def workshop(settings: Settings) -> AsyncGenerator[Workshop]:
    """Everything the queues need, open inside the block. Raises SettingsError."""
    async with AsyncExitStack() as stack:
        url = settings.required("database_url")
        vault = Vault(keyring_of(settings))
        db = Database(url, role=LedgerRole.WORKER, vault=vault, pool_size=_POOL, application="clarion worker")
        stack.push_async_callback(db.close)
        here = installed(settings.channels)
        stack.push_async_callback(here.close)
        recorder = Recorder(db)
        stack.push_async_callback(recorder.close)
        cards = [provider.card for provider in here.providers.values()]
        opening = open_gates(settings, cards, partial(switches, db), here.channels.values())
        gates = await stack.enter_async_context(opening)
        tally = Tally(gates.gate, Breakers(db, here.channels, settings.redrive).changed)
        stack.push_async_callback(tally.close)
        client = await connect(settings, traces.temporal_interceptors(), lazy=False)
        callback = f"{settings.reachable_at}/webhook"
        places = Places(fair=settings.fairness)
        means = Means(
            db,
            recorder,
            here.providers,
            gates.gate,
            tally,
            gates.standing,
            gates.watch,
            callback,
            places,
        )
        checks, watching = Checks(gates.gate, tally, here.providers), Watching(means, here.channels)
        await stack.enter_async_context(beside(checks.keep(), watching.keep(), places.keep()))
        yield Workshop(client, here, gates, Activities(means, here.channels), Maintenance(db, Runs(client)))


def worker_for(queue: str, shop: Workshop) -> Worker:
    """The worker of one queue. No queue carries both workflows and activities."""
    if queue.startswith("workflows-"):
        return Worker(
            shop.client,
            task_queue=queue,
            workflows=[BatchWorkflow, MaintenanceWorkflow],
            activities=[shop.activities.settle],
            no_remote_activities=True,  # settle runs inside the run's own tasks
            workflow_runner=_RUNNER,
            max_cached_workflows=2000,
            workflow_task_poller_behavior=PollerBehaviorSimpleMaximum(2),
            disable_eager_activity_execution=True,
            graceful_shutdown_timeout=_grace(shop),
        )
    high = queue.endswith(f"-{Priority.HIGH}")
    chores = [shop.maintenance.sweep, shop.maintenance.tidy]
    carrying = [shop.activities.deliver, shop.activities.retry, shop.activities.discard]
    return Worker(
        shop.client,
        task_queue=queue,
        activities=chores if queue == MAINTENANCE else carrying,
        max_concurrent_activities=_AT_ONCE,
        activity_task_poller_behavior=PollerBehaviorSimpleMaximum(2),
        # Each heartbeat that goes out is a write of Temporal's; those that wait in a crowd are many.
        max_heartbeat_throttle_interval=timedelta(seconds=silence_of(Priority.HIGH if high else Priority.LOW) / 3),
        graceful_shutdown_timeout=_grace(shop),
    )


def _grace(shop: Workshop) -> timedelta:
    """How long what is claimed may take to end: a call that was cut off would be in doubt. 15 s by default."""
    longest = max((max(channel.timeout.values()) for channel in shop.installed.channels.values()), default=0.0)
    return timedelta(seconds=longest + _RECORD)


async def serve_queues(settings: Settings, patterns: str, *, metrics_port: int | None = None) -> None:
    """Run until SIGTERM or SIGINT. Raises SettingsError."""
    async with AsyncExitStack() as stack:
        shop = await stack.enter_async_context(workshop(settings))
        queues = chosen(patterns, shop.installed.channels)
        if metrics_port is not None:
            stack.callback(serve(metrics_port, settings.host).close)
        stop = _stop_signal()
        if MAINTENANCE in queues:
            keeping = asyncio.create_task(_keep_prepared(shop))
            stack.callback(keeping.cancel)
        workers = [await stack.enter_async_context(worker_for(queue, shop)) for queue in queues]
        stack.push_async_callback(_stop_together, workers)
        calm_gc()
        log.info("worker.ready", queues=",".join(queues))
        ready.announce()
        await stop.wait()
        log.info("worker.stopping")
    await asyncio.to_thread(traces.shutdown)
    # Temporal's threads come to rest: an interpreter that ends under them crashes (PyGILState_Release).
    await asyncio.sleep(0.25)


async def _stop_together(workers: Sequence[Worker]) -> None:
    """One after the other, the last ones would go on claiming while the first ones drain, and graces would add up."""
    await asyncio.gather(*(worker.shutdown() for worker in workers))


def _stop_signal() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def _keep_prepared(shop: Workshop) -> None:
    """Sweep at once, and see to it that Temporal has what it needs, whatever happens to it."""
    while True:
        try:
            await prepare(shop.client)
            await shop.maintenance.sweep_once()
            await _read_queues(shop)
        except (TemporalAway, LedgerUnavailable) as error:
            log.warning("worker.not_prepared", error=type(error).__name__, why=str(error))
        except Exception as error:  # the loop has to outlive whatever it meets
            log.exception("worker.not_prepared", error=type(error).__name__)
        await asyncio.sleep(_PREPARE_EVERY)


async def _read_queues(shop: Workshop) -> None:
    states = await queue_states(shop.client, every_queue(shop.installed.channels))
    metrics.BACKLOG.set({state.queue: state.backlog for state in states})
    metrics.BACKLOG_AGE.set({state.queue: state.age for state in states})
    metrics.QUEUE_POLLERS.set({state.queue: state.pollers for state in states})
