"""A vendor that says yes and does not deliver: the same breaker, judged and healed by receipts."""

import asyncio

from gates import QUICK, WIDE, WORKED, gate_at, next_probe

from throttle.gate import Gate
from throttle.words import Breaker

USUAL = 0.1


async def heard(gate: Gate) -> None:
    assert await gate.report_receipts("vendor", USUAL, delays=[0.05]) is None


async def silenced(gate: Gate) -> None:
    await heard(gate)
    change = await gate.report_receipts("vendor", USUAL, silent=3)
    assert change is not None and change.reason.startswith("no receipts")


async def test_silence_opens(redis_url: str) -> None:
    async with gate_at(redis_url) as gate:
        await heard(gate)
        assert await gate.report_receipts("vendor", USUAL, silent=2) is None
        change = await gate.report_receipts("vendor", USUAL, silent=1)
        assert change is not None and change.after is Breaker.OPEN


async def test_half_the_sample_silent_opens_and_less_does_not(redis_url: str) -> None:
    async with gate_at(redis_url, WIDE) as gate:
        assert await gate.report_receipts("vendor", USUAL, delays=[0.05] * 60, silent=40) is None
        change = await gate.report_receipts("vendor", USUAL, delays=[0.05], silent=30)
        assert change is not None and change.reason == "no receipts: 70 of 131 accepted messages stayed silent"


async def test_a_receipt_after_its_usual_time_is_no_excuse(redis_url: str) -> None:
    async with gate_at(redis_url) as gate:
        await heard(gate)
        assert await gate.report_receipts("vendor", USUAL, delays=[USUAL * 3] * 5, silent=3) is not None


async def test_a_vendor_that_never_reported_is_not_blamed(redis_url: str) -> None:
    async with gate_at(redis_url) as gate:
        assert await gate.report_receipts("vendor", USUAL, silent=1000) is None


async def test_accepted_probes_do_not_heal_and_receipts_of_probes_do(redis_url: str) -> None:
    async with gate_at(redis_url) as gate:
        await silenced(gate)
        for _ in range(QUICK.heals + 1):
            await next_probe(gate)
            assert await gate.report("vendor", WORKED, probe=True) is None
        await asyncio.sleep(0.05)
        changes = [await gate.report_receipts("vendor", USUAL, delays=[0.04]) for _ in range(QUICK.heals)]
        assert [change.after for change in changes if change] == [Breaker.HALF_OPEN, Breaker.CLOSED]


async def test_receipts_of_messages_sent_before_it_opened_do_not_heal(redis_url: str) -> None:
    async with gate_at(redis_url) as gate:
        await silenced(gate)
        for _ in range(QUICK.heals):
            assert await gate.report_receipts("vendor", usual=60, delays=[30.0]) is None
        assert (await gate.states())["vendor"].breaker is Breaker.OPEN


async def test_silence_from_before_it_closed_does_not_open_it_again(redis_url: str) -> None:
    async with gate_at(redis_url) as gate:
        await silenced(gate)
        await next_probe(gate)
        for _ in range(QUICK.heals):
            await gate.report_receipts("vendor", 1.0, delays=[0.0])
        assert (await gate.states())["vendor"].breaker is Breaker.CLOSED
        assert await gate.report_receipts("vendor", 60.0, silent=1000) is None
        await asyncio.sleep(1.0)
        assert await gate.report_receipts("vendor", 1.0, silent=1000) is not None
