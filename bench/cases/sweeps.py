"""What the plots need: short bursts by the cap of a batch, and latencies by the load that is offered."""

from collections.abc import Mapping
from pathlib import Path

from bench import passages
from bench.cases.rounds import round_of
from bench.finding import Figure, Played
from bench.ground import Ground, ground
from bench.numbers import percentile

# Deliveries a run may share, and how many notifications such a burst has, so that each takes some ten seconds.
CAPS: Mapping[int, int] = {1: 300, 10: 3_000, 50: 8_000, 200: 12_000, 512: 15_000}

RATES = (100, 300, 600, 900, 1_200, 1_500, 1_800)  # notifications a second
SECONDS = 8.0  # of each
CLIENTS = 512  # at most


async def batch_cap(log: Path) -> Played:
    """The rate of a burst, until the last one is receipted, for each cap."""
    rates: dict[int, float] = {}
    broken: list[str] = []
    for cap, count in CAPS.items():
        ended, wrong = await round_of(log, {"CLARION_MAX_BATCH": str(cap)}, warm=min(500, count // 6), count=count)
        rates[cap] = ended.receipted
        broken += wrong
    figures = [Figure(f"receipted, {cap} in a run", rate, "/s") for cap, rate in rates.items()]
    return Played(figures, broken, {"cap": {"caps": list(rates), "rates": list(rates.values())}})


async def offered_load(log: Path) -> Played:
    """Latencies from the moment a request was planned for, step by step up to more than can be done."""
    figures: list[Figure] = []
    lines: dict[str, list[float]] = {}
    async with ground(log) as on:
        for rate in RATES:
            for name, seconds in (await _step(on, rate)).items():
                figures.append(Figure(f"{name} at {rate:,}/s", seconds * 1000, "ms"))
                lines.setdefault(name, []).append(seconds)
        broken = await on.broken()
    return Played(figures, broken, {"load": {"rates": RATES, **lines}})


async def _step(on: Ground, rate: int) -> Mapping[str, float]:
    token = f"at-{rate}"
    result = await on.offer(token, min(CLIENTS, rate), rate=rate, seconds=SECONDS)
    await on.drained()
    plan = passages.planned(on.promised(token), result.began, rate)
    waits = [
        p.sent - plan[p.notification]
        for p in await passages.since(on.db, result.began)
        if p.sent is not None and p.notification in plan
    ]
    return {
        "POST p50": result.percentile(0.5),
        "POST p99": result.percentile(0.99),
        "POST-to-sent p50": percentile(waits, 0.5),
        "POST-to-sent p99": percentile(waits, 0.99),
    }
