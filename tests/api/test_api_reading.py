"""Many read `GET /status` at once over HTTP: each is told its own, and what befalls one befalls nobody else."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import aiohttp
import pytest_asyncio
from seeding import accept, batch_of, sent, submission

from api.server import running_api
from api.status import DeliveryOut, StatusOut, StepOut
from domain.channels import EMAIL
from ledger.database import Database, execute
from ledger.keys import Role
from settings import Settings
from workers.embedded.ports import free_ports

# Who waits for a lock on notifications: readers, while a test holds it.
_WAITING = """
  FROM pg_locks WHERE NOT granted AND relation = CAST('notification' AS regclass)
   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@dataclass(frozen=True)
class Reader:
    """One tenant's way to the API."""

    url: str
    http: aiohttp.ClientSession
    key: str

    async def read(self, id: object, query: str = "") -> tuple[int, Any]:
        """Status and JSON."""
        headers = {"Authorization": f"Bearer {self.key}"}
        async with self.http.get(f"{self.url}/status/{id}{query}", headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def all(self, ids: Sequence[object]) -> list[tuple[int, Any]]:
        """All at once."""
        return await asyncio.gather(*map(self.read, ids))


@pytest_asyncio.fixture
async def readers(settings: Settings, key_of: Callable[..., Any]) -> AsyncIterator[tuple[Reader, Reader]]:
    """Of `acme` and of `other`, at one API."""
    keys = [await key_of(Role.READ, tenant) for tenant in ("acme", "other")]
    here = settings.model_copy(update={"port": free_ports(1)[0]})
    async with (
        running_api(here) as url,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=500)) as http,
    ):
        acme, other = (Reader(url, http, key) for key in keys)
        yield acme, other


async def test_an_idle_connection_is_not_closed_under_a_proxys_next_request(readers: tuple[Reader, Reader]) -> None:
    url = urlsplit(readers[0].url)
    reading, writing = await asyncio.open_connection(url.hostname, url.port)
    for pause in (6.0, 0.0):  # many servers close after 5 s
        writing.write(b"GET /livez HTTP/1.1\r\nHost: api\r\n\r\n")
        assert (await reading.readuntil(b'"ok"}')).startswith(b"HTTP/1.1 200")
        await asyncio.sleep(pause)
    writing.close()


async def waiting(db: Database) -> int:
    """Connections that wait to read."""
    return (await db.run(f"SELECT count(*) AS n {_WAITING}"))[0].n


async def test_two_tenants_who_read_at_once_see_each_only_their_own(
    db: Database, readers: tuple[Reader, Reader]
) -> None:
    acme, other = readers
    mine = [submission(recipients=(f"ann{n}",)) for n in range(40)]
    theirs = [submission(tenant="other", recipients=(f"bea{n}",)) for n in range(40)]
    await accept(db, *(one for pair in zip(mine, theirs, strict=True) for one in pair))
    ids = [one.id for one in (*mine, *theirs)]
    to_acme, to_other = await asyncio.gather(acme.all(ids * 3), other.all(ids * 3))
    assert [status for status, _ in to_acme] == ([200] * 40 + [404] * 40) * 3
    assert [status for status, _ in to_other] == ([404] * 40 + [200] * 40) * 3
    for name, answers, own in (("ann", to_acme[:40], mine), ("bea", to_other[40:80], theirs)):
        for n, ((_, told), one) in enumerate(zip(answers, own, strict=True)):
            assert told["notification_id"] == str(one.id)
            assert [each["recipient_id"] for each in told["deliveries"]] == [f"{name}{n}"]
    assert {told["detail"] for status, told in (*to_acme, *to_other) if status == 404} == {
        "There is no such notification."
    }


async def test_what_is_wrong_with_one_hurts_nobody_beside_it(db: Database, readers: tuple[Reader, Reader]) -> None:
    acme, _ = readers
    good = [submission(recipients=[f"r{m}" for m in range(n + 1)]) for n in range(20)]
    await accept(db, *good)
    bad = [(uuid4(), "", 404), ("x", "", 404), ("%00", "", 404)]
    bad += [(good[0].id, query, 422) for query in ("?cursor=x", "?expand=all", f"?cursor={'x' * 3000}")]
    asked = [call for one in good for call in ((one.id, "", 200), (one.id, "?expand=events", 200), *bad)]
    answers = await asyncio.gather(*(acme.read(id, query) for id, query, _ in asked))
    assert [status for status, _ in answers] == [status for _, _, status in asked]
    told = [answer["counts"]["QUEUED"] for status, answer in answers if status == 200]
    assert told == [n + 1 for n in range(20) for _ in range(2)]


async def test_however_many_read_a_tenant_takes_two_connections(db: Database, readers: tuple[Reader, Reader]) -> None:
    acme, other = readers
    mine, theirs = submission(), submission(tenant="other")
    await accept(db, mine, theirs)
    async with db.begin() as holder:
        await execute(holder, "LOCK TABLE notification IN ACCESS EXCLUSIVE MODE", {})
        asked = [asyncio.create_task(acme.all([mine.id, theirs.id] * 20))]
        for n in (1, 2):
            while await waiting(db) < n:
                await asyncio.sleep(0.02)
            asked.append(asyncio.create_task(acme.all([mine.id, theirs.id] * 20)))
        await asyncio.sleep(0.3)  # a third would come now
        assert await waiting(db) == 2
        beside = asyncio.create_task(other.all([mine.id, theirs.id] * 50))
        while await waiting(db) < 3:  # there is room for another tenant
            await asyncio.sleep(0.02)
    for answers in await asyncio.gather(*asked):
        assert [status for status, _ in answers] == [200, 404] * 20
    assert [status for status, _ in await beside] == [404, 200] * 50


async def test_what_does_not_open_is_told_of_that_one_alone(db: Database, readers: tuple[Reader, Reader]) -> None:
    acme, _ = readers
    spoiled, *good = (submission() for _ in range(10))
    await accept(db, spoiled, *good)
    await db.run(
        "UPDATE delivery SET recipient_id = 'sealed 7 AAAA' WHERE notification_id = :spoiled", spoiled=spoiled.id
    )
    answers = await acme.all([spoiled.id, *(one.id for one in good)] * 5)
    assert [status for status, _ in answers] == [503, *(200 for _ in good)] * 5


async def test_when_the_ledger_breaks_off_all_who_wait_are_told_and_later_ones_served(
    db: Database, readers: tuple[Reader, Reader]
) -> None:
    acme, _ = readers
    one = submission()
    await accept(db, one)
    assert (await acme.read(one.id))[0] == 200
    async with db.begin() as holder:
        await execute(holder, "LOCK TABLE notification IN ACCESS EXCLUSIVE MODE", {})
        asked = asyncio.create_task(acme.all([one.id] * 150))
        while not asked.done():
            await db.run(f"SELECT pg_terminate_backend(pid) {_WAITING}")
            await asyncio.sleep(0.02)
    assert {(status, told["code"]) for status, told in await asked} == {(503, "unavailable")}
    assert [status for status, _ in await acme.all([one.id] * 20)] == [200] * 20


async def test_an_answer_is_just_what_is_documented(db: Database, readers: tuple[Reader, Reader]) -> None:
    acme, _ = readers
    one = submission(channels=("email", "sms"))
    await sent(db, batch_of(await accept(db, one)), EMAIL)
    _, told = await acme.read(one.id, "?expand=events")
    StatusOut.model_validate(told)
    assert list(told) == list(StatusOut.model_fields)
    for delivery in told["deliveries"]:
        assert list(delivery) == list(DeliveryOut.model_fields)
        for step in delivery["events"]:
            assert list(step) == [field.alias or name for name, field in StepOut.model_fields.items()]
