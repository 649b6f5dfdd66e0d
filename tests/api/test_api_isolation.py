"""Every route of the API, called by one tenant with what is another's: it is not there."""

import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from api_side import client_of, door_of
from httpx2 import AsyncClient, Response
from seeding import accept, batch_of, dead, sent, submission

from api.app import create_app
from api.parts import Parts
from domain.channels import EMAIL
from domain.submissions import Submission
from domain.suppressions import Reason, blind
from ledger import keys, recipients, suppressions, tenants
from ledger.audit import By
from ledger.database import Database
from ledger.keys import Role
from ledger.recipients import Person

SUPPRESSED = "gone@example.com"
LATER = (datetime.now(UTC) + timedelta(days=30)).isoformat()

# Routes with an id in their path: whose kind of thing it is, and a body if they want one. What is another's gets the
# answer of what is nobody's.
BY_ID: Mapping[str, tuple[str, Any]] = {
    "GET /status/{id}": ("notification", None),
    "POST /notifications/{id}/cancel": ("notification", None),
    "PATCH /notifications/{id}": ("notification", {"send_at": LATER}),
    "GET /recipients/{id}": ("recipient", None),
    "DELETE /recipients/{id}": ("recipient", None),
    "POST /dead-letters/{id}/retry": ("letter", {}),
    "POST /dead-letters/{id}/discard": ("letter", None),
    "POST /keys/{prefix}/rotate": ("key", {}),
    "DELETE /keys/{prefix}": ("key", None),
    "GET /tenants/{id}/limits": ("tenant", None),
    "GET /suppressions/{channel}/{address}": ("suppression", None),
    "DELETE /suppressions/{channel}/{address}": ("suppression", None),
}

# Routes about all that is the caller's, and how they are asked: what others have changes no answer.
ABOUT_ALL: Mapping[str, tuple[Any, ...]] = {
    "GET /notifications": (
        {},
        {"status": "COMPLETED"},
        {"status": "PROCESSING"},
        {"status": "FAILED"},
        {"recipient": "bea"},
        {"channel": "email", "from": "2001-01-01T00:00:00Z"},
        {"tag": "spring"},
        {"tag_prefix": "s", "metadata": "order:A", "q": "hel*"},
    ),
    "GET /recipients": ({}, {"prefix": "be"}),
    "GET /suppressions": ({}, {"channel": "email"}),
    "GET /dead-letters": ({}, {"channel": "email"}),
    "GET /metrics": ({},),
    "GET /keys": ({}, {"tenant": "other"}),
    "GET /audit": ({}, {"tenant": "other"}, {"action": "key.create"}),
    "POST /dead-letters/retry": ({}, {"dry_run": True}),
    "POST /dead-letters/discard": ({"filter": {}}, {"filter": {"channel": "email"}, "dry_run": True}),
}

# What a tenant sends or stores is its own; tests below say so of each.
TAKES_IN = {"POST /notify", "POST /notify/batch", "PUT /recipients/{id}", "POST /recipients/bulk", "POST /keys"}
TAKES_IN |= {"PUT /suppressions/{channel}/{address}"}

# Nothing of a tenant is in them, or a vendor's signature stands for a key.
OF_NOBODY = {
    "GET /livez",
    "GET /readyz",
    "GET /problems/{code}",
    "GET /providers",
    "GET /providers/events",
    "GET /providers/{name}/events",
    "POST /webhook/callback",
    "POST /webhook/{provider}",
}

# For operators, who belong to no tenant.
OPERATORS = {
    *(f"POST /providers/{{name}}/{act}" for act in ("disable", "drain", "enable", "weight")),
    "GET /tenants",
    "POST /tenants",
    "GET /tenants/{id}",
    "PATCH /tenants/{id}",
    "POST /tenants/{id}/suspend",
    "POST /tenants/{id}/resume",
    "PUT /tenants/{id}/limits",
}

UNKNOWN = {
    "notification": "01890a5d-ac96-774b-bcce-b302099a8057",
    "recipient": "nobody",
    "letter": "01890a5d-ac96-774b-bcce-b302099a8057.0",
    "key": "clr_aaaaaaaaaaaa",
    "tenant": "nobody",
    "suppression": "nobody@example.com",
}


@dataclass(frozen=True)
class Neighbours:
    """`ann` of tenant `acme` is who asks; `ids` are things of tenant `other`, by kind."""

    ann: AsyncClient
    ids: Mapping[str, tuple[str, ...]]


@pytest_asyncio.fixture
async def ann(db: Database, parts: Parts, key_of: Callable[..., Any]) -> AsyncIterator[AsyncClient]:
    """An administrator of tenant `acme`, which keeps text, at the whole door."""
    await tenants.update(db, "acme", {"keep_text": True}, By("test"))
    await sent(db, batch_of(await accept(db, submission())), EMAIL)
    async with client_of(parts, key=await key_of(Role.ADMIN), app=await door_of(parts)) as client:
        yield client
    await parts.lanes.close()


@pytest_asyncio.fixture
async def neighbours(db: Database, ann: AsyncClient) -> Neighbours:
    """Both have something, and share a batch."""
    return Neighbours(ann, await furnished(db, "other", submission()))


async def furnished(db: Database, tenant: str, *beside: Submission) -> Mapping[str, tuple[str, ...]]:
    """A tenant with some of everything: the ids by kind. `beside`: others', who share a batch with it."""
    waiting = submission(tenant=tenant, recipients=("bea",), tags=("spring",), metadata={"order": "A-17"})
    gone = submission(tenant=tenant, recipients=("bea", "cid"))
    await accept(db, waiting, *beside, keeps_text=True)
    buried = batch_of(await accept(db, gone))
    await dead(db, buried, EMAIL)
    await sent(db, batch_of(await accept(db, submission(tenant=tenant))), EMAIL)
    await recipients.put(db, tenant, Person("bea", {"email": "bea@example.com"}))
    key, _ = await keys.create(db, tenant, Role.READ, By("test"))
    await suppressions.put(
        db,
        tenant,
        "email",
        blind(b"", tenant, "email", SUPPRESSED),
        shown="g***@example.com",
        reason=Reason.MANUAL,
        by=By("test"),
    )
    return {
        "notification": (str(waiting.id), str(gone.id)),
        "recipient": ("bea",),
        "letter": (f"{buried}.0", f"{buried}.1"),
        "key": (f"clr_{key.prefix}",),
        "tenant": (tenant,),
        "suppression": (SUPPRESSED,),
    }


async def belongings(db: Database, tenant: str) -> list[Any]:
    """All rows of a tenant that a caller could change."""
    return [
        tuple(row)
        for table in (
            "notification",
            "delivery",
            "recipient",
            "dead_letter",
            "notification_end",
            "statistic",
            "search_entry",
            "suppression",
            "api_key",
        )
        for row in await db.run(f"SELECT * FROM {table} WHERE tenant_id = :tenant ORDER BY 1, 2", tenant=tenant)
    ]


def routes_of(parts: Parts) -> set[str]:
    """As the document has them."""
    paths = create_app(parts).openapi()["paths"]
    return {f"{method.upper()} {path}" for path, operations in paths.items() for method in operations}


async def call(client: AsyncClient, route: str, body: Any = None, id: str = "") -> Response:
    method, path = route.split()
    words = {"params": body} if method == "GET" else {"json": body}
    return await client.request(
        method, re.sub(r"\{(id|prefix|name|address)\}", id, path.replace("{channel}", "email")), **words
    )


def told(answer: Response) -> tuple[int, Any]:
    """What the caller learns: all but the names of this very request."""
    body = answer.json() if answer.content else {}
    return answer.status_code, {name: body[name] for name in body if name not in {"request_id", "instance"}}


def test_every_route_is_of_one_kind(parts: Parts) -> None:
    """A new route has to be put into one of the tables above."""
    kinds = [BY_ID.keys(), ABOUT_ALL.keys(), TAKES_IN, OF_NOBODY, OPERATORS]
    assert routes_of(parts) == set().union(*kinds)
    assert sum(map(len, kinds)) == len(set().union(*kinds))


async def test_what_is_anothers_is_nobodys(neighbours: Neighbours, db: Database) -> None:
    before = await belongings(db, "other")
    for route, (kind, body) in BY_ID.items():
        nobodys = told(await call(neighbours.ann, route, body, UNKNOWN[kind]))
        assert nobodys[0] == 404, route
        for id in neighbours.ids[kind]:
            assert told(await call(neighbours.ann, route, body, id)) == nobodys, (route, id)
    assert await belongings(db, "other") == before


async def test_the_same_ids_work_for_their_owner(
    db: Database, parts: Parts, neighbours: Neighbours, key_of: Any
) -> None:
    """Else the test above would prove nothing."""
    async with client_of(parts, key=await key_of(Role.ADMIN, "other"), app=await door_of(parts)) as owner:
        for route, (kind, body) in BY_ID.items():
            id = neighbours.ids[kind][-1 if route.endswith("discard") else 0]
            answer = await call(owner, route, body, id)
            assert answer.status_code != 404, (route, answer.text)


async def test_what_others_have_changes_no_answer(db: Database, ann: AsyncClient) -> None:
    asked = [(route, body) for route, bodies in ABOUT_ALL.items() for body in bodies]
    before = [told(await call(ann, route, body)) for route, body in asked]
    ids = await furnished(db, "other")
    belonged = await belongings(db, "other")
    for (route, body), told_before in zip(asked, before, strict=True):
        answer = await call(ann, route, body)
        assert answer.status_code == 200, (route, body, answer.text)
        assert told(answer) == told_before, (route, body)
        named = [id for kind in ids.values() for id in kind if f'"{id}"' in answer.text]
        assert not named, (route, body)
    assert await belongings(db, "other") == belonged


async def test_operators_routes_are_closed_to_tenants(parts: Parts, ann: AsyncClient) -> None:
    for route in OPERATORS:
        answer = await call(ann, route, {"reason": "x"}, "sendgrid" if "{name}" in route else "other")
        assert answer.status_code == 403, route


@pytest.mark.parametrize("wrapped", [False, True])
async def test_a_message_finds_only_people_of_its_own_tenants_book(neighbours: Neighbours, wrapped: bool) -> None:
    async def post(recipient: str) -> Any:
        body = {"channels": ["email"], "recipient_ids": [recipient], "message": "Hello"}
        path, sent = ("/notify/batch", {"notifications": [body]}) if wrapped else ("/notify", body)
        answer = await neighbours.ann.post(path, json=sent)
        return answer.status_code, answer.text.replace(recipient, "…").replace(answer.headers["X-Request-Id"], "")

    assert await post("bea") == await post("nobody")


async def test_an_idempotency_key_is_the_tenants_own(
    db: Database, parts: Parts, neighbours: Neighbours, key_of: Any
) -> None:
    body = {"channels": ["email"], "recipient_ids": ["x@example.com"], "message": "Hello"}
    headers = {"Idempotency-Key": "one", "Authorization": f"Bearer {await key_of(Role.ADMIN, 'other')}"}
    theirs = await neighbours.ann.post("/notify", json=body, headers=headers)
    ours = await neighbours.ann.post("/notify", json={**body, "message": "Bye"}, headers={"Idempotency-Key": "one"})
    assert (theirs.status_code, ours.status_code) == (202, 202), (theirs.text, ours.text)
    assert theirs.json()["id"] != ours.json()["id"]


async def test_a_key_is_made_only_for_the_callers_tenant(neighbours: Neighbours, db: Database) -> None:
    before = await belongings(db, "other")
    made = await neighbours.ann.post("/keys", json={"role": "read"})
    assert (made.status_code, made.json()["tenant"]) == (201, "acme")
    assert (await neighbours.ann.post("/keys", json={"role": "read", "tenant": "other"})).status_code == 422
    assert await belongings(db, "other") == before


async def test_a_person_of_the_same_id_is_another(neighbours: Neighbours, db: Database) -> None:
    before = await belongings(db, "other")
    assert (await neighbours.ann.put("/recipients/bea", json={"email": "mine@example.com"})).status_code == 201
    assert (await neighbours.ann.get("/recipients/bea")).json()["email"] == "mine@example.com"
    assert await belongings(db, "other") == before
