"""Histories of real runs, kept in tests/histories so that a change of a workflow is held against runs still open.

To record them anew: `RECORD_HISTORIES=1 pytest tests/scenarios/test_histories.py tests/workflows/test_long_run.py`.
Only do so together with a version (`workflow.patched`) for what the change leaves behind, or once no run started before
it can still be open (24 hours after it was deployed). Keep the old files as long as such runs may exist.
"""

import os
import re
from pathlib import Path

from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from workers.worker import _RUNNER
from workflows.batch import BatchWorkflow
from workflows.maintenance import MaintenanceWorkflow

FOLDER = Path(__file__).parent / "histories"


async def replays(history: WorkflowHistory) -> None:
    """Raises if today's workflows would not have done what this history says."""
    replayer = Replayer(workflows=[BatchWorkflow, MaintenanceWorkflow], workflow_runner=_RUNNER)
    await replayer.replay_workflow(history)


async def kept(name: str, history: WorkflowHistory) -> None:
    """Replays it, and records it when asked to."""
    await replays(history)
    if os.environ.get("RECORD_HISTORIES"):
        told = re.sub(r'"\d+@[^"]+"', '"a worker"', history.to_json())  # process and host of whoever recorded it
        (FOLDER / f"{name}.json").write_text(f"{told}\n")
