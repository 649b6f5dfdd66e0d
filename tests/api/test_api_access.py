"""Who may do what: every route decides, keys open what their role says, and no more."""

import asyncio
import time
from collections.abc import Callable

import pytest
from api_side import client_of, door_of, parts_with
from fastapi.routing import iter_route_contexts
from httpx2 import AsyncClient

from api.access import PUBLIC, SIGNED, decision
from api.app import create_app
from api.auth import MAY_READ, MAY_SEND, Auth
from api.parts import Parts
from api.problems import Problem
from api.raw_routes import RAW_ROUTES
from ledger import keys
from ledger.audit import By
from ledger.database import Database
from ledger.keys import Role
from ledger.tenants import ensure_dev
from settings import Settings

STATUS = "GET /status/01890a5d-ac96-774b-bcce-b302099a8057"


def test_every_route_decides_who_may(parts: Parts) -> None:
    routes = list(iter_route_contexts(create_app(parts).routes))
    assert len(routes) > 15
    undecided = [route.path for route in routes if decision(route) is None and route.path not in PUBLIC]
    assert not undecided
    assert not [route.path for route in routes if decision(route) is not None and route.path in PUBLIC]
    assert {route.path for route in routes} >= PUBLIC
    assert all(route.may == SIGNED or route.may for route in RAW_ROUTES)


async def test_every_documented_path_keeps_strangers_out(parts: Parts) -> None:
    app = create_app(parts)
    raw = {(route.path, route.method) for route in RAW_ROUTES}
    async with client_of(parts, app=app, host="127.0.0.1") as client:
        for path, operations in app.openapi()["paths"].items():
            for method in operations:
                if path not in PUBLIC and (path, method.upper()) not in raw:
                    assert (await client.request(method.upper(), path)).status_code == 401, (method, path)


async def test_without_a_key_nobody_is_let_in(parts: Parts) -> None:
    async with client_of(parts, host="127.0.0.1") as client:
        for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": "Basic eDp5"}, {"Authorization": ""}):
            answer = await client.get("/notifications", headers=headers)
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
            assert answer.json()["code"] == "unauthenticated"


@pytest.mark.parametrize(
    ("role", "tenant", "may", "may_not"),
    [
        (
            Role.READ,
            "acme",
            ["GET /notifications", "GET /dead-letters", STATUS],
            ["DELETE /recipients/x", "POST /dead-letters/retry"],
        ),
        (Role.SEND, "acme", ["DELETE /recipients/x"], ["GET /notifications", "GET /dead-letters", STATUS]),
        (Role.ADMIN, "acme", ["GET /notifications", "DELETE /recipients/x", "GET /dead-letters", STATUS], []),
        (
            Role.OPERATOR,
            None,
            ["GET /dead-letters"],
            ["GET /notifications", "DELETE /recipients/x", "GET /metrics", STATUS],
        ),
    ],
)
async def test_a_role_opens_its_own_doors(
    parts: Parts, key_of: Callable[..., object], role: Role, tenant: str | None, may: list[str], may_not: list[str]
) -> None:
    async with client_of(parts, key=await key_of(role, tenant), app=await door_of(parts)) as client:
        for call in may:
            assert (await _call(client, call)).status_code in (200, 404), call
        for call in may_not:
            answer = await _call(client, call)
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), call


async def _call(client: AsyncClient, call: str) -> object:
    method, path = call.split()
    return await client.request(method, path, json={} if method == "POST" else None)


async def test_in_development_a_loopback_call_is_the_dev_tenant(db: Database, settings: Settings) -> None:
    await ensure_dev(db)
    parts = await parts_with(settings.model_copy(update={"dev": True}))
    for host, status in (("127.0.0.1", 200), ("::1", 200), ("::ffff:127.0.0.1", 200), ("192.0.2.1", 401)):
        async with client_of(parts, host=host) as client:
            assert (await client.get("/notifications")).status_code == status, host
    async with client_of(parts, host="127.0.0.1", key="clr_wrong") as client:
        assert (await client.get("/notifications")).status_code == 401


async def test_a_revoked_key_is_shut_out_within_two_seconds(db: Database, key_of: Callable[..., object]) -> None:
    auth, key = Auth(db, dev=False), await key_of(Role.READ)
    headers = {"authorization": f"Bearer {key}"}
    assert await auth.tenant(headers, None, MAY_READ) == "acme"
    await keys.revoke(db, key.split("_")[1], By("test"))
    revoked = time.monotonic()
    with pytest.raises(Problem) as caught:
        while True:
            began = time.monotonic()
            await auth.tenant(headers, None, MAY_READ)
            assert began - revoked < 2, "who asks later is shut out, however long the answer takes"
            await asyncio.sleep(0.05)
    assert caught.value.code == "unauthenticated"


async def test_the_ledger_is_asked_once_for_many_calls_at_once(db: Database, key_of: Callable[..., object]) -> None:
    auth, key = Auth(db, dev=False), await key_of(Role.SEND)
    before = await _scans(db)
    tenants = await asyncio.gather(
        *(auth.tenant({"authorization": f"Bearer {key}"}, None, MAY_SEND) for _ in range(200))
    )
    assert set(tenants) == {"acme"}
    assert await _scans(db) - before <= 2


async def _scans(db: Database) -> int:
    """How often the table of keys was looked into; connections report it when they are idle."""
    await db.close()
    rows = await db.run(
        "SELECT pg_stat_force_next_flush(), coalesce(seq_scan, 0) + coalesce(idx_scan, 0) AS n"
        " FROM pg_stat_user_tables WHERE relname = 'api_key'"
    )
    return rows[0].n


async def test_bad_keys_do_not_fill_the_memory(db: Database) -> None:
    auth = Auth(db, dev=False)
    for n in range(5000):
        with pytest.raises(Problem):
            await auth.principal({"authorization": f"Bearer {n}"}, None)
    assert len(auth._known) <= 4096
