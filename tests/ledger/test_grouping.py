"""Group commit: bounds, caps, pace, faults, and callers who go away."""

import asyncio
import time
from collections.abc import Sequence

import pytest

from ledger.grouping import Flushed, Full, Group, Turns


class Flushes:
    """Answers every item with its double, and remembers the groups. `gate` closed: a flush waits."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.at: list[float] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.followed = 0
        self.follow_fault: Exception | None = None

    async def __call__(self, items: Sequence[int]) -> Flushed[int]:
        self.groups.append(list(items))
        self.at.append(time.monotonic())
        await self.gate.wait()
        if 13 in items:
            raise ValueError("unlucky")
        return [2 * item for item in items], self._follow()

    async def _follow(self) -> None:
        await asyncio.sleep(0)
        self.followed += 1
        if self.follow_fault:
            raise self.follow_fault


async def held(group: Group[int, int], flushes: Flushes, *items: int, weight: int = 1) -> list["asyncio.Task[int]"]:
    """A first item is under way and held at the gate; the others wait behind it."""
    flushes.gate.clear()
    tasks = [asyncio.create_task(group.put(0))]
    await asyncio.sleep(0.01)
    tasks += [asyncio.create_task(group.put(item, weight)) for item in items]
    await asyncio.sleep(0.01)
    return tasks


async def held_and_let_go(group: Group[int, int], flushes: Flushes, *items: int) -> list["asyncio.Task[int]"]:
    tasks = await held(group, flushes, *items)
    flushes.gate.set()
    return tasks


async def test_a_lone_item_is_flushed_at_once() -> None:
    flushes = Flushes()
    group = Group(flushes, cap=10, bound=10, pace=3600)
    async with asyncio.timeout(60):
        assert await group.put(4) == 8


async def test_what_arrives_during_a_flush_goes_together() -> None:
    flushes = Flushes()
    group = Group(flushes, cap=100, bound=100)
    tasks = await held(group, flushes, 1, 2, 3)
    assert group.depth == 3
    flushes.gate.set()
    assert await asyncio.gather(*tasks) == [0, 2, 4, 6]
    assert flushes.groups == [[0], [1, 2, 3]]
    assert group.depth == 0


async def test_a_flush_is_capped_by_weight_and_a_heavier_item_goes_alone() -> None:
    flushes = Flushes()
    group = Group(flushes, cap=10, bound=1000)
    tasks = await held(group, flushes)
    tasks += [asyncio.create_task(group.put(n, weight)) for n, weight in ((1, 6), (2, 4), (3, 1), (4, 30), (5, 1))]
    await asyncio.sleep(0.01)
    flushes.gate.set()
    await asyncio.gather(*tasks)
    assert flushes.groups == [[0], [1, 2], [3], [4], [5]]


async def test_the_pause_ends_when_what_waits_fills_a_flush() -> None:
    flushes = Flushes()
    group = Group(flushes, cap=40, bound=1000, pace=3600)
    await asyncio.gather(*(group.put(n) for n in range(100, 140)))
    few = asyncio.create_task(group.put(140))
    await asyncio.sleep(0.05)
    assert len(flushes.groups) == 1  # it lets more gather
    await asyncio.gather(few, *(group.put(n) for n in range(141, 180)))
    assert [len(each) for each in flushes.groups] == [40, 40]


async def test_beyond_its_bound_it_takes_nothing_more() -> None:
    flushes = Flushes()
    group = Group(flushes, cap=10, bound=3)
    tasks = await held(group, flushes, 1, 2, 3)
    with pytest.raises(Full):
        await group.put(4)
    flushes.gate.set()
    await asyncio.gather(*tasks)
    assert await group.put(5) == 10
    assert [4] not in flushes.groups


async def test_an_item_heavier_than_the_bound_is_taken_by_an_empty_queue() -> None:
    group = Group(Flushes(), cap=10, bound=3)
    assert await group.put(6, weight=1000) == 12


async def test_a_fault_is_told_to_everyone_of_its_flush_and_to_nobody_else() -> None:
    flushes = Flushes()
    group = Group(flushes, cap=2, bound=100)
    tasks = await held(group, flushes, 13, 1, 2)
    flushes.gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [int, ValueError, ValueError, int]


async def test_a_caller_who_goes_away_harms_nobody() -> None:
    flushes = Flushes()
    group = Group(flushes, cap=100, bound=100)
    tasks = await held(group, flushes, 1, 2, 3)
    tasks[0].cancel()
    tasks[2].cancel()
    flushes.gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [asyncio.CancelledError, int, asyncio.CancelledError, int]
    assert group.depth == 0


async def test_it_paces_itself_under_load_and_only_then() -> None:
    flushes = Flushes()
    group = Group(flushes, cap=100, bound=1000, pace=0.2)
    tasks = await held(group, flushes, *range(20, 60))
    flushes.gate.set()
    await asyncio.sleep(0.05)
    tasks.append(asyncio.create_task(group.put(70)))
    await asyncio.gather(*tasks)
    assert flushes.at[2] - flushes.at[1] >= 0.19
    idle = Group(flushes, cap=100, bound=1000, pace=3600)
    async with asyncio.timeout(60):
        for item in (71, 72):
            await idle.put(item)
            await idle.close()


async def test_the_next_flush_waits_for_the_follow_up_of_the_last() -> None:
    flushes = Flushes()
    group = Group(flushes, cap=1, bound=100)
    await asyncio.gather(*(group.put(n) for n in range(20, 25)))
    await group.close()
    assert flushes.followed == 5


async def test_a_fault_in_a_follow_up_leaves_nobody_waiting() -> None:
    flushes = Flushes()
    flushes.follow_fault = RuntimeError("Temporal is away")
    group = Group(flushes, cap=1, bound=100)
    async with asyncio.timeout(20):
        assert await asyncio.gather(*(group.put(n) for n in range(20, 25))) == [40, 42, 44, 46, 48]
        await group.close()
    assert flushes.followed == 5


async def test_several_flushes_may_be_under_way_at_once() -> None:
    flushes = Flushes()
    group = Group(flushes, cap=1, bound=100, flushes=3)
    flushes.gate.clear()
    tasks = [asyncio.create_task(group.put(n)) for n in range(20, 25)]
    await asyncio.sleep(0.02)
    assert len(flushes.groups) == 3
    flushes.gate.set()
    await asyncio.gather(*tasks)


async def test_close_waits_until_everything_is_through() -> None:
    flushes = Flushes()
    group = Group(flushes, cap=1, bound=100)
    tasks = await held(group, flushes, 1, 2)
    flushes.gate.set()
    await group.close()
    assert all(task.done() for task in tasks)
    assert len(flushes.groups) == 3


async def test_no_item_is_left_behind_whenever_it_arrives() -> None:
    """A put in the very moment the last flush ends: whatever the number of steps between, it is flushed."""
    for steps in range(12):
        group = Group(Flushes(), cap=10, bound=10)
        first = asyncio.create_task(group.put(1))
        for _ in range(steps):
            await asyncio.sleep(0)
        async with asyncio.timeout(20):
            assert await group.put(2) == 4
            assert await first == 2


def parity(item: int) -> str:
    return "even" if item % 2 == 0 else "odd"


async def test_owners_take_turns() -> None:
    flushes = Flushes()
    group = Group(flushes, cap=40, bound=1000, turns=Turns(parity))
    tasks = await held(group, flushes, *range(2, 202, 2), 1)
    flushes.gate.set()
    await asyncio.gather(*tasks)
    assert 1 in flushes.groups[1]


async def test_who_has_little_is_let_in_beyond_the_bound() -> None:
    flushes = Flushes()
    group = Group(flushes, cap=10, bound=8, turns=Turns(parity))
    tasks = await held(group, flushes, *range(2, 18, 2))
    with pytest.raises(Full):
        await group.put(20)
    tasks += [asyncio.create_task(group.put(n)) for n in (1, 3)]
    await asyncio.sleep(0.01)
    with pytest.raises(Full):
        await group.put(5)
    flushes.gate.set()
    assert 2 in await asyncio.gather(*tasks)


async def test_a_small_crowd_may_be_enough_to_wait_for_the_next() -> None:
    flushes = Flushes()
    group = Group(flushes, cap=100, bound=1000, pace=0.2, crowd=2)
    await asyncio.gather(*await held_and_let_go(group, flushes, 1, 2, 3))
    last = flushes.at[-1]
    await asyncio.gather(group.put(4), group.put(5))
    assert flushes.groups[-1] == [4, 5]
    assert flushes.at[-1] - last >= 0.19


async def test_others_have_their_turn_while_a_crowd_is_answered() -> None:
    flushes, order = Flushes(), list[int | str]()
    group = Group(flushes, cap=1000, bound=1000)
    tasks = await held(group, flushes, *range(100, 500))
    for task in tasks:
        task.add_done_callback(lambda task: order.append(task.result()))
    first = tasks[1]
    first.add_done_callback(lambda _: asyncio.get_running_loop().call_soon(order.append, "other"))
    flushes.gate.set()
    await asyncio.gather(*tasks)
    assert order.index("other") < 300


async def test_who_had_nothing_in_the_last_flush_does_not_wait_for_the_crowd() -> None:
    flushes = Flushes()
    group = Group(flushes, cap=100, bound=1000, pace=3600, turns=Turns(parity))
    tasks = await held(group, flushes, *range(20, 60, 2))
    flushes.gate.set()
    await asyncio.gather(*tasks)
    async with asyncio.timeout(60):
        assert await group.put(1) == 2
