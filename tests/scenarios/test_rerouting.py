"""When providers have a pace, ask for rest or take nothing: who waits, who goes elsewhere, and when it all goes on."""

import asyncio
import time
from collections import Counter
from typing import Any

import pytest
from patience import PATIENT
from stage import SetStage, Stage

from throttle.gate import Gate
from throttle.policy import Pace
from throttle.redis import connect

ONE = {"route": ["twilio"]}


def _to(people: int, **more: Any) -> dict[str, Any]:
    """An SMS to so many people."""
    phones = [{"phone": f"+1415555{n:04d}"} for n in range(people)]
    return {"channels": ["sms"], "recipients": phones, "message": "Hello", **more}


async def _deliveries(stage: Stage) -> list[Any]:
    return list(await stage.db.run("SELECT status, provider, attempt, tries FROM delivery"))


async def _attempted(stage: Stage, provider: str, within: float = 60) -> None:
    """Returns when it has been tried and has failed."""
    async with asyncio.timeout(within):
        while not await stage.db.run(
            "SELECT 1 FROM delivery_event WHERE step = 'record' AND provider = :p", p=provider
        ):
            await asyncio.sleep(0.02)


async def _nobody_takes(stage: Stage) -> None:
    """Both vendors do not let us in: one call is enough to open a breaker."""
    await stage.vendors.rule("twilio", answer={"status": 401})
    await stage.vendors.rule("sns", answer={"status": 403})


async def test_messages_leave_at_the_providers_pace(set_stage: SetStage) -> None:
    stage = await set_stage(channels={"sms": ONE}, providers={"twilio": {"rate": 20, "burst": 5}})
    began = time.time()
    await stage.until(await stage.notify(**_to(60)), "COMPLETED", within=120)
    times = sorted(message["at"] for message in await stage.vendors.log("twilio"))
    assert len(times) == 60
    for n, at in enumerate(times, 1):
        assert n <= 5 + 20 * (at - began), f"{n} messages after {at - began:.2f} s"


async def test_a_vendor_that_asks_for_rest_loses_its_messages_to_the_next(
    set_stage: SetStage, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("throttle.tally.EVERY", 0.5)  # the gate hears of answers late: settle has to wait for it
    stage = await set_stage(channels={"sms": {"retry": []}})
    await stage.vendors.rule("twilio", answer={"status": 429, "retry_after": 60})
    await stage.until(await stage.notify(**_to(10)), "COMPLETED")
    rows = await _deliveries(stage)
    assert Counter((row.provider, row.tries) for row in rows) == {("sns", 1): 10}
    other_worker = Gate(client := connect(redis_url, timeout=PATIENT), {"twilio": Pace()}, limit=PATIENT)
    assert (await other_worker.states())["twilio"].paused_for > 20
    await client.aclose()
    later = await stage.notify(**_to(1))
    [delivery] = (await stage.until(later, "COMPLETED"))["deliveries"]
    assert (delivery["provider"], delivery["attempts"]) == ("sns", 1)


async def test_with_nobody_else_messages_wait_out_the_rest_and_lose_no_try(set_stage: SetStage) -> None:
    stage = await set_stage(channels={"sms": {**ONE, "retry": []}})
    await stage.vendors.rule("twilio", answer={"status": 429, "retry_after": 2}, first=5)
    status = await stage.until(await stage.notify(**_to(10)), "COMPLETED", within=120)
    assert status["counts"] == {"DELIVERED": 10}
    assert {(row.provider, row.tries) for row in await _deliveries(stage)} == {("twilio", 1)}


async def test_while_no_provider_works_all_wait_and_go_when_one_does(set_stage: SetStage) -> None:
    stage = await set_stage()
    await _nobody_takes(stage)
    normal = await stage.notify(**_to(3))
    await _attempted(stage, "twilio")
    await _attempted(stage, "sns")
    high = await stage.notify(**_to(3), priority="high")
    await asyncio.sleep(1)
    assert (await stage.status(high))["counts"] == {"QUEUED": 3}
    await stage.vendors.reset()
    await stage.until(normal, "COMPLETED", within=60)
    await stage.until(high, "COMPLETED", within=60)
