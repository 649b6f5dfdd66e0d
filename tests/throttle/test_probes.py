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
CALM = replace(QUICK, probe_every=0.5, check_after=1.0)


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
    # The grant lies between question and answer, so this gap is never shorter than the real one.
    gaps = [answered - asked for (asked, _), (_, answered) in zip(granted, granted[1:], strict=False)]
    assert min(gaps) >= QUICK.probe_every


async def test_high_priority_is_never_a_probe(redis_url: str) -> None:
    async with gate_at(redis_url) as gate:
        await break_it(gate)
        end = time.monotonic() + QUICK.probe_every * 4
        while time.monotonic() < end:
            admission = await gate.admit("vendor", 1, HIGH)
            assert not admission.granted and admission.wait
            await asyncio.sleep(0.01)


async def test_normal_priority_probes_only_where_no_low_priority_asks(redis_url: str) -> None:
    async with gate_at(redis_url, CALM) as gate:
        await break_it(gate)
        probes: list[Priority] = []

        async def ask(priority: Priority, every: float, end: float) -> None:
            while time.monotonic() < end:
                if (await gate.admit("vendor", 1, priority)).probe:
                    probes.append(priority)
                await asyncio.sleep(every)

        await gate.admit("vendor", 1, LOW)
        end = time.monotonic() + CALM.probe_every * 6
        await asyncio.gather(ask(NORMAL, 0.005, end), ask(LOW, 0.1, end))
        assert len(probes) >= 2 and set(probes) == {LOW}
        await next_probe(gate, NORMAL)


async def test_a_probe_that_was_not_sent_goes_back(redis_url: str) -> None:
    async with gate_at(redis_url, CALM) as gate:
        await break_it(gate)
        await next_probe(gate)
        assert not (await gate.admit("vendor", 1, LOW)).granted
        await gate.report("vendor", {Outcome.RELEASED: 1}, probe=True)
        assert (await gate.admit("vendor", 1, LOW)).probe


async def test_a_probe_whose_worker_died_does_not_stop_the_next(redis_url: str) -> None:
    async with gate_at(redis_url, CALM) as gate:
        await break_it(gate)
        await next_probe(gate)
        await next_probe(gate)


async def test_a_check_may_probe_where_only_high_priority_goes(redis_url: str) -> None:
    async with gate_at(redis_url, CALM) as gate:
        assert not await gate.may_check("vendor")
        await break_it(gate)
        assert not await gate.may_check("vendor")
        await gate.admit("vendor", 1, NORMAL)
        await asyncio.sleep(CALM.probe_every)
        assert not await gate.may_check("vendor")  # somebody asked lately
        await asyncio.sleep(CALM.check_after)
        for _ in range(CALM.heals):
            await asyncio.sleep(CALM.probe_every * 1.1)
            assert await gate.may_check("vendor")
            await gate.report("vendor", WORKED, probe=True)
        assert (await gate.admit("vendor", 7, HIGH)).granted == 7
