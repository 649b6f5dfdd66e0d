"""Limits while time passes: with Redis and without, they let through what plain buckets and counts would, no more."""

import math
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction

import pytest
from gates import PATIENT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from throttle.limits import Granted, Item, Limiter, bucket, daily
from throttle.redis import connect

DAY = 86_400
MICRO = 1_000_000
GRAIN = Fraction(2, MICRO)  # seconds: Redis's clock has whole microseconds, and a sum of fractions is not exact
QUOTA = 6
PROCESSES = 3

# Tokens a minute, which is also how many may come at once: what a microsecond does not divide is among them.
BUCKETS = {"even": 6, "odd": 11, "slow": 2}

Step = tuple[str, int | Fraction, int | list[list[Item]]]


class Side:
    """One who grants, whose memory can be made older: nobody can set its clock."""

    processes = 1

    def __init__(self, limiters: Sequence[Limiter], redis: Redis) -> None:
        self.limiters, self.redis = limiters, redis

    async def take(self, who: int, asks: Sequence[Sequence[Item]]) -> list[Granted]:
        return await self.limiters[who].take(asks)

    async def give(self, who: int, ask: Sequence[Item], grant: Granted) -> None:
        await self.limiters[who].give(ask, grant)

    async def age(self, seconds: Fraction, days: int) -> None:
        """So long ago was all that happened."""
        async for name in self.redis.scan_iter("clarion:{limits}:*"):
            if name.endswith(":processes"):
                continue
            kept = await self.redis.get(name)
            day, colon, used = kept.partition(":")
            older = f"{int(day) - days}:{used}" if colon else str(Decimal(kept) - micro(seconds))
            await self.redis.set(name, older, keepttl=True)


class Alone(Side):
    """One of three processes while Redis is gone."""

    processes = PROCESSES

    async def take(self, who: int, asks: Sequence[Sequence[Item]]) -> list[Granted]:
        return self.limiters[0].take_share(asks)

    async def give(self, who: int, ask: Sequence[Item], grant: Granted) -> None:
        await self.limiters[0].give(ask, grant)

    async def age(self, seconds: Fraction, days: int) -> None:
        alone = self.limiters[0]._alone
        alone._full_at = {key: full_at - float(micro(seconds)) for key, full_at in alone._full_at.items()}
        alone._used = {(day - days, key): used for (day, key), used in alone._used.items()}


@dataclass
class Bucket:
    """So many are in it, and more come with time. How long a trip takes is not known exactly: hence two levels."""

    rate: Fraction  # tokens a second
    burst: Fraction
    least: Fraction = field(init=False)
    most: Fraction = field(init=False)

    def __post_init__(self) -> None:
        self.least = self.most = self.burst

    def wait(self, least: Fraction, most: Fraction) -> None:
        self.least = min(self.burst, self.least + self.rate * max(Fraction(0), least))
        self.most = min(self.burst, self.most + self.rate * most)

    def move(self, tokens: int) -> None:
        self.least = min(self.burst, max(Fraction(0), self.least + tokens))
        self.most = min(self.burst, self.most + tokens)


class Plain:
    """The limits as one would tell them."""

    def __init__(self, processes: int) -> None:
        self.buckets = {
            name: Bucket(Fraction(n, 60 * processes), max(Fraction(n, processes), Fraction(1)))
            for name, n in BUCKETS.items()
        }
        self.quota, self.used = QUOTA // processes, 0
        self.through, self.passed = dict.fromkeys(BUCKETS, 0), Fraction(0)

    def wait(self, least: Fraction, most: Fraction) -> None:
        self.passed += most
        for each in self.buckets.values():
            each.wait(least, most)

    def waits(self, ask: Sequence[Item]) -> tuple[Fraction, Fraction]:
        """Seconds until all of it fits: at least and at most."""
        short, long = Fraction(0), Fraction(0)
        for item in ask:
            if item.kind == "q":
                over = self.used + item.cost > self.quota
                short, long = max(short, Fraction(over)), max(long, Fraction(over * DAY))
            else:
                mine = self.buckets[item.key]
                short = max(short, (item.cost - mine.most) / mine.rate)
                long = max(long, (item.cost - mine.least) / mine.rate)
        return short, long

    def move(self, ask: Sequence[Item], sign: int) -> None:
        """Take it (1) or give it back (-1)."""
        for item in ask:
            if item.kind == "q":
                self.used += sign * item.cost
            else:
                self.buckets[item.key].move(-sign * item.cost)
                self.through[item.key] += sign * item.cost

    def check(self) -> None:
        assert 0 <= self.used <= self.quota
        for name, mine in self.buckets.items():
            assert self.through[name] <= mine.burst + mine.rate * self.passed


class Trial:
    """One history, held against plain limits step by step."""

    def __init__(self, side: Side) -> None:
        self.side, self.plain = side, Plain(side.processes)
        self.held: list[tuple[list[Item], Granted]] = []
        self.told = Fraction(0)  # when to come back, as the last refusal said
        self.before = self.after = time.monotonic()

    async def do(self, step: Step) -> None:
        match step:
            case "take", int(who), list(wanted):
                await self.take(who, wanted)
            case "give", int(who), int(place) if self.held:
                await self.give(who, place)
            case "pass", Fraction() as seconds, _:
                await self.let_pass(seconds)
            case "told", _, _:
                await self.let_pass(self.told)
            case _:
                pass

    async def let_pass(self, seconds: Fraction, days: int = 0) -> None:
        await self.side.age(seconds, days)
        self.plain.wait(seconds, seconds)

    async def midnight(self) -> None:
        await self.let_pass(Fraction(DAY), days=1)
        self.plain.used = 0
        # Nothing of what was taken before is today's.
        self.held = [(ask, replace(grant, day=grant.day - 1)) for ask, grant in self.held]

    async def take(self, who: int, asks: list[list[Item]]) -> None:
        began = time.monotonic()
        grants = await self.side.take(who, asks)
        self.clock(began)
        for place, (ask, grant) in enumerate(zip(asks, grants, strict=True)):
            short, long = self.plain.waits(ask)
            if grant.refused is None:
                assert place == 0 or grants[0].refused is None, "a part went without its head"
                assert short <= GRAIN, (ask, grant)
                self.plain.move(ask, 1)
                self.held.append((ask, grant))
            elif place and grants[0].refused is not None:
                assert grant == grants[0]
            else:
                assert long > 0, (ask, grant)
                assert short - GRAIN <= grant.retry_after <= long + GRAIN
                self.told = Fraction(grant.retry_after)
        self.plain.check()

    async def give(self, who: int, place: int) -> None:
        ask, grant = self.held.pop(place % len(self.held))
        began = time.monotonic()
        await self.side.give(who, ask, grant)
        self.clock(began)
        today = int(time.time() // DAY)
        self.plain.move([item for item in ask if item.kind == "b" or grant.day == today], -1)

    async def empty(self) -> None:
        """What should be left is there, and nothing else."""
        left = {name: math.floor(mine.least) for name, mine in self.plain.buckets.items()}
        left["quota"] = self.plain.quota - self.plain.used
        for name, n in left.items():
            await self.take(0, [[item(name, n)] if n else [], [item(name, 1)]])

    def clock(self, began: float) -> None:
        """A trip happened between `began` and now."""
        now = time.monotonic()
        least, most = Fraction(began) - Fraction(self.after), Fraction(now) - Fraction(self.before)
        self.plain.wait(least - GRAIN, most + GRAIN)
        self.before, self.after = began, now


def micro(seconds: Fraction) -> int:
    return int(seconds * MICRO)


def item(name: str, cost: int) -> Item:
    if name == "quota":
        return daily("daily sms", name, cost, QUOTA)
    return bucket("requests", name, cost, rate=BUCKETS[name] / 60, burst=BUCKETS[name])


asks = st.dictionaries(st.sampled_from(["quota", *BUCKETS]), st.integers(1, 4), max_size=3).map(
    lambda costs: [item(*each) for each in costs.items()]
)
takes = st.tuples(st.just("take"), st.integers(0, 1), st.lists(asks, min_size=1, max_size=8))
gives = st.tuples(st.just("give"), st.integers(0, 1), st.integers(0, 3))
passes = st.tuples(st.just("pass"), st.sampled_from([1, 5, 10, 29, 60, 700]).map(Fraction), st.just(0))
steps = st.one_of(takes, takes, gives, passes, st.just(("told", 0, 0)))
histories = st.lists(st.lists(steps, min_size=4, max_size=15), min_size=1, max_size=3)  # by day


@asynccontextmanager
async def side_of(kind: type[Side], url: str) -> AsyncIterator[Side]:
    clients = [connect(url, timeout=PATIENT) for _ in range(PROCESSES)]
    try:
        await clients[0].flushdb()
        limiters = [Limiter(client, PATIENT) for client in clients]
        for limiter in reversed(limiters):
            await limiter.take([[]])
        yield kind(limiters, clients[0])
    finally:
        for client in clients:
            await client.aclose()


@pytest.mark.parametrize("kind", [Side, Alone])
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=histories)
async def test_limits_let_through_what_plain_buckets_and_counts_would(
    redis_url: str, kind: type[Side], history: Sequence[Sequence[Step]]
) -> None:
    async with side_of(kind, redis_url) as side:
        trial = Trial(side)
        for day, steps_of_day in enumerate(history):
            if day:
                await trial.midnight()
            for step in steps_of_day:
                await trial.do(step)
            await trial.empty()


@pytest.mark.parametrize("kind", [Side, Alone])
async def test_all_of_a_burst_may_come_one_by_one_in_a_batch(redis_url: str, kind: type[Side]) -> None:
    async with side_of(kind, redis_url) as side:
        for n in range(kind.processes, 120, kind.processes):
            one = bucket("notifications", f"n:{n}", 1, rate=n / 60, burst=n)
            grants = await side.take(0, [[], *([one] for _ in range(n))])
            assert sum(grant.refused is None for grant in grants[1:]) == n // kind.processes, n


async def test_small_change_adds_up(redis_url: str) -> None:
    async with side_of(Side, redis_url) as side:
        deep = bucket("requests", "deep", 10_000_000, rate=700_000, burst=10**9)
        await side.take(0, [[deep]])
        before = Decimal(await side.redis.get("clarion:{limits}:deep"))
        for _ in range(100):
            await side.take(0, [[replace(deep, cost=1)]])
        taken = Decimal(await side.redis.get("clarion:{limits}:deep")) - before
        assert math.isclose(taken, 100 / 0.7, abs_tol=0.01)
