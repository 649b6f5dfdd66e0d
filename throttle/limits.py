"""Limits of tenants: all of a request's in one trip to Redis, which many share; without Redis a share of them."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal
from uuid import uuid4

from redis.asyncio import Redis
from redis.exceptions import RedisError

from observe import metrics
from throttle.lifeline import Lifeline
from throttle.policy import MICRO

_SCRIPT = Path(__file__).with_name("limits.lua").read_text()
_PREFIX = "clarion:{limits}"
_DAY = 86_400
_GRAIN = 0.5  # microseconds: a unit of 1/11 minute has no end, so eleven of them are a minute only nearly
_AT_ONCE = 500  # requests in one trip
_TOLD = 128  # of them answered before whatever else waits has its turn
_REMEMBERED = 100_000  # keys of this process's own, without Redis


@dataclass(frozen=True, slots=True)
class Item:
    """A cost against one limit. kind `b`: a bucket, times in microseconds. `q`: a quota of `unit` a day."""

    limit: str  # its name, for people
    key: str
    kind: Literal["b", "q"]
    cost: int
    unit: float
    whole: float = 0.0


def bucket(limit: str, key: str, cost: int, *, rate: float, burst: float) -> Item:
    """`rate` units a second come back, up to `burst`."""
    unit = MICRO / rate
    return Item(limit, key, "b", cost, unit, burst * unit)


def daily(limit: str, key: str, cost: int, most: int) -> Item:
    """`most` units a day (UTC); none come back before midnight."""
    return Item(limit, key, "q", cost, float(most))


@dataclass(frozen=True, slots=True)
class Granted:
    """All limits were taken, or none: `refused` is the item that did not fit. Times are seconds.

    `left`: what is left of the first item's bucket, `full_in`: until it is full again.
    """

    refused: Item | None
    retry_after: float
    left: int
    full_in: float
    day: int  # since 1970, UTC, by whoever granted it
    alone: bool = False  # out of this process's own share


Asks = Sequence[Sequence[Item]]  # requests, each with its items


class LimitsAway(Exception):
    """Redis does not answer."""


class Limiter:
    """One per API process. Requests that come while a trip is under way share the next one."""

    def __init__(self, redis: Redis, limit: float = 1.0) -> None:
        """`limit`: seconds a trip may take."""
        self._script, self._limit, self._lifeline = redis.register_script(_SCRIPT), limit, Lifeline()
        self._me, self._processes = uuid4().hex, 1
        self._waiting: deque[tuple[str, Asks, asyncio.Future[list[Granted]]]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._alone = _Alone()

    async def take(self, asks: Asks) -> list[Granted]:
        """The first ask is granted whole or costs nothing, and so are the others after it, if it was granted.

        If it was not, its refusal is theirs. Raises LimitsAway.
        """
        granted = await self._put("take", asks)
        return granted if granted[0].refused is None else granted[:1] * len(granted)

    async def give(self, ask: Sequence[Item], grant: Granted) -> None:
        """Undo what was granted, where it was: exactly, while Redis is there. Never raises."""
        if grant.alone:
            self._alone.give(ask, self._processes, grant.day)
            return
        with suppress(LimitsAway):
            await self._put("give", [[replace(i, whole=grant.day) if i.kind == "q" else i for i in ask]])

    def take_share(self, asks: Asks) -> list[Granted]:
        """Without Redis: out of this process's own share of each limit."""
        return self._alone.take(asks, self._processes)

    async def _put(self, step: str, asks: Asks) -> list[Granted]:
        answer: asyncio.Future[list[Granted]] = asyncio.get_running_loop().create_future()
        self._waiting.append((step, asks, answer))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return await answer

    async def _run(self) -> None:
        while self._waiting:
            step, group, size = self._waiting[0][0], list[tuple[Asks, asyncio.Future[list[Granted]]]](), 0
            while self._waiting and self._waiting[0][0] == step and (not group or size < _AT_ONCE):
                _, asks, answer = self._waiting.popleft()
                group.append((asks, answer))
                size += len(asks)
            try:
                found = iter(await self._trip(step, [asks for asks, _ in group]))
            except LimitsAway as error:
                for _, answer in group:
                    if not answer.done():
                        answer.set_exception(error)
                continue
            for n, (asks, answer) in enumerate(group, 1):
                granted = [next(found) for _ in asks]
                if not answer.done():
                    answer.set_result(granted)
                if n % _TOLD == 0:
                    await asyncio.sleep(0)

    async def _trip(self, step: str, group: Sequence[Asks]) -> list[Granted]:
        if not self._lifeline.try_now():
            raise LimitsAway
        places: dict[str, int] = {}
        fields: list[str | int | float] = [step, self._me]
        asks: list[Sequence[Item]] = []
        for each in group:
            for n, ask in enumerate(each):
                asks.append(ask)
                fields.append(f"+{len(ask)}" if n else len(ask))
                for item in ask:
                    place = places.setdefault(item.key, len(places) + 1)
                    fields += (place, item.kind, item.cost, item.unit, item.whole)
        keys = [f"{_PREFIX}:processes", *(f"{_PREFIX}:{key}" for key in places)]
        try:
            async with asyncio.timeout(self._limit):
                reply = await self._script(keys=keys, args=fields)
        except (RedisError, OSError) as error:
            self._lifeline.failed(error)
            metrics.LIMITS_ALONE.set(1)
            raise LimitsAway from error
        self._lifeline.answered()
        metrics.LIMITS_ALONE.set(0)
        self._processes = int(reply[0])
        at = range(2, len(reply), 3)
        return [_granted(ask, reply[1], *reply[n : n + 3]) for ask, n in zip(asks, at, strict=True)]


def _granted(ask: Sequence[Item], day: int, failing: int, wait: int, full_in: int, *, alone: bool = False) -> Granted:
    first = ask[0] if ask and ask[0].kind == "b" else None
    left = math.floor((first.whole - full_in) / first.unit) if first else 0
    refused = ask[failing - 1] if failing and ask else None
    return Granted(refused, wait / MICRO, max(0, left), full_in / MICRO, int(day), alone)


@dataclass(frozen=True, slots=True)
class _Now:
    """Microseconds of a clock that nobody sets, which begins late enough to have room for fractions; and the day."""

    ticks: float
    day: int  # since 1970, UTC
    rest: float  # of it, in microseconds

    @staticmethod
    def read() -> "_Now":
        day, second = divmod(time.time(), _DAY)
        return _Now(time.monotonic() * MICRO, int(day), (_DAY - second) * MICRO)


class _Alone:
    """The same limits in this process's memory, each divided by the number of processes that were last seen.

    Of a bucket's burst that is at least one: else a limit below that number would let nothing through at all.
    """

    def __init__(self) -> None:
        self._full_at: dict[str, float] = {}
        self._used: dict[tuple[int, str], int] = {}

    def take(self, asks: Asks, processes: int) -> list[Granted]:
        now = _Now.read()
        self._forget(now)
        head = self._taken(asks[0], processes, now)
        if head.refused is not None:
            return [head] * len(asks)
        return [head, *(self._taken(ask, processes, now) for ask in asks[1:])]

    def give(self, ask: Sequence[Item], processes: int, day: int) -> None:
        now = _Now.read()
        for item in ask:
            if item.kind == "b" or day == now.day:
                self._move(item, -processes, now)

    def _taken(self, ask: Sequence[Item], processes: int, now: _Now) -> Granted:
        waits = [(self._wait(item, processes, now), place) for place, item in enumerate(ask, 1)]
        longest, failing = max(waits, key=lambda wait: wait[0], default=(0.0, 0))
        if longest <= _GRAIN:
            longest, failing = 0.0, 0
            for item in ask:
                self._move(item, processes, now)
        full_in = self._full_in(ask[0], now) if ask else 0.0
        return _granted(ask, now.day, failing, math.ceil(longest), math.ceil(full_in), alone=True)

    def _full_in(self, item: Item, now: _Now) -> float:
        return max(0.0, self._full_at.get(item.key, 0.0) - now.ticks)

    def _wait(self, item: Item, processes: int, now: _Now) -> float:
        if item.kind == "b":
            unit = item.unit * processes
            return self._full_in(item, now) + item.cost * unit - max(item.whole, unit)
        over = self._used.get((now.day, item.key), 0) + item.cost > item.unit // processes
        return now.rest if over else 0.0

    def _move(self, item: Item, processes: int, now: _Now) -> None:
        """A negative number of processes gives back."""
        if item.kind == "b":
            self._full_at[item.key] = now.ticks + self._full_in(item, now) + item.cost * item.unit * processes
        else:
            place = now.day, item.key
            self._used[place] = max(0, self._used.get(place, 0) + (item.cost if processes > 0 else -item.cost))

    def _forget(self, now: _Now) -> None:
        if len(self._full_at) > _REMEMBERED:
            self._full_at = {key: full_at for key, full_at in self._full_at.items() if full_at > now.ticks}
        if len(self._used) > _REMEMBERED:
            self._used = {place: n for place, n in self._used.items() if place[0] == now.day}
