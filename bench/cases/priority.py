"""`priority`: low priority at twice of what can be sent, and beside it a little of high and normal."""

import asyncio
from pathlib import Path

from bench import passages
from bench.cases.burst import burst
from bench.finding import Figure, Played
from bench.ground import Ground, ground
from bench.load import Result
from bench.numbers import percentile
from bench.passages import Passage

CALIBRATION = 10.0  # seconds of a burst that says what can be sent
FLOOD = 60.0  # seconds
TIMES = 2.0  # what can be sent
CLIENTS = 512  # of the flood
RATE = 40.0  # a second, half of it high and half of it normal
COUNT = 2_200
ENOUGH = 1_000
AHEAD = 2.0  # seconds the flood has begun before

_LOW = (("low", 1.0),)
_OTHERS = (("high", 0.5), ("normal", 0.5))


async def play(log: Path) -> Played:
    """Waits count from the moment a request was planned for until the vendor has it."""
    async with ground(log) as on:
        capacity = (await burst(on, "calibration", CLIENTS, seconds=CALIBRATION, shares=_LOW)).receipted
        flood, others = await _both(on, TIMES * capacity)
        broken = await on.broken()
        mine = await passages.since(on.db, flood.began)
        waits = _waits(on, others, mine)
    low = [p.sent - p.accepted for p in mine if p.priority == "low" and p.sent is not None]
    return Played(
        [
            Figure("capacity", capacity, "/s"),
            Figure("low offered", TIMES * capacity, "/s"),
            Figure("low accepted", flood.accepted / flood.seconds, "/s"),
            Figure("low refused", sum(flood.refused.values()), ""),
            Figure("high accepted", len(waits["high"]), at_least=ENOUGH),
            Figure("high and normal refused", sum(others.refused.values())),
            Figure("POST p99, high and normal", others.percentile(0.99) * 1000, "ms"),
            Figure("POST-to-vendor p99, high", percentile(waits["high"], 0.99), "s", at_most=1),
            Figure("POST-to-vendor p99, normal", percentile(waits["normal"], 0.99), "s", at_most=5),
            Figure("accept-to-sent p99, low", percentile(low, 0.99), "s"),
        ],
        broken,
        {"timeline": passages.timeline(mine, flood.began)},
    )


async def _both(on: Ground, rate: float) -> tuple[Result, Result]:
    flooding = asyncio.create_task(on.offer("flood", CLIENTS, rate=rate, seconds=FLOOD, shares=_LOW, rest=0.5))
    await asyncio.sleep(AHEAD)
    others = await on.offer("others", 64, rate=RATE, count=COUNT, shares=_OTHERS)
    return await flooding, others


def _waits(on: Ground, others: Result, mine: list[Passage]) -> dict[str, list[float]]:
    taken = passages.vendor_times(on.vendors)
    plan = passages.planned(on.promised("others"), others.began, RATE)
    found: dict[str, list[float]] = {"high": [], "normal": []}
    for p in mine:
        if p.notification in plan and p.delivery in taken:
            found[p.priority].append(taken[p.delivery] - plan[p.notification])
    return found
