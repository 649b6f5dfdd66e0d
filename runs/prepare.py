"""What Temporal needs before Clarion can run on it: namespace, search attributes, schedules. Repeating is harmless."""

import contextlib
from datetime import timedelta

from google.protobuf.duration_pb2 import Duration
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
)
from temporalio.service import RPCError, RPCStatusCode

from domain.priorities import Priority, workflow_queue
from domain.runs import MAINTENANCE_WORKFLOW, SWEEP, TIDY
from runs import SEARCH_ATTRIBUTES, translated

RETENTION = timedelta(days=3)  # of closed runs; the ledger keeps what happened

# A sweep lasts about a minute; BUFFER_ONE starts the next as it ends.
_CHORES = {SWEEP: timedelta(minutes=1), TIDY: timedelta(minutes=5)}


async def prepare(client: Client) -> None:
    """Make what is missing. Raises TemporalAway."""
    with translated():
        await _namespace(client)
        await _search_attributes(client)
        for chore, every in _CHORES.items():
            await _schedule(client, chore, every)


async def _namespace(client: Client) -> None:
    request = RegisterNamespaceRequest(
        namespace=client.namespace,
        workflow_execution_retention_period=Duration(seconds=int(RETENTION.total_seconds())),
    )
    try:
        await client.workflow_service.register_namespace(request)
    except RPCError as error:
        if error.status is not RPCStatusCode.ALREADY_EXISTS:
            raise


async def _search_attributes(client: Client) -> None:
    listed = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace)
    )
    missing = {
        key.name: key.indexed_value_type for key in SEARCH_ATTRIBUTES if key.name not in listed.custom_attributes
    }
    if missing:
        request = AddSearchAttributesRequest(namespace=client.namespace, search_attributes=missing)  # pyright: ignore[reportArgumentType]
        await client.operator_service.add_search_attributes(request)


async def _schedule(client: Client, chore: str, every: timedelta) -> None:
    action = ScheduleActionStartWorkflow(
        MAINTENANCE_WORKFLOW, chore, id=f"maintenance/{chore}", task_queue=workflow_queue(Priority.NORMAL)
    )
    schedule = Schedule(
        action=action,
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=every)]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.BUFFER_ONE),
    )
    with contextlib.suppress(ScheduleAlreadyRunningError):
        await client.create_schedule(f"clarion-{chore}", schedule, trigger_immediately=True)
