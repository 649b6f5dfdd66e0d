"""Probes through an open breaker: how many, and whose."""

import asyncio
import time
from dataclasses import replace

from gates import FAILED, HIGH, LOW, NORMAL, PATIENT, QUICK, WORKED, break_it, gate_at, next_probe

from domain.outcomes import Outcome
from domain.priorities import Priority
from throttle.gate import Gate
from throttle.redis import connect

CLIENTS = 64
GRANTED = 6
CALM = replace(QUICK, probe_every=60.0, check_after=60.0)  # an interval no test outlasts


async def test_however_many_ask_one_message_goes_in_an_interval(redis_url: str) -> None:
    clients = [connect(redis_url, timeout=PATIENT) for _ in range(CLIENTS)]
    gates = [Gate(client, {}, QUICK, PATIENT) for client in clients]
    granted: list[tuple[float, float]] = []

    async def ask(gate: Gate, priority: Priority) -> None:
        while len(granted) < GRANTED:
            asked = time.monotonic()
            admission = await gate.admit("vendor", 100, priority)
            if admission.granted:
                assert (admission.granted, admission.probe) == (1, True)
                granted.append((asked, time.monotonic()))
                await gate.report("vendor", FAILED, probe=True)

    try:
        await break_it(gates[0])
        began = time.monotonic()
        await asyncio.gather(*(ask(gate, LOW if n % 2 else NORMAL) for n, gate in enumerate(gates)))
    finally:
        await asyncio.gather(*(client.aclose() for client in clients))
    assert len(granted) - 1 <= (time.monotonic() - began) / QUICK.probe_every
    granted.sort(key=lambda one: one[1])
    # A grant lies between question and answer, in whatever order these two were given, so this gap is never shorter
    # than the real one.
    gaps = [answered - min(asked, other) for (asked, _), (other, answered) in zip(granted, granted[1:], strict=False)]
    assert min(gaps) >= QUICK.probe_every


async def test_high_priority_is_never_a_probe(redis_url: str) -> None:
    async with gate_at(redis_url) as gate:
        await break_it(gate)
        end = time.monotonic() + QUICK.probe_every * 4
        while time.monotonic() < end:
            admission = await gate.admit("vendor", 1, HIGH)
            assert not admission.granted and admission.wait
            await asyncio.sleep(0.01)


async def have_one_due(gate: Gate) -> None:
    """As if a probe went back that was granted: the next may go at once."""
    await gate.report("vendor", {Outcome.RELEASED: 1}, probe=True)


async def test_normal_priority_probes_only_where_no_low_priority_asks(redis_url: str) -> None:
    async with gate_at(redis_url) as quick, gate_at(redis_url, CALM) as calm:
        await break_it(quick)
        await next_probe(calm, LOW)
        for _ in range(2):
            await have_one_due(calm)
            for _ in range(20):
                assert not (await calm.admit("vendor", 1, NORMAL)).granted
            assert (await calm.admit("vendor", 1, LOW)).probe
        await next_probe(quick, NORMAL)  # where one that asked so long ago has gone


async def test_a_probe_that_was_not_sent_goes_back(redis_url: str) -> None:
    async with gate_at(redis_url) as quick, gate_at(redis_url, CALM) as calm:
        await break_it(quick)
        await next_probe(calm)
        assert not (await calm.admit("vendor", 1, LOW)).granted
        await have_one_due(calm)
        assert (await calm.admit("vendor", 1, LOW)).probe


async def test_a_probe_whose_worker_died_does_not_stop_the_next(redis_url: str) -> None:
    async with gate_at(redis_url) as gate:
        await break_it(gate)
        await next_probe(gate)
        await next_probe(gate)


async def test_a_check_may_probe_where_only_high_priority_goes(redis_url: str) -> None:
    prompt = replace(QUICK, check_after=0.5)
    async with gate_at(redis_url, prompt) as gate, gate_at(redis_url, CALM) as calm:
        assert not await gate.may_check("vendor")
        await break_it(calm)
        assert not await calm.may_check("vendor")
        await calm.admit("vendor", 1, NORMAL)
        await have_one_due(calm)
        assert not await calm.may_check("vendor")  # somebody asked lately
        await asyncio.sleep(prompt.check_after)
        for _ in range(prompt.heals):
            await asyncio.sleep(prompt.probe_every * 1.1)
            assert await gate.may_check("vendor")
            await gate.report("vendor", WORKED, probe=True)
        assert (await gate.admit("vendor", 7, HIGH)).granted == 7
