"""Cancel, expiry and a new time, exact to the message: the vendor's own log is the witness."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import Any

from stage import END_STATES, SetStage, Stage

RACES, AT_ONCE = 150, 25
MOMENTS = (0, 0.05, 0.2, 0.8, 1.6)  # seconds; both outcomes are common on a quick and on a slow machine


def _ended(status: dict[str, Any]) -> bool:
    return status["status"] in END_STATES


async def _sent(stage: Stage) -> set[str]:
    """The deliveries that came to the vendor."""
    return {line["key"].rpartition(".")[0] for line in await stage.vendors.log("sendgrid")}


async def test_cancelled_in_the_answer_and_sent_by_the_vendor_exclude_each_other(stage: Stage) -> None:
    chance, slots = random.Random(5), asyncio.Semaphore(AT_ONCE)
    cancelled: set[str] = set()
    too_late: set[str] = set()

    async def race(n: int) -> str:
        async with slots:
            notification = await stage.notify(channels=["email"], recipient_ids=[f"user{n}"], message=f"{n}")
            if n % 10:
                await asyncio.sleep(chance.choice(MOMENTS))
            else:  # too late on however slow a machine
                await stage.until(notification, _ended, within=60)
            code, answer = await stage.call("POST", f"/notifications/{notification}/cancel")
            assert code == 200
            cancelled.update(answer["cancelled"])
            too_late.update(each["id"] for each in answer["too_late"])
            return notification

    for notification in await asyncio.gather(*(race(n) for n in range(RACES))):
        await stage.until(notification, _ended, within=60)
    assert len(cancelled) + len(too_late) == RACES
    assert await _sent(stage) == too_late
    assert min(len(cancelled), len(too_late)) >= RACES // 20, (len(cancelled), len(too_late))
    await stage.awaiting_is_right()


async def test_a_backlog_that_was_held_back_sends_nothing_that_has_expired(set_stage: SetStage) -> None:
    stage = await set_stage(held=True)
    email: dict[str, Any] = {"channels": ["email"], "recipient_ids": ["ada"]}

    def soon() -> str:
        return (datetime.now(UTC) + timedelta(seconds=3)).isoformat()

    expiring = [await stage.notify(**email, message="late", expires_at=soon()) for _ in range(20)]
    lasting = [await stage.notify(**email, message="never late") for _ in range(5)]
    await asyncio.sleep(3.2)
    await stage.work()
    for notification in expiring:
        status = await stage.until(notification, "FAILED", within=60)
        assert status["deliveries"][0]["status"] == "EXPIRED"
    for notification in lasting:
        await stage.until(notification, "COMPLETED", within=60)
    assert [line["text"] for line in await stage.vendors.log("sendgrid")] == ["never late"] * 5


async def test_what_was_given_a_new_time_is_not_sent_before_it(stage: Stage) -> None:
    chance, slots = random.Random(6), asyncio.Semaphore(AT_ONCE)
    promised: dict[str, float] = {}  # by message: Unix time

    async def race(n: int) -> str:
        async with slots:
            notification = await stage.notify(channels=["email"], recipient_ids=["ada"], message=f"{n}")
            if n % 20 == 0:  # too late for certain: on a busy machine all others may be in time
                await stage.until(notification, "COMPLETED", within=60)
            await asyncio.sleep(chance.choice(MOMENTS))
            later = datetime.now(UTC) + timedelta(seconds=3)
            code, _ = await stage.call("PATCH", f"/notifications/{notification}", {"send_at": later.isoformat()})
            assert code in (200, 409)
            if code == 200:
                promised[f"{n}"] = later.timestamp()
            return notification

    for notification in await asyncio.gather(*(race(n) for n in range(100))):
        await stage.until(notification, "COMPLETED", within=60)
    came = {line["text"]: line["at"] for line in await stage.vendors.log("sendgrid")}
    assert len(came) == 100
    assert 0 < len(promised) < 100
    assert [n for n, at in promised.items() if came[n] < at] == []
