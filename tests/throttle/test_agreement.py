"""Redis and a process without it decide alike: the script and the functions, step by step, on random histories."""

import asyncio
import time
from dataclasses import asdict
from itertools import count

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.operators import Switch
from throttle.decisions import decide
from throttle.policy import BreakerPolicy, Figures, Pace, micro
from throttle.redis import connect
from throttle.shared import Shared, key
from throttle.state import State
from throttle.steps import Admit, Operate, Pause, Rank, Receipts, Report, Step
from throttle.words import Breaker

POLICY = BreakerPolicy(window=0.05, slices=5, sample=6, busy_run=12, probe_every=0.006, heals=2, longest_pause=0.02)

small = st.integers(0, 8)
code = st.sampled_from(["500", "time-out ✗", "a, b: c"])
figures = st.builds(
    Figures.of,
    st.just(POLICY),
    st.one_of(st.just(Pace()), st.builds(Pace, st.floats(20, 5000), st.one_of(st.none(), st.integers(1, 12)))),
)
steps: st.SearchStrategy[Step] = st.one_of(
    st.builds(Admit, small, st.sampled_from(Rank), st.just(0), st.sampled_from(["", *Switch])),
    st.builds(Report, small, st.just(0), st.just(0), small, st.integers(0, 1), code),
    st.builds(Report, st.just(0), small, st.integers(0, 20), small, st.integers(0, 1), code),
    st.builds(Report, small, small, st.integers(0, 20), small, st.integers(0, 1), code),
    st.builds(Receipts, st.integers(0, 30_000), small, st.integers(0, 30_000), small),
    st.builds(Pause, st.integers(0, 30_000)),
    st.builds(Operate, st.sampled_from(Switch), code, st.sampled_from(["", "0.5"]), st.integers(0, 1)),
)
near = st.integers(-60_000, 60_000)  # microseconds around now, so that clocks that were set back are among them
histories = st.lists(st.tuples(st.sampled_from([0.0, 0.0, 0.0, 0.002, 0.007]), steps), min_size=1, max_size=25)
providers = (f"provider-{n}" for n in count())


@st.composite
def states(draw: st.DrawFn) -> State:
    """Any state a gate may have been left in, and some it may not."""
    now = micro(time.time())
    window = st.lists(st.tuples(st.integers(-7, 1), small, small), max_size=4, unique_by=lambda part: part[0])

    def line() -> str:
        slots = sorted(draw(window))
        return ",".join(f"{now // 10_000 + slot}:{good}:{bad}" for slot, good, bad in slots)

    def moment() -> int:
        return draw(st.one_of(st.just(0), near.map(lambda away: now + away)))

    return State(
        breaker=draw(st.sampled_from(Breaker)),
        cause=draw(st.sampled_from(["answers", "receipts"])),
        reason=draw(code),
        since=moment(),
        opened=moment(),
        probe_at=moment(),
        healed=draw(st.integers(0, 1)),
        low_at=moment(),
        normal_at=moment(),
        paused=moment(),
        tat=moment(),
        run=draw(st.integers(0, 14)),
        answers=line(),
        silent_run=draw(st.integers(0, 14)),
        receipts=line(),
        heard=moment(),
        switch=draw(st.sampled_from(["", "enabled", "draining"])),
    )


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.one_of(st.just(State()), states()), figures=figures, history=histories)
async def test_the_script_and_the_functions_agree(
    redis_url: str, start: State, figures: Figures, history: list[tuple[float, Step]]
) -> None:
    redis = connect(redis_url, timeout=30)
    shared, provider, state = Shared(redis), next(providers), start
    try:
        await redis.hset(key(provider), mapping={name: str(value) for name, value in asdict(start).items()})
        for pause, step in history:
            await asyncio.sleep(pause)
            taken = await shared.take(provider, figures, step)
            state, ruling = decide(state, taken.now, figures, step)
            assert (taken.ruling, taken.state) == (ruling, state), step
        _, stored = await shared.read([provider])
        assert stored[provider] == state
    finally:
        await redis.aclose()
