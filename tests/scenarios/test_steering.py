"""What an operator says of a provider holds from that moment on, for new messages and for those that wait."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from stage import SetStage, Stage

AT_ONCE = 1  # no more is let through at any moment
SLOW = {"twilio": {"rate": 4, "burst": AT_ONCE}}


async def _says(stage: Stage, provider: str, order: str, **body: Any) -> datetime:
    """The moment from which on it holds."""
    code, answer = await stage.call("POST", f"/providers/{provider}/{order}", body)
    assert code == 200, answer
    return datetime.now(UTC)


async def _sent(stage: Stage, n: int = 1) -> list[dict[str, Any]]:
    """So many messages, one after the other, once they have ended."""
    ids = [await stage.notify(channels=["sms"], recipient_ids=["ada"], message="Hello") for _ in range(n)]
    return [(await stage.until(id, "COMPLETED"))["deliveries"][0] for id in ids]


async def _backlog(stage: Stage, people: int = 40) -> str:
    """A notification to so many, of which twilio has had a few and the rest waits for its pace."""
    phones = [{"phone": f"+1415555{n:04d}"} for n in range(people)]
    id = await stage.notify(channels=["sms"], recipients=phones, message="Hello")
    async with asyncio.timeout(60):
        while len(await stage.vendors.log("twilio")) < 3:
            await asyncio.sleep(0.05)
    return id


async def _claimed_by(stage: Stage, provider: str, after: datetime) -> int:
    """Claims after that moment. One clock: the ledger is on this machine."""
    (row,) = await stage.db.run(
        "SELECT count(*) AS n FROM delivery_event WHERE step = 'claim' AND provider = :provider AND at > :after",
        provider=provider,
        after=after,
    )
    return row.n


async def test_a_disabled_provider_claims_nothing_more_and_what_waits_for_it_moves(set_stage: SetStage) -> None:
    stage = await set_stage(providers=SLOW)
    waiting = await _backlog(stage, people=90)  # many wait, also where the word comes late
    since = await _says(stage, "twilio", "disable", reason="invoice unpaid")
    status = await stage.until(waiting, "COMPLETED", within=120)
    by = [delivery["provider"] for delivery in status["deliveries"]]
    assert by.count("sns") >= 30 and set(by) == {"twilio", "sns"}
    assert not any(delivery["possible_duplicate"] for delivery in status["deliveries"])
    assert {delivery["provider"] for delivery in await _sent(stage, 5)} == {"sns"}
    assert await _claimed_by(stage, "twilio", since) <= AT_ONCE  # what was let through just before the word
    assert by.count("twilio") == len(await stage.vendors.log("twilio"))
    await stage.awaiting_is_right()


async def test_what_is_queued_for_a_draining_provider_still_goes_by_it(set_stage: SetStage) -> None:
    stage = await set_stage(providers=SLOW)
    waiting = await _backlog(stage)
    await _says(stage, "twilio", "drain", reason="moving away")
    assert {delivery["provider"] for delivery in await _sent(stage, 5)} == {"sns"}
    status = await stage.until(waiting, "COMPLETED", within=120)
    assert {delivery["provider"] for delivery in status["deliveries"]} == {"twilio"}


async def test_weights_move_new_messages(stage: Stage) -> None:
    await _says(stage, "twilio", "weight", weight=0)
    await _says(stage, "sns", "weight", weight=1)
    assert {delivery["provider"] for delivery in await _sent(stage, 5)} == {"sns"}
    await _says(stage, "twilio", "weight", weight=1)
    await _says(stage, "sns", "weight", weight=0)
    assert {delivery["provider"] for delivery in await _sent(stage, 5)} == {"twilio"}


async def test_to_enable_brings_it_back_and_closes_its_breaker(stage: Stage) -> None:
    await stage.vendors.rule("twilio", answer={"status": 401})
    assert {delivery["provider"] for delivery in await _sent(stage)} == {"sns"}
    await _says(stage, "twilio", "disable", reason="wrong key")
    await stage.vendors.reset()
    await _says(stage, "twilio", "enable", reason="new key")
    assert {delivery["provider"] for delivery in await _sent(stage, 3)} == {"twilio"}
    _, answer = await stage.call("GET", "/providers/twilio/events")
    told = [(event["kind"], event["before"], event["after"]) for event in answer["data"]]
    assert set(told) >= {
        ("breaker", "closed", "open"),
        ("operator", None, "disabled"),
        ("operator", "disabled", "enabled"),
    }
    assert {event["after"] for event in answer["data"] if event["kind"] == "breaker"} >= {"open", "closed"}


@pytest.mark.parametrize("priority", ["high", "low"])
async def test_with_all_disabled_messages_wait_and_go_when_one_is_back(stage: Stage, priority: str) -> None:
    for provider in ("twilio", "sns"):
        await _says(stage, provider, "disable", reason="maintenance")
    id = await stage.notify(channels=["sms"], recipient_ids=["ada"], message="Hello", priority=priority)
    await asyncio.sleep(3)
    assert (await stage.status(id))["status"] in {"ENQUEUED", "PROCESSING"}
    async with asyncio.timeout(60):
        while (await stage.call("GET", "/readyz"))[1]["status"] != "degraded":  # a busy machine may answer it late
            await asyncio.sleep(0.1)
    await _says(stage, "sns", "enable")
    status = await stage.until(id, "COMPLETED", within=120)
    assert (status["deliveries"][0]["provider"], status["deliveries"][0]["attempts"]) == ("sns", 1)


async def test_what_died_comes_back_when_an_operator_trusts_the_provider_again(set_stage: SetStage) -> None:
    stage = await set_stage(channels={"sms": {"route": ["twilio"], "patience": 1}}, redrive=10)
    await stage.vendors.rule("twilio", answer={"status": 401})
    id = await stage.notify(channels=["sms"], recipient_ids=["ada"], message="Hello")
    await stage.until(id, "FAILED")
    await stage.vendors.reset()
    await _says(stage, "twilio", "enable", reason="new key")
    assert (await stage.until(id, "COMPLETED"))["deliveries"][0]["status"] == "DELIVERED"
