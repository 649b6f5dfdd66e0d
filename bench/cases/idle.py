"""`idle`: one notification at a time, at a rate that leaves each alone; what a POST and the way to the vendor take."""

from pathlib import Path

from bench import passages
from bench.finding import Figure, Played
from bench.ground import ground
from bench.numbers import percentile

RATE = 20.0  # a second
COUNT = 2_000


async def play(log: Path, *, count: int = COUNT) -> Played:
    """Open loop: both latencies count from the moment a request was planned for."""
    async with ground(log) as on:
        result = await on.offer("idle", 4, rate=RATE, count=count)
        broken = await on.broken()
        taken = passages.vendor_times(on.vendors)
        plan = passages.planned(on.promised("idle"), result.began, RATE)
        mine = await passages.since(on.db, result.began)
    waits = [taken[p.delivery] - plan[p.notification] for p in mine if p.delivery in taken]
    return Played(
        [
            Figure("notifications", len(waits), at_least=count),
            Figure("POST p50", result.percentile(0.5) * 1000, "ms", at_most=8),
            Figure("POST p99", result.percentile(0.99) * 1000, "ms", at_most=25),
            Figure("accept-to-vendor p50", percentile(waits, 0.5) * 1000, "ms", at_most=60),
            Figure("accept-to-vendor p99", percentile(waits, 0.99) * 1000, "ms", at_most=200),
        ],
        broken,
    )
