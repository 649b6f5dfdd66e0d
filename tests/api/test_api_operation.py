"""Metrics, health, problems and the OpenAPI document."""

import re
from collections.abc import Callable

import pytest
from api_side import client_of, parts_with, readiness
from httpx2 import AsyncClient
from pydantic import SecretStr
from seeding import accept, batch_of, failed, sent, submission

from api.app import create_app
from api.parts import Parts
from api.problems import CODES, Problem, response
from api.raw_routes import MODELS
from api.requests import Fault
from api.schema import definitions
from domain.channels import EMAIL, SMS
from ledger.database import Database
from ledger.keys import Role
from settings import Settings


async def test_totals_of_the_callers_tenant(db: Database, admin: AsyncClient) -> None:
    await sent(db, batch_of(await accept(db, submission())), EMAIL)
    await failed(db, batch_of(await accept(db, submission(channels=("sms",)))), SMS)
    await sent(db, batch_of(await accept(db, submission(tenant="other"))), EMAIL)
    assert (await admin.get("/metrics")).json() == {
        "total_sent": 1,
        "total_success": 0,
        "total_failed": 1,
        "by_status": {"SENT": 1, "FAILED": 1},
        "by_channel": {
            "email": {"sent": 1, "success": 0, "failed": 0},
            "sms": {"sent": 0, "success": 0, "failed": 1},
        },
        "by_provider": {
            "sendgrid": {"sent": 1, "success": 0, "failed": 0},
            "twilio": {"sent": 0, "success": 0, "failed": 1},
        },
    }


@pytest.mark.parametrize("accept_header", ["text/plain; version=0.0.4", "application/openmetrics-text; version=1.0.0"])
async def test_the_exposition_is_for_operators(
    parts: Parts, admin: AsyncClient, key_of: Callable[..., object], accept_header: str
) -> None:
    headers = {"Accept": accept_header}
    assert (await admin.get("/metrics", headers=headers)).status_code == 403
    async with client_of(parts, key=await key_of(Role.OPERATOR, None)) as operator:
        answer = await operator.get("/metrics", headers=headers)
        assert answer.status_code == 200
        assert answer.headers["content-type"].split(";")[0] == accept_header.split(";", maxsplit=1)[0]
        assert "# HELP clarion_accepted" in answer.text


async def test_ready_names_every_part(parts: Parts) -> None:
    async with client_of(parts) as client:
        answer = await readiness(client)
        assert answer.status_code == 200
        assert answer.json() == {
            "status": "ok",
            "parts": {
                "postgresql": {"state": "ok", "needed": True},
                "redis": {"state": "ok", "needed": False},
                "temporal": {"state": "ok", "needed": False},
            },
            "providers": {},
        }
        assert (await client.get("/livez")).json() == {"status": "ok"}


async def test_without_temporal_and_redis_it_is_degraded_but_ready(db: Database, settings: Settings) -> None:
    nowhere = {"redis_url": settings.redis_url.__class__("redis://127.0.0.1:1/0"), "temporal_address": "127.0.0.1:1"}
    parts = await parts_with(settings.model_copy(update=nowhere))
    async with client_of(parts) as client:
        answer = await client.get("/readyz")
        while answer.json()["parts"]["postgresql"]["state"] != "ok":  # a busy machine may answer it late
            answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert {name: part["state"] for name, part in answer.json()["parts"].items()} == {
        "postgresql": "ok",
        "redis": "away",
        "temporal": "away",
    }


async def test_without_postgresql_everything_is_503(settings: Settings) -> None:
    away = settings.model_copy(update={"database_url": SecretStr("postgresql://postgres@127.0.0.1:1/nothing")})
    async with client_of(await parts_with(away), key="clr_" + "a" * 12 + "_" + "b" * 43) as client:
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()["status"]) == (503, "away")
        answer = await client.get("/notifications")
        assert (answer.status_code, answer.json()["code"], answer.headers["Retry-After"]) == (503, "unavailable", "1")
        assert (await client.get("/livez")).status_code == 200


async def test_every_answer_has_a_request_id(admin: AsyncClient) -> None:
    for path in ("/livez", "/nowhere", "/notifications", "/notifications?limit=x", "/status/x"):
        given = await admin.get(path, headers={"X-Request-Id": "abc-123"})
        assert given.headers.get_list("X-Request-Id") == ["abc-123"]
        made = await admin.get(path, headers={"X-Request-Id": "a b\tc"})
        assert re.fullmatch(r"[0-9a-f-]{36}", made.headers["X-Request-Id"])
        if made.status_code >= 400:
            assert made.json()["request_id"] == made.headers["X-Request-Id"]
            assert made.json()["instance"] == path.partition("?")[0]


async def test_paths_and_methods_that_are_none(admin: AsyncClient) -> None:
    answer = await admin.get("/nowhere")
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not_found")
    for method, path, allowed in (
        ("PUT", "/livez", "GET"),
        ("GET", "/notify", "POST"),
        ("HEAD", "/status/x", "GET"),
        ("POST", "/status/x", "GET"),
        ("GET", "/webhook/x", "POST"),
        ("POST", "/recipients/ann", "DELETE, GET, PUT"),
    ):
        answer = await admin.request(method, path)
        assert (answer.status_code, answer.headers["Allow"]) == (405, allowed)
        assert method == "HEAD" or answer.json()["code"] == "method_not_allowed"


async def test_a_body_too_large_is_413(admin: AsyncClient) -> None:
    answer = await admin.put("/recipients/ann", json={"email": "x" * (1024 * 1024)})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


async def test_a_fault_of_ours_is_told_without_a_word_about_it(parts: Parts) -> None:
    app = create_app(parts)

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("the secret is 42")

    async with client_of(parts, app=app) as client:
        answer = await client.get("/broken")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "secret" not in answer.text


async def test_every_problem_explains_itself(parts: Parts) -> None:
    async with client_of(parts) as client:
        for code, kind in CODES.items():
            shown = (await client.get(f"/problems/{code}")).json()
            assert (shown["status"], shown["title"]) == (kind.status, kind.title)
        assert (await client.get("/problems/nothing")).status_code == 404


def test_a_raw_answer_has_all_members() -> None:
    reply = response(
        Problem("invalid_request", "Wrong.", errors=[Fault("/a", "b")], headers={"Retry-After": "1"}), "r1", "/x"
    )
    assert reply.status == 422 and reply.content_type == "application/problem+json"
    assert reply.headers == {"X-Request-Id": "r1", "Retry-After": "1"}
    assert reply.body == (
        b'{"type":"/problems/invalid_request","title":"Invalid request","status":422,"detail":"Wrong.",'
        b'"code":"invalid_request","errors":[{"pointer":"/a","detail":"b"}],"instance":"/x","request_id":"r1"}'
    )


async def test_the_document_is_complete(parts: Parts) -> None:
    async with client_of(parts) as client:
        document = (await client.get("/openapi.json")).json()
        assert (await client.get("/docs")).status_code == 200
    operations = [o for path in document["paths"].values() for o in path.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(set(ids)) == len(ids) and {"notify", "notifyBatch", "webhook", "callback", "getStatus"} <= set(ids)
    known = set(document["components"]["schemas"])
    assert set(re.findall(r"#/components/schemas/(\w+)", str(document))) <= known
    assert "HTTPValidationError" not in known
    for name, schema in definitions(MODELS).items():
        assert document["components"]["schemas"][name] == schema, f"two models are called {name}"
    example = document["components"]["schemas"]["NotifyIn"]["example"]
    assert example == {"channels": ["email", "sms"], "recipient_ids": ["user123"], "message": "Hello Polyglot World!"}
    assert document["paths"]["/status/{id}"]["get"]["security"] == [{"apiKey": []}]
    assert "security" not in document["paths"]["/livez"]["get"]
