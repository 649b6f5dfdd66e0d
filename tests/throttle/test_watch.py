"""Sends are watched until their receipts come: who is late counts as silent, if we could have heard of it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gates import PATIENT
from killable import own_valkey
from redis.asyncio import Redis

from domain.ids import DeliveryId, new_id
from throttle.policy import MICRO
from throttle.redis import connect
from throttle.watch import AT_ONCE, LAG, Judged, Watch

HUSH, WINDOW, GAP = 0.5, 30.0, 3.0


def sends(n: int) -> list[DeliveryId]:
    batch = new_id()
    return [DeliveryId(batch, seq) for seq in range(n)]


class Watcher:
    """A worker and an API in one, whose flushes can be waited for."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch

    async def sent(self, *these: DeliveryId, probe: bool = False) -> None:
        self.watch.sent("vendor", these, probe=probe)
        await self.watch.close()

    async def reported(self, *these: DeliveryId) -> None:
        self.watch.reported([("vendor", each) for each in these])
        await self.watch.close()

    async def judge(self, after: float = 0.0, hush: float = HUSH) -> Judged:
        """What is said after so many seconds."""
        await asyncio.sleep(after)
        judged = await self.watch.judge("vendor", hush, WINDOW)
        assert judged is not None
        return judged


@asynccontextmanager
async def watcher(url: str) -> AsyncIterator[Watcher]:
    redis = connect(url, timeout=PATIENT)
    watch = Watch(redis, PATIENT)
    await watch.beat()
    await keep_open(url)
    try:
        yield Watcher(watch)
    finally:
        await watch.close()
        await redis.aclose()


async def keep_open(url: str) -> None:
    """As if the door beat for an hour to come, however slow this machine is; until the next beat."""
    async with Redis.from_url(url) as redis:
        seconds, _ = await redis.time()
        await redis.hset("clarion:{watch}:door", "last", (seconds + 3600) * MICRO)


async def learn(url: str, *delays: float) -> None:
    """As if receipts had come after so many seconds."""
    async with Redis.from_url(url) as redis:
        await redis.rpush("clarion:{watch}:delays:vendor", *[round(delay * 1_000_000) for delay in delays])


async def test_what_is_reported_is_not_silent_and_its_age_is_told_once(redis_url: str) -> None:
    async with watcher(redis_url) as vendor:
        first, second = sends(2)
        began = time.monotonic()
        await vendor.sent(first, second)
        await vendor.reported(first)
        judged = await vendor.judge(hush=20)
        assert len(judged.ages) == 1 and LAG <= judged.ages[0] < time.monotonic() - began
        assert (await vendor.judge(2 * judged.ages[0])).silent == [second]  # that is thrice what was learned
        again = await vendor.judge()
        assert (again.ages, again.silent) == ([], [])


async def test_young_sends_are_not_silent(redis_url: str) -> None:
    async with watcher(redis_url) as vendor:
        await vendor.sent(*sends(5))
        assert (await vendor.judge(hush=20)).silent == []


async def test_a_report_that_comes_after_the_verdict_only_teaches(redis_url: str) -> None:
    async with watcher(redis_url) as vendor:
        (send,) = sends(1)
        await vendor.sent(send)
        assert (await vendor.judge(HUSH)).silent == [send]
        await vendor.reported(send)
        judged = await vendor.judge()
        assert judged.ages == []
        assert judged.usual > 3 * HUSH


async def test_the_usual_time_is_learned_within_its_bounds(redis_url: str) -> None:
    async with watcher(redis_url) as vendor:
        assert (await vendor.judge(hush=2)).usual == 2
        await learn(redis_url, 0.1, 4.0)
        assert (await vendor.judge(hush=2)).usual == 12
        await learn(redis_url, *[1.5] * 150)
        assert (await vendor.judge(hush=2)).usual == 3
        assert (await vendor.judge(hush=5)).usual == 5
        await learn(redis_url, *[1000.0] * 40)
        assert (await vendor.judge(hush=2)).usual == WINDOW


async def test_the_sample_is_bounded_and_a_probe_is_always_in_it(redis_url: str) -> None:
    async with watcher(redis_url) as vendor:
        await vendor.sent(*sends(1000))
        for _ in range(30):
            await vendor.sent(*sends(AT_ONCE))
        (probe,) = sends(1)
        await vendor.sent(probe, probe=True)
        silent = (await vendor.judge(HUSH)).silent
        assert probe in silent
        assert len(silent) == 201


async def test_nothing_is_judged_while_our_door_is_closed_nor_who_was_sent_before(redis_url: str) -> None:
    async with watcher(redis_url) as vendor:
        await vendor.watch.beat()
        await vendor.sent(*sends(5))
        await asyncio.sleep(GAP + 0.2)  # no beat
        judged = await vendor.watch.judge("vendor", HUSH, WINDOW)
        assert judged is not None and judged.silent == []
        await vendor.watch.beat()
        await keep_open(redis_url)
        assert (await vendor.judge(HUSH)).silent == []
        (later,) = sends(1)
        await vendor.sent(later)
        assert (await vendor.judge(HUSH)).silent == [later]


async def test_one_late_beat_closes_nothing(redis_url: str) -> None:
    async with watcher(redis_url) as vendor:
        while True:
            began = time.monotonic()
            await vendor.watch.beat()
            (send,) = sends(1)
            await vendor.sent(send)
            await asyncio.sleep(max(0.0, began + 2 - time.monotonic()))
            await vendor.watch.beat()
            if time.monotonic() < began + GAP:  # else a busy machine made more of it than a late beat
                break
        await keep_open(redis_url)
        assert send in (await vendor.judge(HUSH)).silent


async def test_two_processes_never_find_the_same_send_silent(redis_url: str) -> None:
    async with watcher(redis_url) as one, watcher(redis_url) as other:
        mine = sends(9)
        await one.sent(*mine)
        await asyncio.sleep(HUSH)
        found = await asyncio.gather(*(vendor.judge() for vendor in (one, other) * 3))
        assert sorted(each for judged in found for each in judged.silent) == sorted(mine)


async def test_without_redis_nothing_is_raised_and_it_goes_on_when_redis_is_back(tmp_path: Path) -> None:
    async with own_valkey(tmp_path) as server, watcher(server.url) as vendor:
        server.kill()
        vendor.watch.sent("vendor", sends(5))
        vendor.watch.reported([("vendor", each) for each in sends(20_000)])
        await vendor.watch.beat()
        assert await vendor.watch.judge("vendor", HUSH, WINDOW) is None
        await vendor.watch.close()
        await server.start()
        (send,) = sends(1)
        await asyncio.sleep(1.1)
        await vendor.watch.beat()
        await keep_open(server.url)
        await vendor.sent(send)
        assert (await vendor.judge(HUSH)).silent == [send]


async def test_reports_are_told_late_enough_to_meet_their_sends(redis_url: str) -> None:
    """A receipt may be written down before the worker has told Redis of the send."""
    async with watcher(redis_url) as api, watcher(redis_url) as worker:
        (send,) = sends(1)
        api.watch.reported([("vendor", send)])
        await worker.sent(send)
        await api.watch.close()
        assert len((await worker.judge()).ages) == 1


async def test_a_send_whose_report_came_first_holds_no_place(redis_url: str) -> None:
    """A busy worker's news may come seconds after the receipt: that send is over, and the next has to be watched."""
    async with watcher(redis_url) as vendor:
        raced = sends(200)
        await vendor.reported(*raced)
        await vendor.sent(*raced, probe=True)  # so that all are told at once
        (next_one,) = sends(1)
        await vendor.sent(next_one)
        judged = await vendor.judge(HUSH)
        assert len(judged.ages) == 200
        assert judged.silent == [next_one]
