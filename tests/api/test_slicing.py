"""Writes begin a few in each turn of the event loop, in order, so that what else comes has its turn between them."""

import asyncio

from api.slicing import Slicing


async def begun(slicing: Slicing, name: int, order: list[int | str]) -> None:
    await slicing.begin()
    order.append(name)


async def test_what_comes_behind_a_crowd_waits_for_a_slice_of_it_alone() -> None:
    slicing, order = Slicing(2), list[int | str]()
    crowd = [asyncio.create_task(begun(slicing, n, order)) for n in range(9)]
    asyncio.get_running_loop().call_soon(order.append, "read")
    await asyncio.gather(*crowd)
    assert [each for each in order if each != "read"] == list(range(9))
    assert order.index("read") == 2


async def test_a_crowd_that_is_through_leaves_nothing_behind() -> None:
    slicing, order = Slicing(2), list[int | str]()
    for _ in range(2):
        await asyncio.gather(*(begun(slicing, n, order) for n in range(3)))
        await asyncio.sleep(0.01)
    now = asyncio.create_task(begun(slicing, 7, order))
    await asyncio.sleep(0)
    assert now.done(), "the first of a turn does not wait"


async def test_one_who_has_gone_takes_no_place() -> None:
    slicing, order = Slicing(1), list[int | str]()
    tasks = [asyncio.create_task(begun(slicing, n, order)) for n in range(4)]
    await asyncio.sleep(0)
    tasks[2].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == [0, 1, 3]
