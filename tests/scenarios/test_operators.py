"""What people do: retry and discard dead letters, cancel, reschedule."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from stage import SetStage, Stage
from temporalio.client import WorkflowExecutionStatus
from temporalio.common import WorkflowIDConflictPolicy

from domain.priorities import Priority, workflow_queue
from domain.runs import WORKFLOW, Part, Run
from runs import STATE


async def _dead(set_stage: SetStage) -> tuple[Stage, str]:
    """A notification whose one delivery nobody would take."""
    stage = await set_stage(channels={"push": {"retry": []}})
    await stage.vendors.rule("fcm", answer={"status": 500})
    n = await stage.notify(channels=["push"], recipient_ids=["ada"], message="Hello")
    await stage.until(n, lambda status: status["channel_statuses"]["push"] == "DEAD")
    await stage.vendors.reset()
    return stage, n


async def _letters(stage: Stage) -> list[dict[str, Any]]:
    _, answer = await stage.call("GET", "/dead-letters")
    return answer["data"]


async def test_retry_by_the_api(set_stage: SetStage) -> None:
    stage, n = await _dead(set_stage)
    [letter] = await _letters(stage)
    code, _ = await stage.call("POST", f"/dead-letters/{letter['delivery_id']}/retry")
    assert code == 200
    status = await stage.until(n, "COMPLETED")
    assert status["channel_statuses"] == {"push": "SENT"}
    assert await _letters(stage) == []


async def test_retry_by_the_api_after_its_run_was_terminated(set_stage: SetStage) -> None:
    stage, n = await _dead(set_stage)
    handle = stage.temporal.get_workflow_handle(await stage.run_of(n))
    await handle.terminate("by hand")
    [letter] = await _letters(stage)
    await stage.call("POST", f"/dead-letters/{letter['delivery_id']}/retry")
    await stage.until(n, "COMPLETED")


@pytest.mark.parametrize("argument", [[], [{"channel": "push"}], [{"seqs": [0]}]])
async def test_retry_by_a_signal(set_stage: SetStage, argument: list[Any]) -> None:
    stage, n = await _dead(set_stage)
    handle = stage.temporal.get_workflow_handle(await stage.run_of(n))
    await handle.signal("retry", args=argument)
    await stage.until(n, "COMPLETED")
    assert (await handle.result()) == {"push": {"sent_final": 1}}


async def test_a_misspelt_order_touches_nothing(set_stage: SetStage) -> None:
    stage, n = await _dead(set_stage)
    handle = stage.temporal.get_workflow_handle(await stage.run_of(n))
    await handle.signal("discard", {"chanel": "sms"})
    await handle.signal("discard", {"channel": "email"})
    await asyncio.sleep(1)
    assert (await stage.status(n))["channel_statuses"] == {"push": "DEAD"}


async def test_retry_by_signal_with_start_after_its_run_was_terminated(set_stage: SetStage) -> None:
    stage, n = await _dead(set_stage)
    run = await stage.run_of(n)
    await stage.temporal.get_workflow_handle(run).terminate("by hand")
    await stage.temporal.start_workflow(
        WORKFLOW,
        Run(run.removeprefix("batch/"), Priority.NORMAL, [Part("push", 1)]),
        id=run,
        task_queue=workflow_queue(Priority.NORMAL),
        start_signal="retry",
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
    )
    await stage.until(n, "COMPLETED")


async def test_discard_by_a_signal_ends_the_run(set_stage: SetStage) -> None:
    stage, n = await _dead(set_stage)
    handle = stage.temporal.get_workflow_handle(await stage.run_of(n))
    await handle.signal("discard")
    await handle.result()
    status = await stage.status(n)
    assert status["status"] == "FAILED"
    assert status["deliveries"][0]["reason"] == "discarded"


async def test_cancel_before_sending(stage: Stage) -> None:
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    n = await stage.notify(channels=["email", "sms"], recipient_ids=["ada"], message="Hello", send_at=later)
    assert (await stage.status(n))["status"] == "SCHEDULED"
    code, answer = await stage.call("POST", f"/notifications/{n}/cancel")
    assert code == 200
    assert len(answer["cancelled"]) == 2
    assert (await stage.status(n))["status"] == "CANCELLED"
    handle = stage.temporal.get_workflow_handle(await stage.run_of(n))
    await handle.result()
    assert await stage.vendors.log("sendgrid") == []


async def test_cancel_during_sending_is_too_late(stage: Stage) -> None:
    await stage.vendors.rule("sendgrid", latency=1.5)
    n = await stage.notify(channels=["email"], recipient_ids=["ada"], message="Hello")
    begun = {"SENDING", "SENT", "DELIVERED"}  # a busy machine may look late: then it is too late all the more
    await stage.until(n, lambda status: status["channel_statuses"]["email"] in begun)
    _, answer = await stage.call("POST", f"/notifications/{n}/cancel")
    assert answer["cancelled"] == []
    assert len(answer["too_late"]) == 1
    await stage.until(n, "COMPLETED")


async def test_scheduled_and_rescheduled(stage: Stage) -> None:
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    n = await stage.notify(channels=["email"], recipient_ids=["ada"], message="Hello", send_at=later)
    soon = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    code, _ = await stage.call("PATCH", f"/notifications/{n}", {"send_at": soon})
    assert code == 200
    await stage.until(n, "COMPLETED")


async def test_an_expired_message_is_not_sent(set_stage: SetStage) -> None:
    stage = await set_stage(channels={"sms": {"retry": [60]}})
    await stage.vendors.rule("twilio", answer={"status": 503})
    body: dict[str, Any] = {"channels": ["sms"], "recipient_ids": ["ada"], "message": "Hello"}
    for seconds in (2, 10, 30):  # for a busy machine the first may have passed before it is read
        soon = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
        code, answer = await stage.call("POST", "/notify", {**body, "expires_at": soon})
        if code == 202:
            break
    assert code == 202, answer
    status = await stage.until(answer["id"], "FAILED")
    assert status["deliveries"][0]["status"] == "EXPIRED"
    assert await stage.vendors.log("sns") == []


async def test_an_operator_reads_in_the_web_ui_what_a_run_carries(set_stage: SetStage) -> None:
    stage, n = await _dead(set_stage)
    handle = stage.temporal.get_workflow_handle(await stage.run_of(n))
    described = await handle.describe()
    assert described.status is WorkflowExecutionStatus.RUNNING
    assert await described.static_summary() == "normal: 1 push"
    assert await described.memo() == {"deliveries": {"push": 1}}
    async with asyncio.timeout(60):
        while (await handle.describe()).typed_search_attributes.get(STATE) != "parked":
            await asyncio.sleep(0.1)
    assert "waiting for `retry` or `discard`" in str(await handle.query("__temporal_workflow_metadata"))
