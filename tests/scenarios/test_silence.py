"""A vendor that says yes and delivers nothing: it loses its traffic within its usual time, and gets it back."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from stage import SetStage, Stage

from throttle.words import Breaker

HUSH = 3.0  # seconds
AWAY = 4.0  # seconds: more than the gap after which nobody is judged by what was sent before it
PROBE_EVERY = 5.0  # seconds


async def _until_breaker(stage: Stage, provider: str, breaker: Breaker, within: float = 60) -> None:
    """Return when it stands so. The limit is for a busy machine: slow receipts make the usual time longer."""
    began = time.monotonic()
    while (await stage.shop.gates.gate.states())[provider].breaker is not breaker:
        assert time.monotonic() < began + within, f"{provider} is not {breaker} within {within} s"
        await asyncio.sleep(0.1)


async def _none_under_way(stage: Stage, provider: str) -> None:
    """Return when what it had been given before its breaker opened has been sent, or has gone elsewhere."""
    async with asyncio.timeout(60):
        while await stage.db.run(
            "SELECT 1 FROM delivery WHERE provider = :provider AND status IN ('queued', 'sending')", provider=provider
        ):
            await asyncio.sleep(0.05)


async def _opened(stage: Stage, provider: str) -> str:
    """Why its breaker opened, as soon as the ledger knows: that is a moment after the gate."""
    async with asyncio.timeout(60):
        while not (
            events := await stage.db.run(
                "SELECT reason FROM provider_event WHERE provider = :provider AND after = 'open'", provider=provider
            )
        ):
            await asyncio.sleep(0.05)
    (event,) = events
    return event.reason


async def _taken(stage: Stage) -> tuple[int, int]:
    """Messages that twilio and sns have had."""
    return len(await stage.vendors.log("twilio")), len(await stage.vendors.log("sns"))


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
        await _until_breaker(stage, "twilio", Breaker.OPEN)
        assert (await _opened(stage, "twilio")).startswith("no receipts")
        await _none_under_way(stage, "twilio")
        began, before = time.monotonic(), await _taken(stage)
        async with asyncio.timeout(60):
            while (after := await _taken(stage))[1] < before[1] + 20:
                await asyncio.sleep(0.1)
        most = (time.monotonic() - began) / PROBE_EVERY + 1  # the first may have been on its way before
        assert after[0] - before[0] <= most, "probes only"
        await stage.vendors.rule("twilio")
        await _until_breaker(stage, "twilio", Breaker.CLOSED)


async def test_receipts_lost_while_we_were_away_are_no_fault_of_the_vendor(set_stage: SetStage) -> None:
    hush = 4 * HUSH  # also a busy machine has sent them all, and we are away, before one of them counts as silent
    stage = await set_stage(channels={"sms": {"hush": hush, "window": 60}})
    async with _traffic(stage, rate=4):
        await asyncio.sleep(2)
    await stage.vendors.rule("twilio", receipt={"report": "none"})
    sent = await asyncio.gather(
        *(stage.notify(channels=["sms"], recipient_ids=["ada"], message=f"Hello {n}") for n in range(8))
    )
    for n in sent:
        await stage.until(n, lambda status: status["channel_statuses"]["sms"] == "SENT")
    await stage.stop_api()
    await asyncio.sleep(AWAY)
    await stage.start_api()
    await asyncio.sleep(hush - AWAY + 1.5)  # and one look more
    assert (await stage.shop.gates.gate.states())["twilio"].breaker is Breaker.CLOSED
    assert not await stage.db.run("SELECT 1 FROM provider_event")
