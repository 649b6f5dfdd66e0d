"""The door when too much waits: low priority is sent away first, with a time; a repeat still gets its answer."""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from api_side import client_of, door_of
from httpx2 import AsyncClient, Response
from redis.asyncio import Redis
from seeding import CHANNELS

from api.backlog import Backlog
from api.parts import Parts
from api.room import Room
from ledger.database import Database, LedgerUnavailable
from ledger.grouping import Full
from ledger.keys import Role
from observe.process import beside

LIMIT = 3


class Caller:
    """Posts notifications to a door that nobody sends for."""

    def __init__(self, http: AsyncClient, backlog: Backlog) -> None:
        self.http, self.backlog = http, backlog

    async def notify(self, priority: str, recipients: int = 1, key: str | None = None, **more: Any) -> Response:
        headers = {"Idempotency-Key": key} if key else {}
        return await self.http.post("/notify", json=body(priority, recipients, **more), headers=headers)

    async def fill(self, priority: str, **more: Any) -> None:
        """As much as is too much, as the ledger tells it."""
        assert (await self.notify(priority, LIMIT + 1, **more)).status_code == 202
        await self.backlog.read()


def body(priority: str, recipients: int = 1, **more: Any) -> Mapping[str, Any]:
    who = [f"user{n}@example.com" for n in range(recipients)]
    return {"channels": ["email"], "recipient_ids": who, "message": "Hello", "priority": priority, **more}


@pytest_asyncio.fixture
async def caller(db: Database, parts: Parts, key_of: Any) -> AsyncIterator[Caller]:
    backlog = Backlog(db, CHANNELS, limit=LIMIT)
    async with client_of(parts, key=await key_of(Role.SEND), app=await door_of(parts, backlog)) as http:
        yield Caller(http, backlog)
    await parts.lanes.close()


@pytest.mark.parametrize(
    ("full_of", "refused"),
    [("low", {"low"}), ("normal", {"low", "normal"}), ("high", {"low", "normal", "high"})],
)
async def test_a_priority_is_refused_for_itself_and_those_before_it(
    caller: Caller, full_of: str, refused: set[str]
) -> None:
    await caller.fill(full_of)
    answers = {priority: await caller.notify(priority) for priority in ("low", "normal", "high")}
    assert {priority for priority, answer in answers.items() if answer.status_code == 503} == refused
    for priority in refused:
        assert answers[priority].json()["code"] == "overloaded"
        assert 1 <= int(answers[priority].headers["Retry-After"]) <= 30


async def test_a_channel_that_is_stuck_closes_the_door_to_itself_alone(caller: Caller) -> None:
    await caller.fill("high")
    sms = {"channels": ["sms"], "recipient_ids": ["+14155550100"]}
    assert (await caller.notify("low", **sms)).status_code == 202
    assert (await caller.notify("high", channels=["email", "sms"])).status_code == 503


async def test_what_this_process_accepts_counts_before_the_ledger_is_asked_again(caller: Caller) -> None:
    answers = [(await caller.notify("low")).status_code for _ in range(LIMIT + 2)]
    assert answers == [202] * (LIMIT + 1) + [503]


async def test_a_refusal_asks_nothing_of_redis_but_for_what_may_be_a_repeat(caller: Caller, redis_url: str) -> None:
    await caller.fill("high")
    async with Redis.from_url(redis_url) as redis:
        await redis.flushdb()
        assert [(await caller.notify("low")).status_code for _ in range(5)] == [503] * 5
        assert await redis.dbsize() == 0
        assert (await caller.notify("low", key="new")).status_code == 503
        assert await redis.dbsize() > 0


async def test_a_repeat_of_what_was_accepted_gets_its_answer(caller: Caller) -> None:
    first = await caller.notify("low", key="k")
    await caller.fill("high")
    again = await caller.notify("low", key="k")
    assert (again.status_code, again.json()) == (202, first.json())
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (await caller.notify("low", 2, key="k")).json()["code"] == "idempotency_key_reused"
    assert (await caller.notify("low", key="new")).json()["code"] == "overloaded"


async def test_in_a_batch_each_item_has_its_own_answer(caller: Caller) -> None:
    await caller.fill("normal")
    items = [body("low"), body("high"), body("normal")]
    low, high, normal = (await caller.http.post("/notify/batch", json=items)).json()["results"]
    assert (low["status"], high["status"], normal["status"]) == (503, 202, 503)
    assert low["code"] == "overloaded"
    assert 1 <= low["retry_after"] <= 30


async def test_what_is_scheduled_is_let_in(caller: Caller) -> None:
    await caller.fill("high")
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    assert (await caller.notify("low", send_at=later)).status_code == 202


async def test_the_door_opens_again_and_says_when_by_the_pace_of_what_leaves(db: Database, caller: Caller) -> None:
    await caller.fill("low")
    assert (await caller.notify("low")).headers["Retry-After"] == "30", "nothing has left yet: nobody knows"
    await caller.notify("high", 500)
    await caller.backlog.read()
    await db.run("UPDATE batch_channel SET tally = '{\"looked\": 1}' WHERE priority = 'high'")
    await caller.backlog.read()
    assert (await caller.notify("low")).headers["Retry-After"] == "1", "five hundred left at once, one is too many"
    await db.run("UPDATE batch_channel SET tally = '{\"looked\": 1}'")
    await caller.backlog.read()
    assert (await caller.notify("low")).status_code == 202


async def test_the_watch_reads_by_itself_and_outlives_a_ledger_that_is_away(db: Database, caller: Caller) -> None:
    away = Backlog(Database("postgresql://postgres@127.0.0.1:1/nothing"), CHANNELS, limit=LIMIT)
    with pytest.raises(LedgerUnavailable):
        await away.read()
    async with beside(away.watch(), caller.backlog.watch()):
        await caller.fill("low")
    assert (await caller.notify("low")).status_code == 503


async def test_bodies_share_a_room_and_give_it_back() -> None:
    async def receive() -> Mapping[str, Any]:
        return {"type": "http.request", "body": b"x" * 60}

    room = Room(100)
    with room.shared(receive) as one:
        await one()
        with room.shared(receive) as other, pytest.raises(Full):
            await other()
    with room.shared(receive) as one:
        await one()


async def test_a_tenant_that_fills_the_channel_closes_it_to_itself_alone(
    caller: Caller, db: Database, parts: Parts, key_of: Any
) -> None:
    assert (await caller.notify("normal", 8)).status_code == 202
    caller.backlog._limit = 8
    await caller.backlog.read()
    assert (await caller.notify("normal", 1)).status_code == 202
    await caller.backlog.read()
    assert (await caller.notify("normal")).status_code == 503
    async with client_of(
        parts, key=await key_of(Role.SEND, "other"), app=await door_of(parts, caller.backlog)
    ) as other:
        assert (await other.post("/notify", json=body("normal"))).status_code == 202
