"""When a breaker opens and when it closes, against a real Redis."""

import asyncio
from dataclasses import replace

import pytest
from gates import FAILED, HIGH, LOW, PATIENT, QUICK, WIDE, WORKED, break_it, gate_at, next_probe

from domain.outcomes import Outcome
from throttle.gate import Gate
from throttle.redis import connect
from throttle.words import Breaker, Change


async def breaker(gate: Gate) -> Breaker:
    return (await gate.states())["vendor"].breaker


@pytest.mark.parametrize(
    ("outcome", "calls"), [(Outcome.RETRYABLE, 3), (Outcome.IN_DOUBT, 2), (Outcome.VENDOR_DOWN, 1)]
)
async def test_a_run_of_failures_opens_at_low_volume(redis_url: str, outcome: Outcome, calls: int) -> None:
    async with gate_at(redis_url) as gate:
        for _ in range(calls - 1):
            assert await gate.report("vendor", {outcome: 1}) is None
        change = await gate.report("vendor", {outcome: 1}, last="503")
        assert change is not None
        assert (change.before, change.after) == (Breaker.CLOSED, Breaker.OPEN)
        assert change.reason == "no call in a row came through, last: 503"
        assert (await gate.admit("vendor", 10, HIGH)).granted == 0  # it is never a probe


async def test_a_success_in_between_breaks_the_run(redis_url: str) -> None:
    async with gate_at(redis_url) as gate:
        for _ in range(4):
            for outcomes in (FAILED, FAILED, WORKED):
                assert await gate.report("vendor", outcomes) is None


async def test_the_ratio_counts_once_there_is_a_sample(redis_url: str) -> None:
    async with gate_at(redis_url, WIDE) as gate:
        assert await gate.report("vendor", {Outcome.ACCEPTED: 9, Outcome.RETRYABLE: 10}) is None
        change = await gate.report("vendor", {Outcome.RETRYABLE: 1})
        assert change is not None and change.reason.startswith("11 of 20 calls failed")


async def test_fewer_failures_than_the_ratio_do_not_open(redis_url: str) -> None:
    async with gate_at(redis_url) as gate:
        assert await gate.report("vendor", {Outcome.ACCEPTED: 60, Outcome.RETRYABLE: 40}) is None


async def test_one_refused_call_does_not_open_a_busy_provider_and_two_do(redis_url: str) -> None:
    async with gate_at(redis_url, WIDE) as gate:
        await gate.report("vendor", {Outcome.ACCEPTED: 500})
        assert await gate.report("vendor", {Outcome.VENDOR_DOWN: 1}) is None
        assert await gate.report("vendor", {Outcome.VENDOR_DOWN: 1}) is not None


async def test_the_window_forgets(redis_url: str) -> None:
    async with gate_at(redis_url) as gate:
        await gate.report("vendor", {Outcome.ACCEPTED: 15, Outcome.RETRYABLE: 14})
        await asyncio.sleep(QUICK.window + 0.3)
        assert await gate.report("vendor", {Outcome.ACCEPTED: 1, Outcome.RETRYABLE: 8}) is None


async def test_rejected_and_throttled_say_nothing_against_a_vendor(redis_url: str) -> None:
    async with gate_at(redis_url) as gate:
        assert await gate.report("vendor", {Outcome.REJECTED: 100, Outcome.THROTTLED: 100}) is None


async def test_slow_calls_count_as_time_outs(redis_url: str) -> None:
    async with gate_at(redis_url) as gate:
        assert await gate.report("vendor", {}, slow=1) is None
        assert await gate.report("vendor", {}, slow=1) is not None


async def test_three_probes_close_it(redis_url: str) -> None:
    async with gate_at(redis_url) as gate:
        await break_it(gate)
        changes: list[Change | None] = []
        for _ in range(3):
            admission = await next_probe(gate)
            assert admission.granted == 1
            changes.append(await gate.report("vendor", WORKED, probe=True))
        first, second, third = changes
        assert first is not None and (first.before, first.after) == (Breaker.OPEN, Breaker.HALF_OPEN)
        assert second is None
        assert third is not None and (third.before, third.after) == (Breaker.HALF_OPEN, Breaker.CLOSED)
        assert (await gate.admit("vendor", 10, HIGH)).granted == 10


async def test_a_failed_probe_opens_it_again(redis_url: str) -> None:
    async with gate_at(redis_url) as gate:
        await break_it(gate)
        await next_probe(gate)
        await gate.report("vendor", WORKED, probe=True)
        await next_probe(gate)
        change = await gate.report("vendor", FAILED, probe=True, last="500")
        assert change is not None and change.reason == "a probe failed, last: 500"
        await next_probe(gate)
        assert await gate.report("vendor", FAILED, probe=True) is None  # open it was already
        assert await breaker(gate) is Breaker.OPEN


async def test_stragglers_do_not_touch_an_open_breaker(redis_url: str) -> None:
    async with gate_at(redis_url) as gate:
        await break_it(gate)
        await next_probe(gate)
        await gate.report("vendor", WORKED, probe=True)
        assert await gate.report("vendor", {Outcome.RETRYABLE: 50}) is None
        assert await gate.report("vendor", {Outcome.ACCEPTED: 50}) is None
        assert await breaker(gate) is Breaker.HALF_OPEN


async def test_of_many_workers_one_is_told(redis_url: str) -> None:
    clients = [connect(redis_url, timeout=PATIENT) for _ in range(32)]
    gates = [Gate(client, {}, QUICK, PATIENT) for client in clients]
    try:
        changes = await asyncio.gather(*(gate.report("vendor", FAILED) for gate in gates))
        assert len([change for change in changes if change]) == 1
    finally:
        await asyncio.gather(*(client.aclose() for client in clients))


async def test_a_change_and_the_view_of_it_name_the_same_moment(redis_url: str) -> None:
    async with gate_at(redis_url, replace(QUICK, probe_every=60)) as gate:
        change = await gate.report("vendor", {Outcome.VENDOR_DOWN: 1}, last="401")
        view = (await gate.states())["vendor"]
        assert change is not None and (change.at, change.reason) == (view.since, view.reason)
        assert not change.local and not view.local
        assert 50 < view.probe_in <= 60


async def test_one_vendors_trouble_is_not_anothers(redis_url: str) -> None:
    async with gate_at(redis_url) as gate:
        await break_it(gate)
        assert (await gate.admit("other", 10, LOW)).granted == 10
