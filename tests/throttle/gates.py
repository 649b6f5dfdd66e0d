"""What the tests of the gate share: a quick policy, and clients that are closed."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

from patience import PATIENT

from domain.outcomes import Outcome
from domain.priorities import Priority
from throttle.gate import Gate
from throttle.policy import BreakerPolicy, Pace
from throttle.redis import connect
from throttle.words import Admission

QUICK = BreakerPolicy(window=2.0, probe_every=0.15, slow=0.2)
WIDE = replace(QUICK, window=60.0)  # where a ratio counts all reports of a test, however late they come
FAILED = {Outcome.RETRYABLE: 1}
WORKED = {Outcome.ACCEPTED: 1}
HIGH, NORMAL, LOW = Priority.HIGH, Priority.NORMAL, Priority.LOW


@asynccontextmanager
async def gate_at(
    url: str, policy: BreakerPolicy = QUICK, paces: Mapping[str, Pace] | None = None, limit: float = PATIENT
) -> AsyncIterator[Gate]:
    redis = connect(url, timeout=limit)
    try:
        yield Gate(redis, paces or {"vendor": Pace(), "other": Pace()}, policy, limit)
    finally:
        await redis.aclose()


async def break_it(gate: Gate, provider: str = "vendor") -> None:
    """Open its breaker by three failed calls."""
    for _ in range(3):
        await gate.report(provider, FAILED, last="500")


async def next_probe(gate: Gate, priority: Priority = LOW, provider: str = "vendor") -> Admission:
    """Ask until a probe is granted."""
    end = time.monotonic() + PATIENT
    while time.monotonic() < end:
        admission = await gate.admit(provider, 10, priority)
        if admission.probe:
            return admission
        await asyncio.sleep(0.01)
    raise AssertionError("no probe was granted")


async def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENT
    while not true():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)
