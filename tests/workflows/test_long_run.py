"""A run whose history grows long goes on as a new one: nothing it was told or asked is lost."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from kept_histories import kept
from script import at_work, played, stands, started
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.testing import WorkflowEnvironment

from domain.runs import Look, Part
from runs import STATE

LONG = 40  # events, where the server suggests to go on as a new run
WAITS, DONE = stands(sent=1, wait=3600.0), stands(delivered=1)


@pytest_asyncio.fixture
async def impatient() -> AsyncIterator[Client]:
    """A Temporal server that finds histories long early."""
    binary = Path(sys.executable).parent / "temporal"
    limit = f"limit.historyCount.suggestContinueAsNew={LONG}"
    environment = await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(binary),
        dev_server_extra_args=["--dynamic-config-value", limit],
        search_attributes=[STATE],
    )
    async with environment:
        yield environment.client


async def test_it_goes_on_as_a_new_run_that_looks_first(impatient: Client) -> None:
    script = played(email=[WAITS], sms=[WAITS])
    async with at_work(impatient, script):
        run = await started(impatient, Part("email", 1, "a"), Part("sms", 1, "b"))
        first = run.first_execution_run_id
        latest = impatient.get_workflow_handle(run.id)
        while (await latest.describe()).run_id == first:
            await latest.signal("wake", ["email"])
        while not script.of(Look, "sms"):  # nobody has news of it: the new run looks by itself
            await asyncio.sleep(0.01)
        for channel, states in script.looks.items():
            states[0] = DONE
            await latest.signal("wake", [channel])
        told = impatient.get_workflow_handle(run.id, run_id=first)
        await kept("continued", await told.fetch_history())
        assert await run.result() == {"email": {"delivered": 1}, "sms": {"delivered": 1}}


async def test_an_order_under_way_is_finished_first(impatient: Client) -> None:
    script = played(email=[WAITS])
    script.hold.clear()
    async with at_work(impatient, script):
        run = await started(impatient, Part("email", 1, "a"))
        latest = impatient.get_workflow_handle(run.id)
        await latest.signal("retry")
        for _ in range(LONG):
            await latest.signal("wake", ["email"])
            await asyncio.sleep(0.02)
        described = await latest.describe()
        assert described.history_length > LONG
        assert described.run_id == run.first_execution_run_id
        script.hold.set()
        while (await latest.describe()).run_id == run.first_execution_run_id:
            await asyncio.sleep(0.05)
        assert len(script.of("retry")) == 1
        await latest.terminate()
        assert (await latest.describe()).status is WorkflowExecutionStatus.TERMINATED
