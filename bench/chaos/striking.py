"""Lets the faults of a plan strike at their time, and notes when each began and was over."""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from temporalio.service import RPCError

from bench.chaos import processes, vendors
from bench.chaos.plan import Fault, Lane
from bench.chaos.site import Site

_ASKED_FOR = 10.0  # seconds that Temporal may take to end some runs

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Strike:
    """A fault that struck. Seconds since 1970; a kill is over when it is done: coming back is part of the recovery."""

    fault: Fault
    began: float
    ended: float


async def strike_all(site: Site, faults: Sequence[Fault], seed: int, stop: asyncio.Event, tell: Tell) -> list[Strike]:
    """Each lane in its order; a fault that is late strikes as soon as the one before is healed. `stop` ends it."""
    began = time.monotonic()
    chance = random.Random(seed)

    async def lane(of: Lane) -> list[Strike]:
        done: list[Strike] = []
        for fault in faults:
            if fault.lane is not of:
                continue
            if await _stopped(stop, began + fault.at - time.monotonic()):
                break
            tell(f"{fault.kind}: {fault.target}{f' for {fault.lasts:g} s' if fault.lasts else ''}")
            strike = await _strike(site, fault, seed, chance)
            if strike:
                done.append(strike)
            else:
                tell(f"{fault.kind}: it could not strike")
        return done

    async with asyncio.TaskGroup() as lanes:
        running = [lanes.create_task(lane(each)) for each in Lane]
    return sorted((strike for task in running for strike in task.result()), key=lambda strike: strike.began)


async def _stopped(stop: asyncio.Event, within: float) -> bool:
    try:
        async with asyncio.timeout(max(0.0, within)):
            await stop.wait()
    except TimeoutError:
        return False
    return True


async def _strike(site: Site, fault: Fault, seed: int, chance: random.Random) -> Strike | None:
    began = time.time()
    if fault.lane is Lane.VENDORS:
        await _misbehave(site, fault, seed)
        return Strike(fault, began, time.time())
    part = site.stack.services[fault.target]
    if fault.kind.startswith("stall-"):
        with processes.stalled(part):
            await asyncio.sleep(fault.lasts)
        return Strike(fault, began, time.time())
    if fault.kind == "runs-terminated":
        return Strike(fault, began, time.time()) if await _terminate(site, chance) else None
    if fault.kind == "temporal-database-lost":
        await processes.lose_database(site, part)
    else:
        await processes.kill(part)
    return Strike(fault, began, began)


async def _terminate(site: Site, chance: random.Random) -> int:
    """How many runs were ended; 0 also when Temporal could not be asked."""
    try:
        async with asyncio.timeout(_ASKED_FOR):
            return await processes.terminate_runs(site, chance)
    except (RPCError, RuntimeError, TimeoutError):
        return 0


async def _misbehave(site: Site, fault: Fault, seed: int) -> None:
    names = fault.target.split()
    try:
        for name in names:
            await site.control("PUT", name, vendors.settings(fault.kind, seed))
        await asyncio.sleep(fault.lasts)
    finally:
        for name in names:
            await site.control("DELETE", name)
