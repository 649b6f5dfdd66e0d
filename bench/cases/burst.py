"""`burst`: 100,000 single notifications as fast as they are taken, until the last one is receipted."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import passages, processes
from bench.finding import Figure, Played
from bench.ground import Ground, ground
from bench.load import PRIORITIES, Result
from bench.numbers import percentile
from bench.passages import Passage

COUNT = 100_000
GOAL = 1_667  # a second: 100,000 a minute
CORES = 2


@dataclass(frozen=True, slots=True)
class Burst:
    """One that has ended. `cpu`: seconds of each process while it went on, those of the load among them.

    `waited`: seconds that their threads stood ready without a core.
    """

    result: Result
    passages: Sequence[Passage]
    cpu: Mapping[str, float]
    seconds: float
    waited: Mapping[str, float] = field(default_factory=dict[str, float])

    @property
    def accepted(self) -> float:
        """A second."""
        return self.result.accepted / self.result.seconds

    @property
    def sent(self) -> float:
        """A second, until the last was sent."""
        return passages.rate([p.sent for p in self.passages], self.result.began)

    @property
    def receipted(self) -> float:
        """A second, until the last was receipted: the sustained rate of the whole."""
        return passages.rate([p.receipted for p in self.passages], self.result.began)


async def burst(on: Ground, token: str, clients: int, **more: Any) -> Burst:
    """Load it and wait for its end; `more` as in Load: `count` or `seconds`."""
    pids = processes.pids_of(on.stack.services)
    before, waited, started = processes.cpu(pids), processes.waited(pids), time.time()
    result = await on.offer(token, clients, **more)
    await on.drained()
    cpu = processes.between(before, processes.cpu(pids)) | {"load": result.cpu}
    waited = processes.between(waited, processes.waited(pids))
    seconds = time.time() - started
    return Burst(result, await passages.since(on.db, result.began), cpu, seconds, waited)


async def play(
    log: Path,
    *,
    clients: int,
    count: int = COUNT,
    channel: str = "email",
    shares: Sequence[tuple[str, float]] = PRIORITIES,
) -> Played:
    """One burst on a stack of its own. `shares`: of the priorities."""
    async with ground(log, channels=(channel,)) as on:
        ended = await burst(on, "burst", clients, count=count, channels=(channel,), shares=tuple(shares))
        broken = await on.broken()
    return Played(figures_of(ended, count), broken, series_of(ended))


def figures_of(ended: Burst, count: int) -> list[Figure]:
    """Rates with their goal, latencies without."""
    result = ended.result
    return [
        Figure("accepted", ended.accepted, "/s", at_least=GOAL),
        Figure("sent", ended.sent, "/s", at_least=GOAL),
        Figure("receipted", ended.receipted, "/s", at_least=GOAL),
        Figure("turned away", count - result.accepted, at_most=0),
        Figure("POST p50", result.percentile(0.5) * 1000, "ms"),
        Figure("POST p99", result.percentile(0.99) * 1000, "ms"),
        *(
            Figure(f"accept-to-sent p99, {priority}", percentile(waits, 0.99), "s")
            for priority, waits in waits_by_priority(ended.passages).items()
        ),
        Figure("CPU of all processes", sum(ended.cpu.values()) / result.accepted * 1e6, "µs a notification"),
    ]


def waits_by_priority(some: Sequence[Passage]) -> dict[str, list[float]]:
    """Seconds from accept to sent by the ledger."""
    found: dict[str, list[float]] = {}
    for p in some:
        if p.sent is not None:
            found.setdefault(p.priority, []).append(p.sent - p.accepted)
    return dict(sorted(found.items()))


def series_of(ended: Burst) -> dict[str, Any]:
    """What the plots of a burst show, and its effort."""
    return {"timeline": passages.timeline(ended.passages, ended.result.began), **effort(ended)}


def effort(ended: Burst) -> dict[str, dict[str, float]]:
    """`cpu`: the share of two cores each process had; `waiting`: how many of its threads stood ready without one."""
    return {
        "cpu": {name: used / ended.seconds / CORES for name, used in ended.cpu.items()},
        "waiting": {name: waited / ended.seconds for name, waited in ended.waited.items()},
    }
