"""A run alone, with its activities played by a script: only here, where what the workflow does is the question."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from temporalio import activity
from temporalio.client import Client, WorkflowHandle, WorkflowHistory
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from domain.deliveries import TERMINAL, Status
from domain.ids import new_id
from domain.priorities import Priority, delivery_queue, workflow_queue
from domain.runs import DELIVER, DISCARD, RETRY, SETTLE, WORKFLOW, Delivery, Look, Order, Part, Run, State, run_id
from workflows.batch import BatchWorkflow

# Stricter than production: whatever is not deterministic raises here.
_RUNNER = SandboxedWorkflowRunner(
    restrictions=SandboxRestrictions.default.with_passthrough_modules("domain", "workflows")
)

Handle = WorkflowHandle[BatchWorkflow, dict[str, dict[str, int]]]


def stands(*due: str, wait: float | None = None, held: float | None = None, **counts: int) -> State:
    """A channel with so many rows by status."""
    still_open = sum(n for status, n in counts.items() if Status(status) not in TERMINAL)
    return State(list(due), wait, counts, still_open, counts.get("dead", 0), held)


@dataclass
class Script:
    """What each look at a channel finds, in order; the last stays. `meanwhile` runs during a look."""

    looks: dict[str, deque[State]]
    calls: list[object] = field(default_factory=list)
    meanwhile: Callable[[object], object] | None = None
    hold: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.hold.set()

    async def _look(self, call: Look | Delivery) -> State:
        self.calls.append(call)
        if self.meanwhile:
            found = self.meanwhile(call)
            if asyncio.iscoroutine(found):
                await found
        states = self.looks[call.channel]
        return states.popleft() if len(states) > 1 else states[0]

    @activity.defn(name=SETTLE)
    async def settle(self, look: Look) -> State:
        return await self._look(look)

    @activity.defn(name=DELIVER)
    async def deliver(self, order: Delivery) -> State:
        return await self._look(order)

    @activity.defn(name=RETRY)
    async def retry(self, order: Order) -> int:
        await self.hold.wait()
        self.calls.append(("retry", order))
        return 1

    @activity.defn(name=DISCARD)
    async def discard(self, order: Order) -> int:
        self.calls.append(("discard", order))
        return 1

    def of(self, kind: type | str, channel: str | None = None) -> list[object]:
        """The calls of one kind, in order."""
        if isinstance(kind, str):
            return [call[1] for call in self.calls if isinstance(call, tuple) and call[0] == kind]
        return [c for c in self.calls if isinstance(c, kind) and channel in (None, c.channel)]


def played(**looks: Iterable[State]) -> Script:
    """A script from the looks of each channel."""
    return Script({channel: deque(states) for channel, states in looks.items()})


@asynccontextmanager
async def at_work(client: Client, script: Script) -> AsyncIterator[None]:
    """Workers for the run and for its channels."""
    async with AsyncExitStack() as stack:
        queue = workflow_queue(Priority.NORMAL)
        workflows = Worker(
            client,
            task_queue=queue,
            workflows=[BatchWorkflow],
            workflow_runner=_RUNNER,
            activities=[script.settle],
            no_remote_activities=True,
        )
        await stack.enter_async_context(workflows)
        for channel in script.looks:
            await stack.enter_async_context(
                Worker(
                    client,
                    task_queue=delivery_queue(channel, Priority.NORMAL),
                    activities=[script.deliver, script.retry, script.discard],
                )
            )
        yield


async def started(client: Client, *parts: Part) -> Handle:
    """A new run."""
    batch = str(new_id())
    return await client.start_workflow(
        WORKFLOW,
        Run(batch, Priority.NORMAL, list(parts)),
        id=run_id(batch),
        task_queue=workflow_queue(Priority.NORMAL),
        result_type=dict[str, dict[str, int]],
    )


def kinds(history: WorkflowHistory) -> list[str]:
    """What happened, as in `TIMER_STARTED`."""
    from temporalio.api.enums.v1 import EventType

    return [EventType.Name(event.event_type).removeprefix("EVENT_TYPE_") for event in history.events]


def lasted(history: WorkflowHistory) -> float:
    """Seconds from the first event to the last, by the server's clock."""
    first, last = history.events[0].event_time, history.events[-1].event_time
    return last.ToNanoseconds() / 1e9 - first.ToNanoseconds() / 1e9


def timers(history: WorkflowHistory) -> list[float]:
    """The seconds of each wait, in order."""
    set_to = [
        event.timer_started_event_attributes.start_to_fire_timeout
        for event in history.events
        if event.HasField("timer_started_event_attributes")
    ]
    return [each.ToNanoseconds() / 1e9 for each in set_to]
