"""How long a committed batch waits for more before its run is started."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

from api.opening import Open, Opening
from domain.ids import new_id
from domain.priorities import Priority
from domain.runs import Part, Run
from ledger.batching import Batch

MANY = {"ann", "bob"}  # tenants of a flush
LONG = 3600.0  # seconds: nothing starts by the clock


class Runs:
    """Remembers what was started. `gate` closed: a start takes for ever."""

    def __init__(self) -> None:
        self.started: list[Open] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def start(self, ready: Open) -> None:
        self.started.append(ready)
        await self.gate.wait()

    async def sizes(self) -> list[int]:
        """Of what has been started, once all that is due now has been."""
        await asyncio.sleep(0.02)
        return [each.batch.size for each in self.started]

    async def until_started(self) -> None:
        """Something has been, however late."""
        async with asyncio.timeout(60):
            while not self.started:
                await asyncio.sleep(0.01)


def opening(runs: Runs, *, keep: float = LONG, cap: int = 100) -> Opening:
    return Opening(runs.start, keep=keep, cap=cap)


def batch(size: int) -> Batch:
    return Batch(Run(str(new_id()), Priority.NORMAL, [Part("email", size, "sendgrid")]), None)


def grown(small: Batch, size: int) -> Batch:
    return replace(small, run=replace(small.run, parts=[Part("email", size, "sendgrid")]), had=small.size)


async def test_a_lone_message_does_not_wait() -> None:
    runs = Runs()
    lane = opening(runs)
    assert lane.lend(MANY) == []
    lane.take_back([], [batch(1)])
    assert await runs.sizes() == [1]


async def test_a_crowd_waits_for_more_until_its_time_is_over() -> None:
    runs = Runs()
    lane, first = opening(runs), batch(40)
    lane.take_back([], [first])
    assert await runs.sizes() == []
    assert lane.lend(MANY) == [first]
    lane.take_back([first], [grown(first, 70)])
    assert await runs.sizes() == []
    lane, began = opening(runs, keep=0.2), asyncio.get_running_loop().time()
    lane.take_back([], [first])
    lane.take_back(lane.lend(MANY), [grown(first, 70)])
    await runs.until_started()
    assert asyncio.get_running_loop().time() - began >= 0.19
    assert await runs.sizes() == [70]
    assert lane.lend(MANY) == []


async def test_while_starts_take_long_a_lone_message_waits_for_company_too() -> None:
    runs = Runs()
    lane = opening(runs, keep=0.4)
    runs.gate.clear()
    for _ in range(8):
        lane.take_back([], [batch(1)])
        await runs.sizes()
    await asyncio.sleep(0.1)
    runs.gate.set()
    await asyncio.sleep(0.02)
    lone = batch(1)
    lane.take_back([], [lone])
    assert lane.lend(MANY) == [lone]
    await asyncio.sleep(0.5)
    lane.take_back([lone])
    assert await runs.sizes() == [1] * 9


async def test_a_full_one_does_not_wait() -> None:
    runs = Runs()
    lane, first = opening(runs), batch(40)
    lane.take_back([], [first])
    lane.take_back(lane.lend(MANY), [grown(first, 100)])
    assert await runs.sizes() == [100]


async def test_a_scheduled_one_does_not_wait() -> None:
    runs = Runs()
    opening(runs).take_back([], [replace(batch(40), start_at=datetime.now(UTC))])
    assert await runs.sizes() == [40]


async def test_what_a_flush_may_add_to_is_not_started_under_it() -> None:
    runs = Runs()
    lane, first = opening(runs, keep=0.05), batch(40)
    lane.take_back([], [first])
    lent = lane.lend(MANY)
    await asyncio.sleep(0.1)
    assert await runs.sizes() == []
    lane.take_back(lent, [grown(first, 50)])
    assert await runs.sizes() == [50]


async def test_only_a_flush_of_its_tenant_may_add_to_it_and_only_one_at_a_time() -> None:
    lane, shared = opening(Runs()), batch(40)
    anns = replace(shared, run=replace(shared.run, batch=str(new_id()), tenant="ann"))
    lane.take_back([], [anns, shared])
    assert lane.lend({"bob"}) == []
    assert lane.lend({"ann"}) == [anns]
    assert lane.lend(MANY) == [shared]
    lane.take_back([anns])
    assert lane.lend(MANY) == [anns]


async def test_a_flush_that_fails_starts_what_is_due() -> None:
    runs = Runs()
    lane = opening(runs, keep=0.05)
    lane.take_back([], [batch(40)])
    lent = lane.lend(MANY)
    await asyncio.sleep(0.1)
    lane.take_back(lent)
    assert await runs.sizes() == [40]


async def test_the_trace_of_any_commit_is_the_trace_of_the_run() -> None:
    runs = Runs()
    lane, first = opening(runs, keep=0.05), batch(40)
    lane.take_back([], [first])
    lane.take_back([], [grown(first, 50)], "00-trace")
    lane.take_back([], [grown(grown(first, 50), 60)])
    await asyncio.sleep(0.1)
    assert [each.traceparent for each in runs.started] == ["00-trace"]


async def test_at_its_end_everything_is_started() -> None:
    runs = Runs()
    lane = opening(runs)
    lane.take_back([], [batch(40), batch(50)])
    await lane.close()
    assert await runs.sizes() == [40, 50]


async def test_when_temporal_does_not_keep_up_the_lane_waits_for_a_start() -> None:
    runs = Runs()
    runs.gate.clear()
    lane = opening(runs)
    lane.take_back([], [batch(1) for _ in range(31)])
    assert await runs.sizes() == [1] * 31
    assert lane.crowded() is None
    lane.take_back([], [batch(1)])
    assert await runs.sizes() == [1] * 32
    waiting = lane.crowded()
    assert waiting is not None
    runs.gate.set()
    await waiting
    assert lane.crowded() is None
