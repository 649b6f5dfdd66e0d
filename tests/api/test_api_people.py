"""Many people at a time, and addresses that get nothing more, over HTTP."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from api_side import client_of
from httpx2 import AsyncClient

from api.parts import Parts
from ledger.keys import Role


async def test_a_bulk_tells_of_each_in_order(admin: AsyncClient) -> None:
    people: list[Any] = [
        {"id": "a/b", "email": "ann@EXAMPLE.com"},
        {"id": "x", "email": "nobody"},
        7,
        {"email": "no-id@example.com"},
        {"id": "y", "fax": "1"},
        {"id": "a/b", "phone": "+14155550100"},
    ]
    answer = await admin.post("/recipients/bulk", json=people)
    assert answer.status_code == 207
    results = answer.json()["results"]
    assert [each["status"] for each in results] == [201, 422, 422, 422, 422, 201]
    assert [[e["pointer"] for e in each["errors"]] for each in results] == [[], ["/email"], [""], ["/id"], ["/fax"], []]
    found = (await admin.get("/recipients/a%2Fb")).json()
    assert found["phone"] == "+14155550100" and "email" not in found
    again = await admin.post("/recipients/bulk", json=people[:1])
    assert [each["status"] for each in again.json()["results"]] == [200]


@pytest.mark.parametrize("body", [[], [{"id": "a"}] * 1001, {"id": "a"}, "x"])
async def test_what_is_no_bulk_is_refused(admin: AsyncClient, body: Any) -> None:
    assert (await admin.post("/recipients/bulk", json=body)).status_code == 422


async def test_a_dry_run_stores_nothing(admin: AsyncClient) -> None:
    answer = await admin.post("/recipients/bulk?dry_run=true", json=[{"id": "a"}, {"id": "b", "phone": "1"}])
    assert [each["status"] for each in answer.json()["results"]] == [200, 422]
    assert (await admin.get("/recipients/a")).status_code == 404


async def test_bulks_at_once_in_other_orders(admin: AsyncClient) -> None:
    people = [{"id": f"p{n}", "email": f"p{n}@example.com"} for n in range(200)]
    answers = await asyncio.gather(
        *(admin.post("/recipients/bulk", json=people[:: 1 if n % 2 else -1]) for n in range(8))
    )
    assert all(answer.status_code == 207 for answer in answers)
    assert all(each["status"] in (200, 201) for answer in answers for each in answer.json()["results"])


async def test_people_are_listed_by_prefix_in_pages(admin: AsyncClient) -> None:
    ids = ["B", "a", "aa", "ab/c", "aé", "b"]
    await admin.post("/recipients/bulk", json=[{"id": id} for id in ids])
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        query = f"&cursor={cursor}" if cursor else ""
        page = (await admin.get(f"/recipients?prefix=a&limit=2{query}")).json()
        found += [each["id"] for each in page["data"]]
        cursor = page["page"]["next"]
    assert found == ["a", "aa", "ab/c", "aé"]
    assert (await admin.get("/recipients?cursor=_w")).status_code == 422


async def test_an_address_is_suppressed_shown_and_lifted(
    admin: AsyncClient, parts: Parts, key_of: Callable[..., Any]
) -> None:
    path = "/suppressions/email/ann%40EXAMPLE.com"
    assert (await admin.get(path)).status_code == 404
    made = await admin.put(path, json={"reason": "unsubscribe"})
    assert made.status_code == 201 and made.json()["hint"] == "a***@example.com"
    assert (await admin.put(path)).status_code == 200
    assert (await admin.get(path)).json() == made.json()
    for query, n in (("", 1), ("?channel=email&reason=unsubscribe", 1), ("?channel=sms", 0), ("?reason=manual", 0)):
        assert len((await admin.get(f"/suppressions{query}")).json()["data"]) == n
    async with client_of(parts, key=await key_of(Role.SEND)) as sender:
        assert (await sender.delete(path)).status_code == 403
    async with client_of(parts, key=await key_of(Role.ADMIN, "other")) as stranger:
        assert (await stranger.get(path)).status_code == 404
        assert (await stranger.delete(path)).status_code == 404
    assert (await admin.delete(path)).status_code == 204
    assert (await admin.delete(path)).status_code == 404


async def test_suppressions_in_pages(admin: AsyncClient) -> None:
    for n in range(5):
        await admin.put(f"/suppressions/email/p{n}@example.com")
    page = (await admin.get("/suppressions?limit=3")).json()
    rest = (await admin.get(f"/suppressions?limit=3&cursor={page['page']['next']}")).json()
    assert len(page["data"]) == 3 and len(rest["data"]) == 2 and not rest["page"]["has_more"]
    assert (await admin.get("/suppressions?cursor=x")).status_code == 422


@pytest.mark.parametrize(
    ("path", "status"), [("fax/1", 404), ("email/nobody", 422), ("sms/1", 422), ("email/a%00b", 422)]
)
async def test_what_cannot_be_suppressed(admin: AsyncClient, path: str, status: int) -> None:
    assert (await admin.put(f"/suppressions/{path}")).status_code == status
