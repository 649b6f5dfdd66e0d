"""How fast messages go: the token bucket, and the pause a vendor asks for."""

import asyncio
import time

import pytest
from gates import HIGH, LOW, NORMAL, PATIENT, gate_at

from domain.outcomes import Outcome
from throttle.policy import BreakerPolicy, Pace

SLOW = {"vendor": Pace(rate=0.001, burst=10)}


async def test_without_a_rate_all_go(redis_url: str) -> None:
    async with gate_at(redis_url) as gate:
        admission = await gate.admit("vendor", 10_000, LOW)
        assert (admission.granted, admission.wait, admission.reason) == (10_000, None, None)


async def test_a_burst_then_the_rate(redis_url: str) -> None:
    async with gate_at(redis_url, paces=SLOW) as gate:
        first = await gate.admit("vendor", 25, HIGH)
        assert (first.granted, first.reason) == (10, "rate")
        assert first.wait is not None and 990 < first.wait <= 1000


async def test_a_backlog_leaves_tokens_to_the_urgent(redis_url: str) -> None:
    async with gate_at(redis_url, paces=SLOW) as gate:
        assert (await gate.admit("vendor", 100, LOW)).granted == 5
        assert (await gate.admit("vendor", 100, LOW)).granted == 0
        assert (await gate.admit("vendor", 100, NORMAL)).granted == 3
        assert (await gate.admit("vendor", 100, HIGH)).granted == 2


async def test_released_messages_give_their_tokens_back(redis_url: str) -> None:
    async with gate_at(redis_url, paces=SLOW) as gate:
        await gate.admit("vendor", 10, HIGH)
        await gate.report("vendor", {Outcome.RELEASED: 4})
        assert (await gate.admit("vendor", 10, HIGH)).granted == 4


async def test_many_workers_together_keep_the_rate(redis_url: str) -> None:
    async with gate_at(redis_url, paces={"vendor": Pace(rate=100, burst=10)}) as gate:
        began, sent = time.monotonic(), 0

        async def work() -> None:
            nonlocal sent
            while sent < 150:
                admission = await gate.admit("vendor", 64, HIGH)
                sent += admission.granted
                await asyncio.sleep(admission.wait or 0)

        async with asyncio.timeout(PATIENT):
            await asyncio.gather(*(work() for _ in range(8)))
        assert sent <= 10 + 100 * (time.monotonic() - began)


async def test_a_pause_holds_all_workers_and_is_begun_by_one(redis_url: str) -> None:
    async with gate_at(redis_url) as gate, gate_at(redis_url) as other:
        assert [await gate.pause("vendor", 120), await other.pause("vendor", 120)] == [True, False]
        held = await other.admit("vendor", 5, HIGH)
        assert (held.granted, held.reason) == (0, "paused by the vendor")
        assert held.wait is not None and 0 < held.wait <= 120


async def test_who_waits_as_long_as_told_finds_the_pause_over(redis_url: str) -> None:
    async with gate_at(redis_url) as gate, gate_at(redis_url) as other:
        await gate.pause("vendor", 0.5)
        held = await other.admit("vendor", 5, HIGH)
        await asyncio.sleep((held.wait or 0) + 0.01)
        assert (await other.admit("vendor", 5, LOW)).granted == 5


async def test_a_shorter_wish_does_not_end_a_longer_pause(redis_url: str) -> None:
    async with gate_at(redis_url) as gate:
        await gate.pause("vendor", 60)
        await gate.pause("vendor", 0.1)
        assert (await gate.states())["vendor"].paused_for > 50


async def test_after_a_pause_the_backlog_goes_at_the_rate_not_in_a_burst(redis_url: str) -> None:
    async with gate_at(redis_url, paces={"vendor": Pace(rate=0.01, burst=10)}) as gate:
        await gate.pause("vendor", 0.2)
        await asyncio.sleep(0.2)
        assert (await gate.admit("vendor", 10, HIGH)).granted <= 1


@pytest.mark.parametrize("wish", [-5.0, 1e12, float("inf")])
async def test_no_wish_is_too_strange(redis_url: str, wish: float) -> None:
    async with gate_at(redis_url, policy=BreakerPolicy(longest_pause=7)) as gate:
        await gate.pause("vendor", wish)
        assert (await gate.states())["vendor"].paused_for <= 7


@pytest.mark.parametrize(("rate", "burst"), [(0.0, None), (-1.0, None), (1.0, 0)])
def test_an_impossible_pace_is_refused(rate: float, burst: int | None) -> None:
    with pytest.raises(ValueError, match="a pace needs"):
        Pace(rate, burst)
