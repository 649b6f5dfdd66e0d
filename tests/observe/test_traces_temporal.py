"""One trace from a client over a real Temporal server into an activity."""

import asyncio
import sysconfig
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client, WorkflowFailureError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions
from traced import Carry, call, fail

from observe import traces

# As the worker process has it: what carries the trace must work inside Temporal's sandbox.
RUNNER = SandboxedWorkflowRunner(restrictions=SandboxRestrictions.default.with_passthrough_modules("traced"))
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
async def server() -> Any:
    binary = Path(sysconfig.get_path("scripts")) / "temporal"
    async with await WorkflowEnvironment.start_local(dev_server_existing_path=str(binary)) as found:
        yield found
    await asyncio.sleep(0.25)  # temporalio's threads must be gone before the interpreter ends


async def test_one_trace_over_run_and_activity(sink: Any, server: WorkflowEnvironment) -> None:
    traces.configure("test")
    address = server.client.service_client.config.target_host
    client = await Client.connect(address, interceptors=traces.temporal_interceptors())
    worker = Worker(client, task_queue="t", workflows=[Carry], activities=[call], workflow_runner=RUNNER)
    async with worker:
        with traces.start("flush", links=[PARENT]):
            handed_on = await client.execute_workflow("Carry", "call", id="traced", task_queue="t")
        silent = await client.execute_workflow("Carry", "call", id="silent", task_queue="t")

    spans = await sink.spans()
    assert handed_on == f"00-{PARENT[3:35]}-{spans['vendor'].span_id.hex()}-01"
    assert silent is None
    assert {"flush", "StartWorkflow:Carry", "RunWorkflow:Carry", "RunActivity:call", "vendor"} <= set(spans)
    assert {span.trace_id.hex() for span in sink.arrived} == {PARENT[3:35]}


async def test_texts_of_errors_are_scrubbed(sink: Any, server: WorkflowEnvironment) -> None:
    traces.configure("test")
    address = server.client.service_client.config.target_host
    client = await Client.connect(address, interceptors=traces.temporal_interceptors())
    worker = Worker(client, task_queue="t", workflows=[Carry], activities=[fail], workflow_runner=RUNNER)
    async with worker:
        with traces.start("flush", links=[PARENT]), pytest.raises(WorkflowFailureError):
            await client.execute_workflow("Carry", "fail", id="failed", task_queue="t")

    failed = (await sink.spans())["RunActivity:fail"]
    assert failed.status.message == "ValueError: no such user [hidden]"
    assert b"ada@" not in b"".join(span.SerializeToString() for span in sink.arrived)
