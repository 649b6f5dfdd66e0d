"""The API while Redis is killed and comes back: what a tenant is answered, what it costs, and that nothing is lost."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path
from typing import Any

import pytest_asyncio
from api_side import client_of, door_of, parts_with
from httpx2 import AsyncClient, Response
from killable import Valkey, own_valkey
from prometheus_client import REGISTRY

from api.parts import Parts
from ledger import limits
from ledger.audit import By
from ledger.database import Database
from ledger.keys import Role
from settings import Settings

ME = By("test")
QUOTA = 10
BODY = {"channels": ["email"], "recipient_ids": ["ann@example.com"], "message": "Hello"}


class Doors:
    """Two API processes, as far as limits go, and callers of two tenants at each."""

    def __init__(self, server: Valkey, db: Database, parts: Parts, callers: dict[str, list[AsyncClient]]) -> None:
        self.server, self.db, self.parts, self._callers = server, db, parts, callers
        self._keys = count()

    async def limit(self, tenant: str, **changes: Any) -> None:
        await limits.put(self.db, tenant, changes, ME)
        await self.parts.terms.read()

    async def notify(self, tenant: str, door: int = 0, key: str | None = None) -> Response:
        headers = {"Idempotency-Key": key or f"k{next(self._keys)}"}
        return await self._callers[tenant][door].post("/notify", json=BODY, headers=headers)

    async def batch(self, tenant: str, *keys: str) -> Response:
        items = [BODY | {"idempotency_key": key} for key in keys]
        return await self._callers[tenant][0].post("/notify/batch", json=items)

    async def many(self, tenant: str, n: int) -> list[int]:
        """So many, at both doors in turn."""
        return [(await self.notify(tenant, each % 2)).status_code for each in range(n)]

    async def accepted(self) -> set[str]:
        return {str(row.id) for row in await self.db.run("SELECT id FROM notification")}

    async def until_shared(self) -> None:
        """Both doors hear Redis again. The closed tenant tells, and pays for it: it has no quota yet."""
        for door in range(2):
            while (await self.notify("other", door)).status_code == 503:
                await asyncio.sleep(0.05)


@pytest_asyncio.fixture
async def doors(db: Database, settings: Settings, key_of: Callable[..., Any], tmp_path: Path) -> AsyncIterator[Doors]:
    async with own_valkey(tmp_path) as server, AsyncExitStack() as stack:
        parts = await parts_with(settings.model_copy(update={"redis_url": server.url}))
        both = [await door_of(parts) for _ in range(2)]
        callers = {
            tenant: [
                await stack.enter_async_context(client_of(parts, key=await key_of(Role.SEND, tenant), app=door))
                for door in both
            ]
            for tenant in ("acme", "other")
        }
        doors = Doors(server, db, parts, callers)
        await doors.limit("other", without_redis="closed")
        yield doors
        await parts.lanes.close()


def codes(answers: Sequence[Response]) -> set[int]:
    return {answer.status_code for answer in answers}


async def heard(answers: Mapping[str, Sequence[Response]], code: int, *tenants: str) -> None:
    """All of these have: a slow machine answers late."""
    async with asyncio.timeout(60):
        while not all(code in codes(answers[tenant]) for tenant in tenants):
            await asyncio.sleep(0.02)


async def test_what_was_accepted_while_redis_died_is_there_and_nothing_else(doors: Doors) -> None:
    answers: dict[str, list[Response]] = {"acme": [], "other": []}

    async def post(tenant: str, door: int, stop: asyncio.Event) -> None:
        while not stop.is_set():
            answers[tenant].append(await doors.notify(tenant, door))

    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for tenant in answers:
            for n in range(4):
                tasks.create_task(post(tenant, n % 2, stop))
        await asyncio.sleep(0.1)
        await heard(answers, 202, "acme", "other")
        doors.server.kill()
        await asyncio.sleep(0.2)
        await heard(answers, 503, "other")
        await doors.server.start()
        await doors.until_shared()
        stop.set()
    assert codes(answers["acme"]) == {202}
    assert codes(answers["other"]) == {202, 503}
    told = {answer.json()["id"] for each in answers.values() for answer in each if answer.status_code == 202}
    extra = await doors.accepted() - told
    assert told <= await doors.accepted() and len(extra) == 2, "the two by which it was found that Redis is back"


async def test_limits_are_shares_while_redis_is_away_and_whole_when_it_is_back(doors: Doors) -> None:
    await doors.limit("acme", daily={"email": QUOTA})
    first = await doors.notify("other", key="known")
    assert (await doors.batch("other", "item")).status_code == 207
    assert await doors.many("acme", QUOTA + 2) == [202] * QUOTA + [429] * 2
    doors.server.kill()

    closed = await doors.notify("other")
    assert (closed.status_code, closed.json()["code"], closed.headers["Retry-After"]) == (503, "unavailable", "1")
    again = await doors.notify("other", key="known")
    assert (again.json(), again.headers["Idempotency-Replayed"]) == (first.json(), "true")
    assert [(await doors.batch("other", *keys)).status_code for keys in (["item"], ["item", "new"])] == [207, 503]
    assert await doors.many("acme", QUOTA + 4) == [202] * QUOTA + [429] * 4, "each door has its half"
    assert REGISTRY.get_sample_value("clarion_limits_alone") == 1
    assert len(await doors.accepted()) == 2 + 2 * QUOTA

    await doors.server.start()
    await doors.until_shared()
    assert REGISTRY.get_sample_value("clarion_limits_alone") == 0
    for tenant in ("acme", "other"):
        await doors.limit(tenant, daily={"email": QUOTA}, without_redis="closed")
        at_one = [(await doors.notify(tenant, 0)).status_code for _ in range(QUOTA - 1)]
        assert at_one == [202] * (QUOTA - 1), "more than a share: the limit is one again, and a 503 has cost nothing"
        assert sorted(await doors.many(tenant, 4)) == [202, 429, 429, 429]
