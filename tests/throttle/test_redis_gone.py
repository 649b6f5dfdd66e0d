"""Without Redis each process decides for itself, at once, by the same policy; and it comes back by itself."""

import asyncio
import signal
import socket
import time
from pathlib import Path
from statistics import median

import pytest
from gates import FAILED, HIGH, LOW, PATIENT, WORKED, break_it, gate_at, next_probe, until
from killable import own_valkey
from prometheus_client import REGISTRY
from redis.asyncio import Redis

from domain.operators import Operator, Switch
from domain.priorities import Priority
from throttle.gate import LIMIT, Gate
from throttle.lifeline import RETRY_EVERY
from throttle.policy import Pace
from throttle.words import Breaker, Change


def fallbacks() -> float:
    return REGISTRY.get_sample_value("clarion_redis_fallbacks_total") or 0.0


async def until_shared(gate: Gate) -> None:
    """Until the gate hears Redis again."""
    async with asyncio.timeout(PATIENT):
        while (await gate.states())["vendor"].local:
            await asyncio.sleep(0.05)


async def test_a_gate_without_redis_works(unused_url: str) -> None:
    before = fallbacks()
    async with gate_at(unused_url) as gate:
        assert (await gate.admit("vendor", 5, HIGH)).granted == 5
        await break_it(gate)
        assert (await gate.admit("vendor", 5, HIGH)).granted == 0
        changes: list[Change | None] = []
        for _ in range(3):
            await next_probe(gate)
            changes.append(await gate.report("vendor", WORKED, probe=True))
        assert [(change.after, change.local) for change in changes if change] == [
            (Breaker.HALF_OPEN, True),
            (Breaker.CLOSED, True),
        ]
        assert await gate.pause("vendor", 5)
        assert (await gate.states())["vendor"].local
    assert fallbacks() > before


async def test_a_killed_redis_is_not_missed_and_found_again(tmp_path: Path) -> None:
    async with own_valkey(tmp_path) as server, gate_at(server.url) as gate:
        granted = 0
        stop = asyncio.Event()

        async def work(priority: Priority) -> None:
            nonlocal granted
            while not stop.is_set():
                granted += (await gate.admit("other", 10, priority)).granted
                assert await gate.report("other", WORKED) is None
                await asyncio.sleep(0.01)

        async def goes_on() -> None:
            before = granted
            await until(lambda: granted > before)

        async with asyncio.TaskGroup() as tasks:
            for priority in list(Priority) * 8:  # more than there are connections
                tasks.create_task(work(priority))
            for _ in range(2):
                await asyncio.sleep(0.3)
                server.kill()
                await asyncio.sleep(1.5)
                await goes_on()
                assert (await gate.states())["vendor"].local
                await server.start()
                await until_shared(gate)
                await goes_on()
            stop.set()


async def test_what_was_known_is_carried_on(tmp_path: Path) -> None:
    paces = {"vendor": Pace(), "other": Pace(), "stopped": Pace()}
    async with (
        own_valkey(tmp_path) as server,
        gate_at(server.url, paces=paces) as gate,
        gate_at(server.url) as elsewhere,
    ):
        await break_it(elsewhere)
        await elsewhere.pause("other", 60)
        await elsewhere.set_operator("stopped", Switch.DISABLED, "no contract")
        await gate.states()
        server.kill()
        assert (await gate.admit("vendor", 5, HIGH)).state is Breaker.OPEN
        assert (await gate.admit("other", 5, HIGH)).granted == 0
        assert (await gate.admit("stopped", 5, HIGH)).reason == "disabled: no contract"


async def test_an_operators_word_is_told_to_a_new_redis(tmp_path: Path) -> None:
    async with own_valkey(tmp_path) as server, gate_at(server.url) as gate, gate_at(server.url) as other:
        word = {"vendor": Operator(Switch.DISABLED, "no contract", 2.0)}
        await gate.load_operators(word)
        server.kill()
        await gate.admit("vendor", 1, LOW)
        await server.start()
        await until_shared(gate)
        await gate.load_operators(word)
        assert (await other.states())["vendor"].operator == word["vendor"]


async def test_a_hanging_redis_costs_one_time_out_a_second(tmp_path: Path) -> None:
    async with own_valkey(tmp_path) as server, gate_at(server.url, limit=LIMIT) as gate:
        await until_shared(gate)
        server.signal(signal.SIGSTOP)
        try:
            began, known, looks, took = time.monotonic(), fallbacks(), 0.0, list[float]()
            while looks < 2 or len(took) < 100:
                before = time.monotonic()
                assert (await gate.admit("vendor", 1, HIGH)).granted == 1
                took.append(time.monotonic() - before)
                looks = fallbacks() - known
                # The first, and one look at a time (a look of LIMIT, then a second of rest).
                assert looks <= (time.monotonic() - began + RETRY_EVERY) / (LIMIT + RETRY_EVERY)
                assert time.monotonic() < began + PATIENT
                await asyncio.sleep(0.005)
            # A busy machine makes some of either late.
            assert min(each for each in took if each > LIMIT / 2) < 2 * LIMIT
            assert median(took) < 0.1
        finally:
            server.signal(signal.SIGCONT)
        await until_shared(gate)


async def test_a_hash_nobody_of_ours_wrote_stops_nothing(redis_url: str) -> None:
    async with Redis.from_url(redis_url) as redis:
        await redis.set("clarion:gate:{vendor}", "a string")
        await redis.hset("clarion:gate:{other}", mapping={"breaker": "ajar"})
    async with gate_at(redis_url, limit=PATIENT) as gate:
        assert (await gate.admit("vendor", 5, HIGH)).granted == 5
        assert (await gate.admit("other", 5, HIGH)).granted == 5
        assert await gate.report("vendor", FAILED) is None
        assert (await gate.states())["vendor"].local


@pytest.fixture
def unused_url() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"redis://127.0.0.1:{free.getsockname()[1]}/0"
