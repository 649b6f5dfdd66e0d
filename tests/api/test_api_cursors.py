"""Cursors: good for the list, the tenant and the filters they were given out for, and for nothing else."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from api_side import client_of
from httpx2 import AsyncClient, Response
from seeding import accept, batch_of, dead, submission

from api.cursors import Cursors
from api.parts import Parts
from api.problems import Problem
from domain.channels import EMAIL
from ledger import tenants
from ledger.audit import By
from ledger.database import Database
from ledger.keys import Role
from ledger.tenants import Tenant

# Every list, with what a tenant's admin may ask; two things of each are put there by `filled`.
LISTS = ("/notifications", "/dead-letters", "/recipients", "/suppressions", "/audit")


def refused(answer: Response) -> bool:
    """A 422 for the cursor, and for nothing else."""
    return answer.status_code == 422 and [each["pointer"] for each in answer.json()["errors"]] == ["/query/cursor"]


async def filled(db: Database, client: AsyncClient, tenant: str = "acme") -> None:
    """Two or more of everything that is listed."""
    for name in ("ann", "bob"):
        await dead(db, batch_of(await accept(db, submission(tenant=tenant, recipients=(name,)))), EMAIL)
        assert (await client.put(f"/recipients/{name}", json={"email": f"{name}@example.com"})).status_code == 201
        assert (await client.put(f"/suppressions/email/{name}@example.com")).status_code == 201


async def cursor_of(client: AsyncClient, path: str, query: str = "") -> str:
    """Where the second page of one begins."""
    page = (await client.get(f"{path}?limit=1{query}")).json()["page"]
    assert page["has_more"], path
    return page["next"]


async def test_a_cursor_is_good_for_its_own_list_only(db: Database, admin: AsyncClient) -> None:
    await filled(db, admin)
    cursors = {path: await cursor_of(admin, path) for path in LISTS}
    for path in LISTS:
        for of, cursor in cursors.items():
            answer = await admin.get(path, params={"cursor": cursor, "limit": 2})
            assert answer.status_code == 200 if of == path else refused(answer), (of, path, answer.text)


async def test_a_cursor_is_good_for_its_own_tenant_only(
    db: Database, parts: Parts, admin: AsyncClient, key_of: Callable[..., Any]
) -> None:
    async with client_of(parts, key=await key_of(Role.ADMIN, "other")) as other:
        await filled(db, admin)
        await filled(db, other, "other")
        for path in LISTS:
            assert refused(await other.get(path, params={"cursor": await cursor_of(admin, path)})), path


async def test_a_cursor_is_good_for_its_own_filters_only(db: Database, admin: AsyncClient) -> None:
    await filled(db, admin)
    for path, query in (("/notifications", "&channel=email"), ("/dead-letters", "&channel=email")):
        plain, filtered = await cursor_of(admin, path), await cursor_of(admin, path, query)
        assert refused(await admin.get(f"{path}?cursor={filtered}"))
        assert refused(await admin.get(f"{path}?cursor={plain}{query}"))
        assert (await admin.get(f"{path}?cursor={filtered}{query}")).status_code == 200


async def test_a_cursor_of_one_notification_is_none_of_another(db: Database, admin: AsyncClient) -> None:
    many = [submission(recipients=[f"p{n}" for n in range(101)]) for _ in range(2)]
    await accept(db, *many)
    cursor = (await admin.get(f"/status/{many[0].id}")).json()["page"]["next"]
    assert (await admin.get(f"/status/{many[0].id}?cursor={cursor}")).status_code == 200
    assert refused(await admin.get(f"/status/{many[1].id}?cursor={cursor}"))


async def test_operators_lists_sign_theirs_too(db: Database, parts: Parts, key_of: Callable[..., Any]) -> None:
    async with client_of(parts, key=await key_of(Role.OPERATOR, None)) as operator:
        await tenants.create(db, Tenant("third", "third"), By("test"))
        cursor = await cursor_of(operator, "/tenants")
        assert [each["id"] for each in (await operator.get(f"/tenants?cursor={cursor}")).json()["data"]] == [
            "other",
            "third",
        ]
        for forged in ("acme", quote("\x00"), cursor[:-1]):
            assert refused(await operator.get(f"/tenants?cursor={forged}")), forged


async def test_every_changed_bit_is_noticed(db: Database, admin: AsyncClient) -> None:
    await filled(db, admin)
    cursor = await cursor_of(admin, "/recipients")
    signed = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    for place in range(len(signed)):
        bent = bytearray(signed)
        bent[place] ^= 1
        assert refused(await admin.get("/recipients", params={"cursor": urlsafe_b64encode(bytes(bent)).decode()}))


async def test_another_secret_or_another_way_of_writing_places_is_refused() -> None:
    mine = Cursors(b"mine", "things", "acme", {"channel": None})
    assert mine.place(mine.to("ä|,7"), str) == "ä|,7"
    assert mine.place(None, str) is None
    assert Cursors(b"mine", "things", "acme", {"limit": 3, "cursor": "x"}).place(mine.to(7), int) == 7
    for reader, read in ((Cursors(b"other", "things", "acme", {}), str), (mine, int), (mine, lambda one, two: one)):
        with pytest.raises(Problem):
            reader.place(mine.to("x"), read)


async def test_lists_stay_whole_while_more_comes_in(db: Database, admin: AsyncClient) -> None:
    """Neither twice nor left out: what was there at the first page is all there, whatever is added between pages."""
    await filled(db, admin)
    for path, name in (("/notifications", "notification_id"), ("/dead-letters", "delivery_id"), ("/audit", "id")):
        there = [each[name] for each in (await admin.get(path)).json()["data"]]
        seen: list[Any] = []
        cursor: str | None = ""
        while cursor is not None:
            page = (await admin.get(path, params={"limit": 1, **({"cursor": cursor} if cursor else {})})).json()
            seen += [each[name] for each in page["data"]]
            cursor = page["page"]["next"]
            await dead(db, batch_of(await accept(db, submission())), EMAIL)
            await admin.put(f"/suppressions/email/{len(seen)}@example.net")
        assert seen == there, path
