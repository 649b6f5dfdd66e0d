"""Limits of tenants: all of a request's or none, exact under a crowd, given back exactly, shared out without Redis."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from gates import PATIENT
from killable import own_valkey
from redis.asyncio import Redis

from throttle.limits import Granted, Item, Limiter, LimitsAway, bucket, daily
from throttle.redis import connect

SLOW = 1e-6  # units a second: nothing comes back while a test runs


@asynccontextmanager
async def limiter_at(url: str, limit: float = PATIENT) -> AsyncIterator[Limiter]:
    redis = connect(url, timeout=limit)
    try:
        yield Limiter(redis, limit)
    finally:
        await redis.aclose()


def quota(most: int, cost: int = 1, name: str = "q") -> Item:
    return daily("daily sms", name, cost, most)


def tokens(burst: int, rate: float = SLOW, cost: int = 1, name: str = "b") -> Item:
    return bucket("requests", name, cost, rate=rate, burst=burst)


async def taken(limiter: Limiter, *items: Item) -> bool:
    return (await limiter.take([items]))[0].refused is None


async def left_in_redis(url: str) -> dict[str, str]:
    async with Redis.from_url(url, decode_responses=True) as redis:
        names = [name async for name in redis.scan_iter("clarion:{limits}:*") if not name.endswith(":processes")]
        return {name: await redis.get(name) for name in names}


@pytest.mark.parametrize("item", [quota(1_000), tokens(1_000)])
async def test_a_limit_without_refill_is_exact_for_64_clients_at_once(redis_url: str, item: Item) -> None:
    async with limiter_at(redis_url) as one, limiter_at(redis_url) as other:
        granted = 0

        async def client(limiter: Limiter) -> None:
            nonlocal granted
            for _ in range(10_000 // 64 + 1):
                if await taken(limiter, item):
                    granted += 1

        await asyncio.gather(*(client((one, other)[n % 2]) for n in range(64)))
    assert granted == 1_000


async def test_a_bucket_lets_through_its_burst_and_what_comes_back(redis_url: str) -> None:
    async with limiter_at(redis_url) as limiter, Redis.from_url(redis_url) as redis:

        async def now() -> float:
            seconds, micro = await redis.time()
            return seconds + micro / 1e6

        began, granted = await now(), 0
        async with asyncio.timeout(PATIENT):
            while granted < 200:
                granted += sum(await asyncio.gather(*(taken(limiter, tokens(50, rate=200)) for _ in range(32))))
        assert granted <= 50 + 200 * (await now() - began)


async def test_all_of_a_request_is_taken_or_nothing(redis_url: str) -> None:
    async with limiter_at(redis_url) as limiter:
        assert await taken(limiter, tokens(5), quota(1))
        before = await left_in_redis(redis_url)
        (grant,) = await limiter.take([[tokens(5), quota(1)]])
        assert grant.refused == quota(1)
        assert 0 < grant.retry_after <= 86_400
        assert await left_in_redis(redis_url) == before
        assert await taken(limiter, tokens(5, cost=4))


async def test_what_is_given_back_leaves_no_trace(redis_url: str) -> None:
    async with limiter_at(redis_url) as limiter:
        items = [tokens(5, rate=1, cost=3), quota(9, cost=4)]
        (grant,) = await limiter.take([items])
        assert grant.refused is None
        await limiter.give(items, grant)
        assert set((await left_in_redis(redis_url)).values()) <= {f"{int(time.time() // 86_400)}:0"}
        assert await taken(limiter, tokens(5, cost=5), quota(9, cost=9))


async def test_the_longest_wait_is_told(redis_url: str) -> None:
    async with limiter_at(redis_url) as limiter:
        items = [tokens(1, rate=1, name="quick"), tokens(1, rate=0.01, name="slow")]
        assert await taken(limiter, *items)
        (grant,) = await limiter.take([items])
        assert grant.refused == items[1] and 50 < grant.retry_after <= 100
        (first,) = await limiter.take([[tokens(10, rate=1, name="other")]])
        assert (first.left, round(first.full_in)) == (9, 1)


async def test_parts_are_granted_in_order_and_only_with_their_head(redis_url: str) -> None:
    async with limiter_at(redis_url) as limiter:
        head, parts = [tokens(2, name="head")], [[quota(5, cost=2)], [quota(5, cost=4)], [], [quota(5, cost=3)]]
        grants = await limiter.take([head, *parts])
        assert [grant.refused is None for grant in grants] == [True, True, False, True, True]
        await limiter.take([head])
        before = await left_in_redis(redis_url)
        assert not any(grant.refused is None for grant in await limiter.take([head, [quota(500)], [tokens(9)]]))
        assert await left_in_redis(redis_url) == before


async def test_any_order_of_taking_and_giving_back_agrees_with_a_plain_count(redis_url: str) -> None:
    chance = random.Random(11)
    async with limiter_at(redis_url) as limiter:
        limits, used = {"a": 7, "b": 40, "c": 1_000}, {"a": 0, "b": 0, "c": 0}
        held: list[tuple[list[Item], Granted]] = []
        for _ in range(400):
            if held and chance.random() < 0.4:
                gone, grant = held.pop(chance.randrange(len(held)))
                await limiter.give(gone, grant)
                for item in gone:
                    used[item.key] -= item.cost
                continue
            names = chance.sample(sorted(limits), chance.randint(1, 3))
            make = (quota, tokens)
            items = [make[name == "b"](limits[name], cost=chance.randint(1, 9), name=name) for name in names]
            fits = all(used[item.key] + item.cost <= limits[item.key] for item in items)
            (grant,) = await limiter.take([items])
            assert (grant.refused is None) == fits
            if fits:
                held.append((items, grant))
                for item in items:
                    used[item.key] += item.cost


async def test_without_redis_each_process_grants_its_share(tmp_path: Path) -> None:
    async with own_valkey(tmp_path) as server, limiter_at(server.url) as one, limiter_at(server.url) as two:
        for limiter in (one, two, one):
            assert await taken(limiter, quota(1_000), tokens(1_000, rate=1_000))
        server.kill()
        asks = [[tokens(10), quota(100)]]
        with pytest.raises(LimitsAway):
            await one.take(asks)
        granted = [one.take_share(asks)[0] for _ in range(20)]
        assert [grant.refused is None for grant in granted] == [True] * 5 + [
            False
        ] * 15  # each unit is worth two, for there were two processes
        assert sum(one.take_share([[quota(100)]])[0].refused is None for _ in range(80)) == 45
        head, part = one.take_share([[tokens(10)], [quota(10_000)]])
        assert head.refused == part.refused == tokens(10)
        await one.give(asks[0], granted[0])
        assert one.take_share([[quota(100)]])[0].refused is None
        await server.start()
        await asyncio.sleep(1.1)
        assert await taken(one, quota(100, name="new"))


async def test_what_was_taken_yesterday_is_not_given_back_to_today(redis_url: str) -> None:
    async with limiter_at(redis_url) as limiter:
        (grant,) = await limiter.take([[quota(10, cost=5)]])
        await limiter.give([quota(10, cost=5)], replace(grant, day=grant.day - 1))
        assert not await taken(limiter, quota(10, cost=6))
        await limiter.give([quota(10, cost=5)], grant)
        assert await taken(limiter, quota(10, cost=10))
