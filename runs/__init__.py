"""The way to Temporal for those who start runs and tell them news: the API and the sweep."""

import asyncio
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

from temporalio.client import Client, Interceptor
from temporalio.common import (
    Priority as TemporalPriority,
)
from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.service import RPCError, RPCStatusCode, TLSConfig

from domain.priorities import workflow_queue
from domain.runs import WORKFLOW, Run, run_id
from observe import logs
from settings import Settings

log = logs.get(__name__)

TENANT = SearchAttributeKey.for_keyword("ClarionTenant")
CHANNELS = SearchAttributeKey.for_keyword_list("ClarionChannels")
PRIORITY = SearchAttributeKey.for_keyword("ClarionPriority")
STATE = SearchAttributeKey.for_keyword("ClarionState")  # "parked": waits for a person
SEARCH_ATTRIBUTES = (TENANT, CHANNELS, PRIORITY, STATE)

_SIGNALS_AT_ONCE = 32


class TemporalAway(Exception):
    """Temporal cannot be reached, or refuses. What was asked for is left to the sweep."""


@contextmanager
def translated() -> Generator[None]:
    """Temporal's errors as ours. A lazy client that never connected raises RuntimeError."""
    try:
        yield
    except RPCError as error:
        raise TemporalAway(error.status.name) from error
    except RuntimeError as error:
        raise TemporalAway("not connected") from error


async def connect(settings: Settings, interceptors: Sequence[Interceptor] = (), *, lazy: bool = True) -> Client:
    """A client that connects on first use (the API accepts while Temporal is away), or waits for Temporal now."""
    while True:
        try:
            return await reach(settings, interceptors, lazy=lazy)
        except RuntimeError as error:
            log.warning("runs.temporal_away", address=settings.temporal_address, error=type(error).__name__)
            await asyncio.sleep(1)


async def reach(settings: Settings, interceptors: Sequence[Interceptor] = (), *, lazy: bool = False) -> Client:
    """The same with one try. Raises RuntimeError when Temporal is away."""
    key = settings.temporal_api_key
    return await Client.connect(
        settings.required("temporal_address"),
        namespace=settings.temporal_namespace,
        api_key=key.get_secret_value() if key else None,
        tls=_tls(settings),
        lazy=lazy,
        interceptors=list(interceptors),
    )


def _tls(settings: Settings) -> TLSConfig | bool:
    ca, cert, key = settings.temporal_ca, settings.temporal_cert, settings.temporal_key
    if ca is None and cert is None and settings.temporal_server_name is None:
        return settings.temporal_tls or settings.temporal_api_key is not None
    return TLSConfig(
        server_root_ca_cert=ca.read_bytes() if ca else None,
        domain=settings.temporal_server_name,
        client_cert=cert.read_bytes() if cert else None,
        client_private_key=(key or cert).read_bytes() if cert else None,
    )


class Runs:
    """Starts runs and tells them news. Both are hints: the sweep makes up for any that is lost."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._slots = asyncio.Semaphore(_SIGNALS_AT_ONCE)

    async def start(self, run: Run, *, start_at: datetime | None = None, wake: Sequence[str] = ()) -> None:
        """Start the run of a batch; one that is already open is left to itself, and told of `wake`'s channels.

        Works for runs that are open, closed, terminated or were never started. Raises TemporalAway.
        """
        attributes = [
            SearchAttributePair(CHANNELS, [part.channel for part in run.parts]),
            SearchAttributePair(PRIORITY, run.priority.value),
        ]
        if run.tenant:
            attributes.append(SearchAttributePair(TENANT, run.tenant))
        delay = start_at - datetime.now(UTC) if start_at else timedelta()
        with translated():
            await self._client.start_workflow(
                WORKFLOW,
                run,
                id=run_id(run.batch),
                task_queue=workflow_queue(run.priority),
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                start_delay=delay if delay > timedelta() else None,
                start_signal="wake" if wake else None,
                start_signal_args=[list(wake)] if wake else [],
                search_attributes=TypedSearchAttributes(attributes),
                memo={"deliveries": {part.channel: part.size for part in run.parts}},
                static_summary=_summary(run),
                priority=_turn(run),
                task_timeout=timedelta(seconds=10),
            )

    async def wake(self, news: Iterable[tuple[UUID, str]]) -> None:
        """Tell open runs that there is news for a channel of theirs. One that is not there is the sweep's business."""
        by_batch: dict[UUID, list[str]] = {}
        for batch, channel in news:
            by_batch.setdefault(batch, []).append(channel)
        await asyncio.gather(*(self._signal(batch, "wake", sorted(set(c))) for batch, c in by_batch.items()))

    async def _signal(self, batch: UUID, name: str, argument: object) -> None:
        async with self._slots:
            try:
                with translated():
                    await self._client.get_workflow_handle(run_id(str(batch))).signal(name, argument)
            except TemporalAway as error:
                if str(error) != RPCStatusCode.NOT_FOUND.name:
                    log.warning("runs.signal_lost", batch=str(batch), signal=name, error=str(error))


def _turn(run: Run) -> TemporalPriority:
    """Where its tasks stand in their queues; its activities inherit it."""
    return TemporalPriority(priority_key=run.priority.key, fairness_key=run.owner, fairness_weight=float(run.weight))


def _summary(run: Run) -> str:
    parts = ", ".join(f"{part.size} {part.channel}" for part in run.parts)
    return f"{run.priority}: {parts}"
