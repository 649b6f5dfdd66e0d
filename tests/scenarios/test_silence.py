"""A vendor that says yes and delivers nothing: it loses its traffic within its usual time, and gets it back."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from stage import SetStage, Stage

from throttle.words import Breaker

HUSH = 3.0  # seconds


async def _until_breaker(stage: Stage, provider: str, breaker: Breaker, within: float) -> float:
    """Seconds until it stands so."""
    began = time.monotonic()
    while (await stage.shop.gates.gate.states())[provider].breaker is not breaker:
        assert time.monotonic() < began + within, f"{provider} is not {breaker} within {within} s"
        await asyncio.sleep(0.1)
    return time.monotonic() - began


@asynccontextmanager
async def _traffic(stage: Stage, rate: float) -> AsyncIterator[None]:
    """So many text messages a second while the block runs."""

    async def notify() -> None:
        while True:
            await stage.notify(channels=["sms"], recipient_ids=["ada"], message="Hello")
            await asyncio.sleep(1 / rate)

    posting = asyncio.create_task(notify())
    try:
        yield
    finally:
        posting.cancel()
        await asyncio.gather(posting, return_exceptions=True)


async def test_it_loses_its_traffic_and_gets_it_back(set_stage: SetStage) -> None:
    stage = await set_stage(channels={"sms": {"hush": HUSH, "window": 60}})
    async with _traffic(stage, rate=4):
        await asyncio.sleep(3)
        await stage.vendors.rule("twilio", receipt={"report": "none"})
        await _until_breaker(stage, "twilio", Breaker.OPEN, within=HUSH + 8)
        (event,) = await stage.db.run("SELECT * FROM provider_event WHERE provider = 'twilio' AND after = 'open'")
        assert event.reason.startswith("no receipts")
        await asyncio.sleep(1)
        before = len(await stage.vendors.log("twilio")), len(await stage.vendors.log("sns"))
        await asyncio.sleep(5)
        after = len(await stage.vendors.log("twilio")), len(await stage.vendors.log("sns"))
        assert after[0] - before[0] <= 2, "probes only"
        assert after[1] - before[1] >= 10
        await stage.vendors.rule("twilio")
        await _until_breaker(stage, "twilio", Breaker.CLOSED, within=25)


async def test_receipts_lost_while_we_were_away_are_no_fault_of_the_vendor(set_stage: SetStage) -> None:
    stage = await set_stage(channels={"sms": {"hush": 2 * HUSH, "window": 60}})
    async with _traffic(stage, rate=4):
        await asyncio.sleep(2)
    await stage.vendors.rule("twilio", receipt={"report": "none"})
    sent = [await stage.notify(channels=["sms"], recipient_ids=["ada"], message=f"Hello {n}") for n in range(8)]
    for n in sent:
        await stage.until(n, lambda status: status["channel_statuses"]["sms"] == "SENT")
    await stage.stop_api()
    await asyncio.sleep(4)
    await stage.start_api()
    await asyncio.sleep(2 * HUSH + 2)
    assert (await stage.shop.gates.gate.states())["twilio"].breaker is Breaker.CLOSED
    assert not await stage.db.run("SELECT 1 FROM provider_event")
