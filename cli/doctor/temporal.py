"""Looks at Temporal: namespace, search attributes, schedules, and who polls the queues."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING

from cli.doctor.findings import Finding, ok, wrong
from domain.runs import SWEEP, TIDY
from settings import Settings

if TYPE_CHECKING:
    from temporalio.client import Client

_SCHEDULES = (f"clarion-{SWEEP}", f"clarion-{TIDY}")
_STUCK = 60.0  # seconds a task may wait for a worker; the slowest promise is 30


def temporal(settings: Settings, queues: Sequence[str]) -> Callable[[], AsyncIterator[Finding]]:
    """Reachable and prepared, and every one of these queues served."""

    async def check() -> AsyncIterator[Finding]:
        from temporalio.service import RPCError

        from runs import reach

        address, namespace = settings.required("temporal_address"), settings.temporal_namespace
        try:
            client = await reach(settings)
        except RuntimeError:
            yield wrong("Temporal", f"{address} does not answer", "Start it, or set CLARION_TEMPORAL_ADDRESS.")
            return
        yield ok("Temporal", f"{address} answers")
        try:
            for step in (_namespace, _attributes, _schedules):
                yield await step(client)
            for finding in await _queues(client, queues):
                yield finding
        except RPCError as error:
            yield wrong("namespace", f"{namespace}: {error.message}", "Run `clarion migrate`.")

    return check


async def _namespace(client: "Client") -> Finding:
    from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest

    request = DescribeNamespaceRequest(namespace=client.namespace)
    found = await client.workflow_service.describe_namespace(request)
    days = found.config.workflow_execution_retention_ttl.ToTimedelta().total_seconds() / 86_400
    return ok("namespace", f"{client.namespace} keeps closed runs {days:g} days")


async def _attributes(client: "Client") -> Finding:
    from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest

    from runs import SEARCH_ATTRIBUTES

    request = ListSearchAttributesRequest(namespace=client.namespace)
    there = (await client.operator_service.list_search_attributes(request)).custom_attributes
    missing = [key.name for key in SEARCH_ATTRIBUTES if key.name not in there]
    if missing:
        told = f"{', '.join(missing)} missing: no run can start"
        return wrong("search attributes", told, "Run `clarion migrate`.")
    return ok("search attributes", f"all {len(SEARCH_ATTRIBUTES)} there")


async def _schedules(client: "Client") -> Finding:
    from temporalio.service import RPCError, RPCStatusCode

    for name in _SCHEDULES:
        try:
            found = await client.get_schedule_handle(name).describe()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return wrong("schedules", f"{name} is missing", "Run `clarion migrate`.")
        if found.schedule.state.paused:
            todo = f"Unpause it: `temporal schedule toggle --schedule-id {name} --unpause --reason doctor`."
            return wrong("schedules", f"{name} is paused", todo)
    return ok("schedules", f"{', '.join(_SCHEDULES)} run")


async def _queues(client: "Client", queues: Sequence[str]) -> list[Finding]:
    from runs.queues import queue_states

    states = await queue_states(client, queues)
    alone = [state.queue for state in states if not state.pollers]
    stuck = [state for state in states if state.pollers and state.age > _STUCK]
    findings = [
        wrong("workers", f"nobody serves {queue}: what is sent there waits", f"`clarion worker --queues {queue}`")
        for queue in alone
    ]
    findings += [
        wrong(
            "workers",
            f"{state.queue} has {state.backlog} tasks waiting, the oldest {state.age:.0f} s",
            f"Start more: `clarion worker --queues {state.queue}`; look at the logs of those there.",
        )
        for state in stuck
    ]
    if len(alone) == len(queues):
        return [wrong("workers", "there are none: everything waits", "`clarion worker --queues all`")]
    return findings or [ok("workers", f"all {len(queues)} queues are served")]
