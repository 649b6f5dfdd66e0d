"""How Temporal's task queues stand: what waits, for how long, and whether anybody polls."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client

from runs import translated


@dataclass(frozen=True, slots=True)
class QueueState:
    """One queue. `age`: seconds the oldest task has waited."""

    queue: str
    backlog: int
    age: float
    pollers: int


async def queue_states(client: Client, queues: Sequence[str]) -> list[QueueState]:
    """All of them, asked at once. Raises TemporalAway."""
    with translated():
        return list(await asyncio.gather(*(_state(client, queue) for queue in queues)))


async def _state(client: Client, queue: str) -> QueueState:
    workflows = queue.startswith("workflows-")
    kind = TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW if workflows else TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY
    request = DescribeTaskQueueRequest(
        namespace=client.namespace, task_queue=TaskQueue(name=queue), task_queue_type=kind, report_stats=True
    )
    found = await client.workflow_service.describe_task_queue(request)
    age = found.stats.approximate_backlog_age.ToNanoseconds() / 1e9
    return QueueState(queue, found.stats.approximate_backlog_count, age, len(found.pollers))
