"""Loops beside a block end with it, whatever they make of a cancellation."""

import asyncio
from typing import Never

from observe.process import beside


async def test_a_loop_that_loses_a_cancellation_ends_all_the_same() -> None:
    lost = 0

    async def deaf_once() -> Never:
        nonlocal lost
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                if lost:
                    raise
                lost += 1

    async with asyncio.timeout(60), beside(deaf_once()):
        await asyncio.sleep(0)
    assert lost == 1


async def test_a_loop_that_failed_does_not_hinder_the_end() -> None:
    async def broken() -> Never:
        raise RuntimeError("its own fault")

    async with asyncio.timeout(60), beside(broken()):
        await asyncio.sleep(0)
