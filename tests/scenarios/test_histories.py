"""Runs of every kind, whose histories replay at once and can be recorded for later versions (see kept_histories)."""

from collections.abc import Awaitable, Callable

from kept_histories import kept
from stage import Stage

SetStage = Callable[..., Awaitable[Stage]]


async def _keep(name: str, stage: Stage, notification: str) -> None:
    handle = stage.temporal.get_workflow_handle(await stage.run_of(notification))
    await handle.result()
    await kept(name, await handle.fetch_history())


async def test_all_channels(stage: Stage) -> None:
    n = await stage.notify(channels=["email", "sms", "push"], recipient_ids=["ada"], message="Hello")
    await stage.until(n, "COMPLETED")
    await _keep("all-channels", stage, n)


async def test_fallback(set_stage: SetStage) -> None:
    stage = await set_stage(channels={"email": {"retry": [0.1]}})
    await stage.vendors.rule("sendgrid", answer={"status": 500})
    n = await stage.notify(channels=["email"], recipient_ids=["ada"], message="Hello")
    await stage.until(n, "COMPLETED")
    await _keep("fallback", stage, n)


async def test_bounce(stage: Stage) -> None:
    await stage.vendors.rule("twilio", receipt={"report": "undelivered"})
    n = await stage.notify(channels=["sms"], recipient_ids=["ada"], message="Hello")
    await stage.until(n, "COMPLETED")
    await _keep("bounce", stage, n)


async def test_dead_then_retried(set_stage: SetStage) -> None:
    stage = await set_stage(channels={"push": {"retry": []}})
    await stage.vendors.rule("fcm", answer={"status": 500})
    n = await stage.notify(channels=["push"], recipient_ids=["ada"], message="Hello")
    await stage.until(n, lambda status: status["channel_statuses"]["push"] == "DEAD")
    await stage.vendors.reset()
    await stage.temporal.get_workflow_handle(await stage.run_of(n)).signal("retry")
    await stage.until(n, "COMPLETED")
    await _keep("dead-then-retried", stage, n)


async def test_held_then_closed(set_stage: SetStage) -> None:
    """Urgent messages are no probes: they wait until the vendor says, asked by a worker, that it works again."""
    stage = await set_stage(channels={"sms": {"route": ["twilio"]}})
    await stage.vendors.rule("twilio", answer={"status": 401}, first=1)
    n = await stage.notify(channels=["sms"], recipient_ids=["ada"], message="Hello", priority="high")
    status = await stage.until(n, "COMPLETED", within=60)
    assert status["deliveries"][0]["attempts"] == 2
    await _keep("held-then-closed", stage, n)
