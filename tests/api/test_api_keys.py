"""Keys and tenants over HTTP: made, rotated, revoked, suspended; each within its tenant, and each act in the log."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from api_side import client_of
from httpx2 import AsyncClient
from sqlalchemy.exc import DBAPIError

from api.parts import Parts
from ledger import audit
from ledger.database import Database
from ledger.keys import Role

KeyOf = Callable[..., Any]


@pytest_asyncio.fixture
async def operator(parts: Parts, key_of: KeyOf) -> AsyncIterator[AsyncClient]:
    """Who runs the service."""
    async with client_of(parts, key=await key_of(Role.OPERATOR, None)) as client:
        yield client


async def status_with(parts: Parts, key: str, method: str = "GET", path: str = "/notifications") -> int:
    async with client_of(parts, key=key) as client:
        return (await client.request(method, path)).status_code


async def until(parts: Parts, key: str, status: int, method: str = "GET", path: str = "/notifications") -> None:
    """For whoever asks after the two seconds that are promised, however long the answer takes."""
    end = time.monotonic() + 2
    began = time.monotonic()
    while await status_with(parts, key, method, path) != status:
        assert began < end
        await asyncio.sleep(0.05)
        began = time.monotonic()


async def test_an_admin_makes_keys_of_its_own_tenant_only(parts: Parts, admin: AsyncClient) -> None:
    made = (await admin.post("/keys", json={"role": "read", "name": "dashboard"})).json()
    assert (made["tenant"], made["role"], made["name"]) == ("acme", "read", "dashboard")
    assert await status_with(parts, made["key"]) == 200
    for wrong in (
        {"role": "operator"},
        {"role": "read", "tenant": "other"},
        {"role": "boss"},
        {"role": "read", "x": 1},
    ):
        assert (await admin.post("/keys", json=wrong)).status_code == 422
    shown = (await admin.get("/keys")).text
    assert made["prefix"] in shown and made["key"] not in shown


async def test_a_rotated_key_works_until_its_overlap_is_over(parts: Parts, admin: AsyncClient, key_of: KeyOf) -> None:
    old = await key_of(Role.READ)
    new = await admin.post(f"/keys/{old[:16]}/rotate", json={"overlap_seconds": 3600})
    assert new.status_code == 201
    assert [await status_with(parts, key) for key in (old, new.json()["key"])] == [200, 200]
    again = (await admin.post(f"/keys/{new.json()['prefix']}/rotate", json={"overlap_seconds": 0})).json()
    await until(parts, new.json()["key"], 401)
    assert await status_with(parts, again["key"]) == 200
    assert again["role"] == "read"
    for wrong in (-1, 10**12, "long"):
        answer = await admin.post(f"/keys/{again['prefix']}/rotate", json={"overlap_seconds": wrong})
        assert answer.status_code == 422


async def test_a_shorter_end_is_not_put_off_by_a_rotation(db: Database, admin: AsyncClient, key_of: KeyOf) -> None:
    old = await key_of(Role.READ)
    for overlap in (60, 3600):
        assert (await admin.post(f"/keys/{old[:16]}/rotate", json={"overlap_seconds": overlap})).status_code == 201
    (row,) = await db.run(
        "SELECT expires_at < now() + interval '61 s' AS soon FROM api_key WHERE prefix = :p", p=old[4:16]
    )
    assert row.soon


async def test_a_revoked_key_is_worthless_within_two_seconds(parts: Parts, admin: AsyncClient, key_of: KeyOf) -> None:
    key = await key_of(Role.READ)
    assert await status_with(parts, key) == 200
    assert (await admin.delete(f"/keys/{key[:16]}")).status_code == 204
    await until(parts, key, 401)
    assert (await admin.delete(f"/keys/{key[:16]}")).status_code == 404


async def test_keys_of_others_are_not_there(parts: Parts, admin: AsyncClient, key_of: KeyOf) -> None:
    theirs = await key_of(Role.READ, "other")
    for path in (theirs[:16], "clr_aaaaaaaaaaaa", "%00", "x"):
        revoked, rotated = await admin.delete(f"/keys/{path}"), await admin.post(f"/keys/{path}/rotate")
        assert {revoked.status_code, rotated.status_code} == {404}
    assert theirs[:16] not in (await admin.get("/keys", params={"tenant": "other"})).text
    assert await status_with(parts, theirs) == 200


async def test_an_operator_sees_and_makes_keys_of_all(operator: AsyncClient, key_of: KeyOf) -> None:
    theirs = await key_of(Role.READ, "other")
    found = (await operator.get("/keys", params={"tenant": "other"})).json()["data"]
    assert [key["prefix"] for key in found] == [theirs[:16]]
    assert (await operator.post("/keys", json={"role": "send", "tenant": "other"})).status_code == 201
    assert (await operator.post("/keys", json={"role": "send"})).status_code == 422
    assert (await operator.post("/keys", json={"role": "send", "tenant": "nobody"})).status_code == 422


@pytest.mark.parametrize("role", [Role.SEND, Role.READ])
async def test_only_admins_keep_keys_and_only_operators_tenants(parts: Parts, key_of: KeyOf, role: Role) -> None:
    key = await key_of(role)
    for method, path in (("GET", "/keys"), ("GET", "/audit"), ("GET", "/tenants"), ("POST", "/tenants/acme/resume")):
        assert await status_with(parts, key, method, path) == 403
    assert await status_with(parts, await key_of(Role.ADMIN), "GET", "/tenants") == 403


async def test_a_suspended_tenant_may_read_but_not_change(parts: Parts, operator: AsyncClient, key_of: KeyOf) -> None:
    key, reader = await key_of(Role.ADMIN), await key_of(Role.READ)
    assert await status_with(parts, key, "DELETE", "/recipients/x") == 404
    suspended = await operator.post("/tenants/acme/suspend", json={"reason": "unpaid"})
    assert suspended.json()["suspended_reason"] == "unpaid"
    await until(parts, key, 403, "DELETE", "/recipients/x")
    async with client_of(parts, key=key) as client:
        assert (await client.delete("/recipients/x")).json()["code"] == "tenant_suspended"
        for path in ("/dead-letters", "/keys", "/audit", "/tenants/acme/limits"):
            assert (await client.get(path)).status_code == 200, path
        assert (await client.post("/keys", json={"role": "read"})).status_code == 403
        assert (await client.delete(f"/keys/{(await key_of(Role.SEND))[:16]}")).status_code == 204
    assert await status_with(parts, reader) == 200
    assert (await operator.post("/tenants/acme/resume")).json()["suspended_at"] is None
    await until(parts, key, 404, "DELETE", "/recipients/x")


async def test_tenants_are_made_changed_and_listed(operator: AsyncClient) -> None:
    made = await operator.post("/tenants", json={"id": "new", "email_from": "Hi@EXAMPLE.com", "sms_from": "New"})
    assert (made.status_code, made.json()["email_from"]) == (201, "Hi@example.com")
    assert (await operator.post("/tenants", json={"id": "new"})).json()["code"] == "tenant_exists"
    changed = (await operator.patch("/tenants/new", json={"sms_from": None, "name": "New Inc."})).json()
    assert (changed["sms_from"], changed["name"], changed["email_from"]) == (None, "New Inc.", "Hi@example.com")
    for wrong in ({"name": None}, {"name": " "}, {"email_from": "nobody"}, {"id": "x"}):
        assert (await operator.patch("/tenants/new", json=wrong)).status_code == 422
    for path in ("/tenants/nobody", "/tenants/%00"):
        assert (await operator.get(path)).status_code == 404
    first = (await operator.get("/tenants", params={"limit": 2})).json()
    kept = await operator.patch("/tenants/acme", json={"keep_text": True})
    assert (kept.status_code, kept.json()["keep_text"]) == (200, True)
    assert (await operator.patch("/tenants/acme", json={"keep_text": None})).status_code == 422
    rest = (await operator.get("/tenants", params={"limit": 2, "cursor": first["page"]["next"]})).json()
    assert [each["id"] for each in first["data"] + rest["data"]] == ["acme", "new", "other"]
    assert not rest["page"]["has_more"]


async def test_uses_are_noted_to_the_minute(parts: Parts, db: Database, key_of: KeyOf) -> None:
    key = await key_of(Role.READ)
    await status_with(parts, key)
    await parts.auth.note_uses()
    (row,) = await db.run(
        "SELECT last_used_at > now() - interval '2 min' AS lately FROM api_key WHERE prefix = :p", p=key[4:16]
    )
    assert row.lately


async def test_every_act_is_in_the_log_of_its_tenant(operator: AsyncClient, admin: AsyncClient, key_of: KeyOf) -> None:
    key = await key_of(Role.READ)
    revoked = await admin.delete(f"/keys/{key[:16]}")
    await operator.post("/tenants/other/suspend", json={"reason": "unpaid"})
    mine = (await admin.get("/audit", params={"limit": 1})).json()
    (act,) = mine["data"]
    assert (act["action"], act["subject"], act["tenant"]) == ("key.revoke", key[:16], "acme")
    assert act["request_id"] == revoked.headers["X-Request-Id"]
    assert mine["page"]["has_more"]
    before = (await admin.get("/audit", params={"cursor": mine["page"]["next"], "tenant": "other"})).json()["data"]
    assert before and {each["tenant"] for each in before} == {"acme"}
    found = (await operator.get("/audit", params={"tenant": "other", "action": "tenant.suspend"})).json()["data"]
    assert [each["detail"] for each in found] == [{"reason": "unpaid"}]
    for cursor in ("x", "-1", "9" * 30, "१"):
        assert (await admin.get("/audit", params={"cursor": cursor})).status_code == 422


@pytest.mark.parametrize("statement", ["UPDATE audit SET actor = 'me'", "DELETE FROM audit", "TRUNCATE audit"])
async def test_what_is_in_the_log_stays_there(db: Database, key_of: KeyOf, statement: str) -> None:
    await key_of(Role.READ)
    with pytest.raises(DBAPIError, match="stays there"):
        await db.run(statement)
    assert await audit.listed(db, 10)


async def test_an_act_that_fails_leaves_no_line(db: Database, operator: AsyncClient, key_of: KeyOf) -> None:
    before = len(await audit.listed(db, 100))
    assert (await operator.post("/tenants", json={"id": "acme"})).status_code == 409
    assert (await operator.post("/keys", json={"role": "read", "tenant": "nobody"})).status_code == 422
    assert (await operator.delete("/keys/clr_aaaaaaaaaaaa")).status_code == 404
    assert len(await audit.listed(db, 100)) == before
