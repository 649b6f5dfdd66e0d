"""When a vendor refuses, is silent or hangs: retries by the policy, the next provider, and nobody else is delayed."""

import asyncio
from datetime import datetime
from typing import Any

from stage import SetStage, Stage


def _delivery(status: dict[str, Any], channel: str = "email") -> dict[str, Any]:
    return next(d for d in status["deliveries"] if d["channel"] == channel)


async def test_all_channels_end_delivered_or_finally_sent(stage: Stage) -> None:
    n = await stage.notify(channels=["email", "sms", "push"], recipient_ids=["ada"], message="Hello")
    status = await stage.until(n, "COMPLETED")
    assert status["channel_statuses"] == {"email": "DELIVERED", "sms": "DELIVERED", "push": "SENT"}
    events = _delivery(status)["events"]
    assert [event["to"] for event in events] == ["QUEUED", "SENDING", "SENT", "DELIVERED"]
    assert events[2]["provider"] == "sendgrid"
    assert events[2]["message_id"]
    await stage.awaiting_is_right()


async def test_a_refusing_vendor_hands_on_to_the_next(set_stage: SetStage) -> None:
    stage = await set_stage(channels={"email": {"retry": [0.1, 0.1]}})
    await stage.vendors.rule("sendgrid", answer={"status": 500})
    n = await stage.notify(channels=["email"], recipient_ids=["ada"], message="Hello")
    status = await stage.until(n, "COMPLETED")
    delivery = _delivery(status)
    assert (delivery["provider"], delivery["status"], delivery["attempts"]) == ("ses", "DELIVERED", 4)
    assert delivery["possible_duplicate"] is False
    assert len(await stage.vendors.log("ses")) == 1
    assert await stage.vendors.log("sendgrid") == []


async def test_a_silent_vendor_under_resend_is_a_possible_duplicate(set_stage: SetStage) -> None:
    stage = await set_stage(channels={"email": {"window": 1, "silence": "resend"}})
    await stage.vendors.rule("sendgrid", receipt={"report": "none"})
    n = await stage.notify(channels=["email"], recipient_ids=["ada"], message="Hello")
    delivery = _delivery(await stage.until(n, "COMPLETED"))
    assert (delivery["provider"], delivery["status"]) == ("ses", "DELIVERED")
    assert delivery["possible_duplicate"] is True
    assert len(await stage.vendors.log("sendgrid")) == len(await stage.vendors.log("ses")) == 1


async def test_a_silent_vendor_under_accept_ends_unconfirmed(set_stage: SetStage) -> None:
    stage = await set_stage(channels={"email": {"window": 1}})
    await stage.vendors.rule("sendgrid", receipt={"report": "none"})
    n = await stage.notify(channels=["email"], recipient_ids=["ada"], message="Hello")
    status = await stage.until(n, "COMPLETED")
    assert _delivery(status)["status"] == "UNCONFIRMED"
    assert await stage.vendors.log("ses") == []


async def test_a_bounce_goes_to_the_next_provider_as_no_duplicate(stage: Stage) -> None:
    await stage.vendors.rule("twilio", receipt={"report": "undelivered"})
    n = await stage.notify(channels=["sms"], recipient_ids=["ada"], message="Hello")
    delivery = _delivery(await stage.until(n, "COMPLETED"), "sms")
    assert (delivery["provider"], delivery["status"], delivery["possible_duplicate"]) == ("sns", "SENT", False)


async def test_a_rejected_message_fails_without_retries(stage: Stage) -> None:
    await stage.vendors.rule("twilio", answer={"status": 400})
    n = await stage.notify(channels=["sms"], recipient_ids=["ada"], message="Hello")
    delivery = _delivery(await stage.until(n, "FAILED"), "sms")
    assert (delivery["status"], delivery["attempts"]) == ("FAILED", 1)


_WAITS = """
SELECT attempt, extract(epoch FROM due_at - updated_at)::float8 AS wait FROM delivery
 WHERE status = 'queued' AND attempt > 0
"""


async def test_retries_keep_to_the_policy(stage: Stage) -> None:
    await stage.vendors.rule("sendgrid", answer={"status": 503}, first=2)  # a third in a row opens its breaker
    n = await stage.notify(channels=["email"], recipient_ids=["ada"], message="Hello")
    waits: dict[int, float] = {}
    while (status := await stage.status(n))["status"] != "COMPLETED":
        waits |= {row.attempt: row.wait for row in await stage.db.run(_WAITS)}
        await asyncio.sleep(0.05)
    assert waits == {1: 1, 2: 2}
    claims = [e["at"] for e in _delivery(status)["events"] if e["to"] == "SENDING"]
    times = [datetime.fromisoformat(at) for at in claims]
    pauses = [(later - earlier).total_seconds() for earlier, later in zip(times, times[1:], strict=False)]
    assert len(pauses) == 2
    assert pauses[0] >= 1 and pauses[1] >= 2, pauses


async def test_a_throttled_vendor_costs_no_tries(set_stage: SetStage) -> None:
    stage = await set_stage(channels={"sms": {"retry": [], "route": ["twilio"]}})
    await stage.vendors.rule("twilio", answer={"status": 429, "retry_after": 1}, first=2)
    n = await stage.notify(channels=["sms"], recipient_ids=["ada"], message="Hello")
    delivery = _delivery(await stage.until(n, "COMPLETED"), "sms")
    assert (delivery["provider"], delivery["attempts"]) == ("twilio", 3)


async def test_one_hanging_and_one_refused_row_delay_nobody(stage: Stage) -> None:
    phones = [f"+1415555{n:04d}" for n in range(100)]
    rules = [{"to": phones[0], "hang": "before"}, {"to": phones[1], "answer": {"status": 500}}]
    await stage.vendors.settings("twilio", rules=rules)
    body = {"channels": ["sms"], "recipients": [{"phone": phone} for phone in phones], "message": "Hello"}
    n = await stage.notify(**body, priority="high")
    async with asyncio.timeout(60):
        while (await stage.db.run("SELECT count(*) FROM delivery WHERE attempt > 0"))[0][0] < 100:
            await asyncio.sleep(0.02)
    await asyncio.sleep(1.0)
    counts = (await stage.status(n))["counts"]
    assert counts.get("SENT", 0) + counts.get("DELIVERED", 0) == 98, counts


async def test_an_answer_that_never_comes_is_in_doubt_and_counted(set_stage: SetStage) -> None:
    stage = await set_stage(channels={"sms": {"timeout": 0.5, "doubt": 1}})
    await stage.vendors.rule("twilio", hang="after", receipt={"report": "none"})
    n = await stage.notify(channels=["sms"], recipient_ids=["ada"], message="Hello")
    await stage.until(n, lambda status: status["channel_statuses"]["sms"] == "IN_DOUBT")
    delivery = _delivery(await stage.until(n, "COMPLETED"), "sms")
    assert (delivery["provider"], delivery["possible_duplicate"]) == ("sns", True)
    await stage.awaiting_is_right()


async def test_a_receipt_resolves_a_doubt(set_stage: SetStage) -> None:
    stage = await set_stage(channels={"sms": {"timeout": 0.5}})
    await stage.vendors.rule("twilio", hang="after", receipt={"report": "delivered", "delay": 1})
    n = await stage.notify(channels=["sms"], recipient_ids=["ada"], message="Hello")
    delivery = _delivery(await stage.until(n, "COMPLETED"), "sms")
    assert (delivery["provider"], delivery["status"], delivery["possible_duplicate"]) == ("twilio", "DELIVERED", False)
