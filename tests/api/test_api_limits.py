"""A tenant's limits at the door: what is refused costs nothing, a repeat too, and headers say how things stand."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest_asyncio
from api_side import client_of, door_of
from httpx2 import AsyncClient, Response
from redis.asyncio import Redis

from api.parts import Parts
from api.terms import Terms
from ledger import limits
from ledger.audit import By
from ledger.database import Database, execute
from ledger.keys import Role

ME = By("test")


class Caller:
    """Posts notifications as tenant acme."""

    def __init__(self, http: AsyncClient, db: Database, terms: Terms) -> None:
        self.http, self.db, self.terms = http, db, terms

    async def limit(self, **changes: Any) -> None:
        """Acme's own limits, obeyed from now on."""
        await limits.put(self.db, "acme", changes, ME)
        await self.terms.read()

    async def notify(self, key: str | None = None, **more: Any) -> Response:
        headers = {"Idempotency-Key": key} if key else {}
        return await self.http.post("/notify", json=body(**more), headers=headers)

    async def rows(self) -> int:
        return (await self.db.run("SELECT count(*) AS n FROM notification"))[0].n


def body(recipients: int = 1, channels: tuple[str, ...] = ("email",), **more: Any) -> dict[str, Any]:
    who = [{"email": f"user{n}@example.com", "phone": f"+1415555{n:04d}"} for n in range(recipients)]
    return {"channels": channels, "recipients": who, "message": "Hello", **more}


@pytest_asyncio.fixture
async def caller(db: Database, parts: Parts, key_of: Callable[..., Any], redis_url: str) -> AsyncIterator[Caller]:
    async with Redis.from_url(redis_url) as redis:
        await redis.flushdb()
    door = await door_of(parts)
    async with client_of(parts, key=await key_of(Role.SEND), app=door) as http:
        yield Caller(http, db, parts.terms)
    await parts.lanes.close()


async def test_headers_say_how_the_rate_stands(caller: Caller) -> None:
    await caller.limit(requests_per_second=0.01, burst=100, notifications_per_minute=9000, daily={"sms": 10})
    answer = await caller.notify()
    assert (
        answer.headers["RateLimit-Policy"]
        == '"requests";q=100;w=10000, "notifications";q=9000;w=60, "daily sms";q=10;w=86400'
    )
    left = int(answer.headers["RateLimit"].split("r=")[1].split(";")[0])
    assert 80 < left < 100
    again = await caller.notify()
    assert int(again.headers["RateLimit"].split("r=")[1].split(";")[0]) == left - 1


async def test_beyond_its_rate_a_tenant_is_told_when_to_come_back(caller: Caller) -> None:
    await caller.limit(requests_per_second=0.001, burst=30)
    answers = [await caller.notify() for _ in range(40)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(refused) >= 10 and await caller.rows() == 40 - len(refused)
    assert refused[0].json()["code"] == "rate_limited"
    assert 900 <= int(refused[0].headers["Retry-After"]) <= 1000
    assert refused[0].headers["RateLimit"].startswith('"requests";r=0;t=')


async def test_a_daily_quota_is_exact_for_a_crowd_and_for_each_channel(caller: Caller) -> None:
    await caller.limit(daily={"sms": 40})
    answers = await asyncio.gather(*(caller.notify(channels=("sms",), recipients=3) for _ in range(30)))
    assert sum(answer.status_code == 202 for answer in answers) == 13
    assert {answer.status_code for answer in answers} == {202, 429}
    assert (await caller.notify(channels=("sms", "email"))).status_code == 202
    refused = await caller.notify(channels=("email", "sms"))
    assert refused.status_code == 429 and refused.json()["detail"] == "The limit of daily sms is reached."
    assert (await caller.notify()).status_code == 202


async def test_what_is_refused_for_another_reason_costs_nothing(caller: Caller) -> None:
    await caller.limit(daily={"email": 2})
    for _ in range(3):
        wrong = await caller.http.post("/notify", json=body(message="x", recipients=0, recipient_ids=["nobody"]))
        assert wrong.json()["code"] == "unknown_recipient"
    assert [(await caller.notify()).status_code for _ in range(3)] == [202, 202, 429]


async def test_a_repeat_costs_nothing_and_is_answered_at_the_limit(caller: Caller) -> None:
    await caller.limit(daily={"email": 2})
    first = await caller.notify(key="k")
    for _ in range(3):
        assert (await caller.notify(key="k")).json() == first.json()
    assert [(await caller.notify()).status_code for _ in range(2)] == [202, 429]
    again = await caller.notify(key="k")
    assert (again.json(), again.headers["Idempotency-Replayed"]) == (first.json(), "true")
    assert (await caller.notify(key="k", message="other")).json()["code"] == "idempotency_key_reused"
    assert (await caller.notify(key="new")).status_code == 429


async def test_of_a_batch_the_first_that_fit_are_taken(caller: Caller) -> None:
    await caller.limit(daily={"email": 3})
    items = [body(2), {"channels": []}, body(2), body(1), body(1)]
    answer = await caller.http.post("/notify/batch", json=items)
    results = answer.json()["results"]
    assert [result["status"] for result in results] == [202, 422, 429, 202, 429]
    assert results[2]["code"] == "rate_limited" and results[2]["retry_after"] > 0
    assert await caller.rows() == 2


async def test_a_batch_beyond_the_rate_is_refused_whole_unless_all_of_it_is_known(caller: Caller) -> None:
    await caller.limit(requests_per_second=0.001, burst=25)
    known = [body() | {"idempotency_key": "a"}, body() | {"idempotency_key": "b"}]
    first = (await caller.http.post("/notify/batch", json=known)).json()["results"]
    while (await caller.notify()).status_code == 202:
        pass
    rows = await caller.rows()
    assert (await caller.http.post("/notify/batch", json=[*known, body()])).status_code == 429
    again = await caller.http.post("/notify/batch", json=known)
    assert again.status_code == 207
    assert [each["id"] for each in again.json()["results"]] == [each["id"] for each in first]
    assert all(each["replayed"] for each in again.json()["results"])
    assert await caller.rows() == rows


async def test_nobody_is_flooded(caller: Caller, redis_url: str) -> None:
    rules = [{"n": 2, "seconds": 3600, "channel": "sms", "priority": "high"}]
    await caller.limit(per_recipient=rules)
    otp = {"channels": ("sms",), "priority": "high"}
    assert [(await caller.notify(**otp)).status_code for _ in range(3)] == [202, 202, 429]
    assert (await caller.notify(channels=("sms",))).status_code == 202
    assert (await caller.notify(channels=("email",), priority="high")).status_code == 202
    other = {"channels": ["sms"], "recipient_ids": ["+14155559999"], "message": "x", "priority": "high"}
    assert (await caller.http.post("/notify", json=other)).status_code == 202
    async with Redis.from_url(redis_url, decode_responses=True) as redis:
        assert not [name async for name in redis.scan_iter("*") if "1415555" in name]


async def test_a_tenant_may_have_fewer_recipients_in_a_request(caller: Caller) -> None:
    await caller.limit(recipients_per_request=2, daily={"email": 2})
    assert (await caller.notify(recipients=3)).status_code == 422
    assert [each["status"] for each in (await caller.http.post("/notify/batch", json=[body(3)])).json()["results"]] == [
        422
    ]
    assert (await caller.notify(recipients=2)).status_code == 202


async def test_operators_change_limits_and_admins_see_their_own(
    parts: Parts, admin: AsyncClient, key_of: Callable[..., Any]
) -> None:
    async with client_of(parts, key=await key_of(Role.OPERATOR, None)) as operator:
        changed = await operator.put("/tenants/acme/limits", json={"burst": 7, "daily": {"sms": 9}})
        assert changed.json()["own"] == {"burst": 7, "daily": {"sms": 9}}
        assert changed.json()["limits"]["weight"] == 1
        for wrong in ({"burst": 0}, {"burst": "x"}, {"x": 1}, {"daily": {"fax": 1}}, {"daily": {"sms": -1}}, []):
            assert (await operator.put("/tenants/acme/limits", json=wrong)).status_code == 422, wrong
        assert (await operator.put("/tenants/nobody/limits", json={})).status_code == 404
        assert (await admin.get("/tenants/acme/limits")).json() == changed.json()
        assert (await admin.get("/tenants/other/limits")).json()["detail"] == "There is no such tenant."
        assert (await admin.put("/tenants/acme/limits", json={})).status_code == 403
        assert (await operator.get("/audit", params={"action": "tenant.limits"})).json()["data"][0]["tenant"] == "acme"


async def test_a_crowd_with_one_key_makes_one_notification(caller: Caller) -> None:
    answers = await asyncio.gather(*(caller.notify(key="same") for _ in range(40)))
    taken = [answer for answer in answers if answer.status_code == 202]
    assert len({answer.json()["id"] for answer in taken}) == 1
    assert sum("Idempotency-Replayed" not in answer.headers for answer in taken) == 1
    assert {answer.status_code for answer in answers} <= {202, 409}
    assert all(answer.headers["Retry-After"] == "1" for answer in answers if answer.status_code == 409)
    assert await caller.rows() == 1


async def test_a_key_another_process_is_taking_is_in_progress(caller: Caller, db: Database) -> None:
    async with db.begin() as other:
        values = {"id": "01890a5d-ac96-774b-bcce-b302099a8057"}
        await execute(
            other,
            "INSERT INTO idempotency_key (tenant_id, key, fingerprint, notification_id, expires_at)"
            " VALUES ('acme', 'held', '', CAST(:id AS uuid), now() + interval '1 h')",
            values,
        )
        answer = await caller.notify(key="held")
    assert (answer.status_code, answer.json()["code"], answer.headers["Retry-After"]) == (409, "in_progress", "1")
