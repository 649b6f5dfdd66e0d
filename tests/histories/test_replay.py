"""Runs that were started by earlier code go on with today's: their histories replay."""

import json
import re
from base64 import b64decode
from pathlib import Path

import pytest
from kept_histories import FOLDER, replays
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from workers.worker import _RUNNER

HISTORIES = sorted(FOLDER.glob("*.json"))


def read(file: Path) -> WorkflowHistory:
    return WorkflowHistory.from_json(f"batch/{file.stem}", json.loads(file.read_text()))


@pytest.mark.parametrize("file", HISTORIES, ids=lambda file: file.stem)
async def test_a_recorded_run_replays(file: Path) -> None:
    await replays(read(file))


def test_there_are_recorded_runs_of_every_kind() -> None:
    kinds = {"all-channels", "fallback", "bounce", "dead-then-retried", "held-then-closed", "continued"}
    assert kinds <= {f.stem for f in HISTORIES}


def test_they_hold_no_address_and_no_word_of_a_message() -> None:
    """Runs carry ids and counts only; so do their histories, payloads included."""
    for file in HISTORIES:
        text = file.read_text()
        payloads = [b64decode(data).decode() for data in re.findall(r'"data": "([^"]+)"', text)]
        assert payloads
        for said in ("@", "Hello", "ada", "+1"):
            assert said not in " ".join(
                [*payloads, *re.findall(r'"(?:summary|identity|workflowId)": "([^"]*)"', text)]
            ), (file.name, said)


async def test_a_workflow_that_does_otherwise_is_caught() -> None:
    from other_run import OtherRun

    replayer = Replayer(workflows=[OtherRun], workflow_runner=_RUNNER)
    with pytest.raises(NondeterminismError):
        await replayer.replay_workflow(read(FOLDER / "all-channels.json"))
