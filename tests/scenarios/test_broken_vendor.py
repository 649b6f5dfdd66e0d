"""A vendor that does not work loses its traffic at once, for everybody, and gets it back by probes."""

import asyncio
from typing import Any

from stage import SetStage, Stage

from ledger import provider_events

SHORT = {"sms": {"doubt": 1}}


async def _messages(stage: Stage, n: int, **body: Any) -> list[str]:
    return [
        await stage.notify(channels=["sms"], recipient_ids=[f"user{i}"], message=f"message {i}", **body)
        for i in range(n)
    ]


async def _ended(stage: Stage, ids: list[str], within: float = 30) -> list[dict[str, Any]]:
    return [(await stage.until(n, "COMPLETED", within))["deliveries"][0] for n in ids]


async def _changes(stage: Stage, provider: str) -> list[tuple[str | None, str]]:
    events = await provider_events.newest(stage.db, provider, 20)
    return [(event.before, event.after) for event in reversed(events)]


async def test_a_refusing_vendor_is_left_after_one_call_and_its_messages_lose_nothing(set_stage: SetStage) -> None:
    stage = await set_stage()
    await stage.vendors.rule("twilio", answer={"status": 401})
    deliveries = await _ended(stage, await _messages(stage, 1))
    assert [d["provider"] for d in deliveries] == ["sns"]
    later = await _ended(stage, await _messages(stage, 20))
    assert {(d["provider"], d["status"], d["possible_duplicate"]) for d in later} == {("sns", "SENT", False)}
    steps = await stage.db.run("SELECT step, count(*) AS n FROM delivery_event WHERE provider = 'twilio' GROUP BY step")
    count = {row.step: row.n for row in steps}
    assert count["claim"] == 1 + count.get("divert", 0)
    assert await _changes(stage, "twilio") == [("closed", "open")]


async def test_traffic_comes_back_by_probes_of_messages_that_are_not_urgent(set_stage: SetStage) -> None:
    stage = await set_stage(channels=SHORT)
    await stage.vendors.rule("twilio", answer={"status": 500})
    await _ended(stage, await _messages(stage, 4))
    await stage.vendors.reset()
    stopped = asyncio.Event()
    load = asyncio.create_task(_trickle(stage, stopped))
    async with asyncio.timeout(90):
        while (await _changes(stage, "twilio"))[-1:] != [("half_open", "closed")]:
            await asyncio.sleep(0.2)
    stopped.set()
    ids = await load
    await _ended(stage, ids)
    (after,) = await _ended(stage, await _messages(stage, 1))
    assert after["provider"] == "twilio"
    probes = await stage.db.run("SELECT at FROM delivery_event WHERE step = 'divert' ORDER BY at")
    span = (probes[-1].at - probes[0].at).total_seconds()  # between commits: each may come late after its grant
    assert len(probes) - 1 <= span / 5 + 1
    urgent = await stage.db.run(
        """SELECT 1 FROM delivery_event e JOIN batch b ON b.id = e.batch_id
            WHERE e.step = 'divert' AND b.priority = 'high'"""
    )
    assert not urgent


async def _trickle(stage: Stage, stopped: asyncio.Event) -> list[str]:
    """Messages of all priorities, until told to stop."""
    ids: list[str] = []
    while not stopped.is_set():
        for priority in ("high", "normal", "low"):
            ids += await _messages(stage, 1, priority=priority)
        await asyncio.sleep(0.3)
    return ids


async def test_nobody_waits_longer_than_patience_says(set_stage: SetStage) -> None:
    stage = await set_stage(channels={"sms": {"route": ["twilio"], "patience": 2}})
    await stage.vendors.rule("twilio", answer={"status": 401})
    (n,) = await _messages(stage, 1)
    delivery = (await stage.until(n, "FAILED"))["deliveries"][0]
    assert (delivery["status"], delivery["reason"]) == ("DEAD", "no provider works")


async def test_a_provider_that_works_again_takes_back_what_died_with_it_if_that_is_wanted(set_stage: SetStage) -> None:
    stage = await set_stage(channels={"sms": {"route": ["twilio"], "patience": 2}}, redrive=100)
    await stage.vendors.rule("twilio", answer={"status": 401})
    ids = await _messages(stage, 3)
    for n in ids:
        await stage.until(n, "FAILED")
    await stage.vendors.reset()
    stopped = asyncio.Event()
    load = asyncio.create_task(_trickle(stage, stopped))
    deliveries = await _ended(stage, ids, within=60)
    stopped.set()
    await load
    assert {(d["status"], d["possible_duplicate"]) for d in deliveries} == {("DELIVERED", False)}
