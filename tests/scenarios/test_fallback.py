"""When a vendor refuses, is silent or hangs: retries by the policy, the next provider, and nobody else is delayed."""

import asyncio
from datetime import datetime
from typing import Any

from stage import SetStage, Stage


def _delivery(status: dict[str, Any], channel: str = "email") -> dict[str, Any]:
    return next(d for d in status["deliveries"] if d["channel"] == channel)


async def test_all_channels_end_delivered_or_finally_sent(stage: Stage) -> None:
    await stage.vendors.rule("sendgrid", receipt={"report": "delivered", "delay": 1})  # after the answer is written
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
    # With two in the route a busy machine, on which the second's receipt is late too, sends to no third.
    stage = await set_stage(channels={"email": {"window": 1, "silence": "resend", "route": ["sendgrid", "ses"]}})
    await stage.vendors.rule("sendgrid", receipt={"report": "none"})
    n = await stage.notify(channels=["email"], recipient_ids=["ada"], message="Hello")
    delivery = _delivery(await stage.until(n, lambda status: status["channel_statuses"]["email"] == "DELIVERED"))
    assert delivery["provider"] == "ses"
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
    assert waits.items() <= {1: 1, 2: 2}.items()  # a busy machine may not see each while it lasts
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


async def test_one_hanging_and_one_refused_row_delay_nobody(set_stage: SetStage) -> None:
    stage = await set_stage(channels={"sms": {"timeout": 30}})
    phones = [f"+1415555{n:04d}" for n in range(100)]
    rules = [{"to": phones[0], "hang": "before"}, {"to": phones[1], "answer": {"status": 500}}]
    await stage.vendors.settings("twilio", rules=rules)
    body = {"channels": ["sms"], "recipients": [{"phone": phone} for phone in phones], "message": "Hello"}
    n = await stage.notify(**body, priority="high")

    def sent(counts: dict[str, int]) -> int:
        return counts.get("SENT", 0) + counts.get("DELIVERED", 0)

    await stage.until(n, lambda status: sent(status["counts"]) >= 98)
    (first,) = await stage.db.run("SELECT status FROM delivery WHERE seq = 0")
    assert first.status == "sending", "it still hangs"
    # Else the worker, at its end, would wait for that call.
    await stage.temporal.get_workflow_handle(await stage.run_of(n)).terminate("seen")


async def test_an_answer_that_never_comes_is_in_doubt_and_counted(set_stage: SetStage) -> None:
    stage = await set_stage(channels={"sms": {"timeout": 2, "doubt": 1}})
    await stage.vendors.rule("twilio", hang="after", receipt={"report": "none"})
    n = await stage.notify(channels=["sms"], recipient_ids=["ada"], message="Hello")
    delivery = _delivery(await stage.until(n, "COMPLETED"), "sms")
    assert "IN_DOUBT" in [event["to"] for event in delivery["events"]]
    assert (delivery["provider"], delivery["possible_duplicate"]) == ("sns", True)
    await stage.awaiting_is_right()


async def test_a_receipt_resolves_a_doubt(stage: Stage) -> None:
    await stage.vendors.rule("twilio", reset=True, receipt={"report": "delivered", "delay": 1})
    n = await stage.notify(channels=["sms"], recipient_ids=["ada"], message="Hello")
    delivery = _delivery(await stage.until(n, "COMPLETED"), "sms")
    assert (delivery["provider"], delivery["status"], delivery["possible_duplicate"]) == ("twilio", "DELIVERED", False)
