"""Providers over HTTP: how they stand, an operator's word on them, who may say it, and who hears it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from api_side import client_of, parts_with, readiness
from httpx2 import AsyncClient
from redis.asyncio import Redis

from api.parts import Parts
from domain.operators import Operator, Switch
from domain.outcomes import Outcome
from domain.priorities import Priority
from ledger.database import Database
from ledger.keys import Role
from ledger.provider_switches import switches
from ledger.tenants import ensure_dev
from observe import metrics
from providers.registry import Installed, installed
from sandbox.credentials import load_or_create
from settings import Settings
from throttle.gate import Gate
from throttle.opened import Gates, open_gates
from throttle.words import Admission

WITHIN = 60.0  # seconds; two are promised, on a machine that is not busy with other tests
ORDERS = {
    "disable": {"reason": "invoice unpaid"},
    "drain": {"reason": "moving away"},
    "enable": {"reason": "paid"},
    "weight": {"weight": 2.5},
}


@pytest_asyncio.fixture
async def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Installed]:
    """All providers set up but one; their vendors are never called."""
    monkeypatch.chdir(tmp_path)
    for name, value in load_or_create(tmp_path).environment("http://127.0.0.1:9", 9).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("CLARION_SMTP_HOST")
    found = installed({"email": {"weights": {"ses": 3}}})
    yield found
    await found.close()


@pytest_asyncio.fixture
async def parts(db: Database, settings: Settings, here: Installed) -> Parts:
    settings = settings.model_copy(update={"providers": {"twilio": {"rate": 80}}})
    return await parts_with(settings, here)


@pytest_asyncio.fixture
async def operator(parts: Parts, key_of: Callable[..., object]) -> AsyncIterator[AsyncClient]:
    async with client_of(parts, key=await key_of(Role.OPERATOR, None)) as client:
        yield client


@pytest_asyncio.fixture
async def elsewhere(db: Database, settings: Settings, here: Installed) -> AsyncIterator[Gates]:
    """The gates of another process."""
    async with _process(db, settings, here) as gates:
        yield gates


def _process(db: Database, settings: Settings, here: Installed) -> Any:
    cards = [provider.card for provider in here.providers.values()]
    return open_gates(settings, cards, partial(switches, db), here.channels.values())


async def _listed(client: AsyncClient) -> dict[str, Any]:
    answer = await client.get("/providers")
    assert answer.status_code == 200, answer.text
    return {one["provider"]: one for one in answer.json()["data"]}


async def _ask(gate: Gate, provider: str) -> Admission:
    return await gate.admit(provider, 1, Priority.HIGH)


async def _soon(true: Callable[[], bool]) -> None:
    end = time.monotonic() + WITHIN
    while not true():
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


async def _until_it_says(gate: Gate, provider: str, reason: str | None) -> None:
    """At once, unless this machine is so busy that Redis seems gone."""
    end = time.monotonic() + WITHIN
    while (await _ask(gate, provider)).reason != reason:
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


async def test_everything_about_a_provider_is_shown(operator: AsyncClient) -> None:
    found = await _listed(operator)
    assert list(found) == ["sendgrid", "ses", "smtp", "fcm", "twilio", "sns"]
    assert found["twilio"] == {
        "provider": "twilio",
        "channel": "sms",
        "place": 1,
        "set_up": True,
        "missing": None,
        "receipts": True,
        "operator": {"switch": "enabled", "reason": None, "weight": None, "changed_at": None, "changed_by": None},
        "weight": None,
        "breaker": {"state": "closed", "reason": None, "since": None, "probe_in": None},
        "paused_for": 0,
        "pace": {"rate": 80, "burst": 80},
        "local": False,
        "takes_new": True,
    }
    smtp = found["smtp"]
    assert (smtp["set_up"], smtp["place"], smtp["breaker"], smtp["takes_new"]) == (False, None, None, False)
    assert "CLARION_SMTP_HOST" in smtp["missing"]
    assert (found["ses"]["weight"], found["ses"]["pace"]) == (3, {"rate": None, "burst": None})


async def test_a_broken_and_a_paused_vendor_are_shown(parts: Parts, operator: AsyncClient) -> None:
    began = time.monotonic()
    await parts.gates.gate.report("twilio", {Outcome.VENDOR_DOWN: 1}, last="401")
    await parts.gates.gate.pause("sns", 600)
    found = await _listed(operator)
    gone = time.monotonic() - began
    breaker = found["twilio"]["breaker"]
    assert (breaker["state"], "401" in breaker["reason"]) == ("open", True)
    assert max(0, 5 - gone) <= breaker["probe_in"] <= 5
    assert 600 - gone <= found["sns"]["paused_for"] <= 600
    assert not found["twilio"]["takes_new"] and not found["sns"]["takes_new"]


@pytest.mark.parametrize("role", [Role.READ, Role.ADMIN, Role.OPERATOR])
async def test_who_may_read(parts: Parts, key_of: Callable[..., object], role: Role) -> None:
    async with client_of(parts, key=await key_of(role, None if role is Role.OPERATOR else "acme")) as client:
        for path in ("/providers", "/providers/events", "/providers/ses/events"):
            assert (await client.get(path)).status_code == 200, path


@pytest.mark.parametrize("role", [Role.SEND, Role.READ, Role.ADMIN, None])
async def test_who_may_not_steer(db: Database, parts: Parts, key_of: Callable[..., object], role: Role | None) -> None:
    status = 403 if role else 401
    async with client_of(parts, key=await key_of(role) if role else None, host="127.0.0.1") as client:
        for order, body in ORDERS.items():
            assert (await client.post(f"/providers/ses/{order}", json=body)).status_code == status, order
        if role in (Role.SEND, None):
            assert (await client.get("/providers")).status_code == status
    assert await switches(db) == {}


async def test_in_development_a_loopback_call_may_steer(db: Database, settings: Settings, here: Installed) -> None:
    await ensure_dev(db)
    parts = await parts_with(settings.model_copy(update={"dev": True}), here)
    async with client_of(parts, host="127.0.0.1") as client:
        for order, body in ORDERS.items():
            answer = await client.post(f"/providers/ses/{order}", json=body)
            assert (answer.status_code, answer.json()["operator"]["changed_by"]) == (200, "dev"), order
        exposition = await client.get("/metrics", headers={"Accept": "text/plain"})
        assert exposition.status_code == 403, "elsewhere it is the admin of a tenant"
    async with client_of(parts, host="192.0.2.1") as client:
        assert (await client.post("/providers/ses/enable")).status_code == 401


async def test_a_word_is_kept_and_told(db: Database, operator: AsyncClient) -> None:
    answer = await operator.post("/providers/ses/disable", json={"reason": "  invoice unpaid ", "weight": 2})
    said = answer.json()["operator"]
    assert (answer.status_code, said["switch"], said["reason"], said["weight"]) == (
        200,
        "disabled",
        "invoice unpaid",
        2,
    )
    assert said["changed_by"].startswith("clr_")
    assert answer.json()["takes_new"] is False
    assert await switches(db) == {"ses": Operator(Switch.DISABLED, "invoice unpaid", 2)}
    assert (await _listed(operator))["ses"]["operator"] == said


async def test_what_is_not_said_stays(operator: AsyncClient) -> None:
    async def says(order: str, **body: Any) -> tuple[str, str, float | None]:
        answer = await operator.post(f"/providers/ses/{order}", json=body)
        assert answer.status_code == 200, answer.text
        said = answer.json()["operator"]
        return said["switch"], said["reason"], said["weight"]

    assert await says("weight", weight=5) == ("enabled", "no reason given", 5)
    assert await says("drain", reason="moving away") == ("draining", "moving away", 5)
    assert await says("weight", weight=0, reason="last resort") == ("draining", "moving away", 0)
    assert await says("enable") == ("enabled", "no reason given", 0)
    assert await says("enable", reason="paid", weight=7) == ("enabled", "paid", 7)
    assert await says("weight", weight=None) == ("enabled", "no reason given", None)
    events = (await operator.get("/providers/ses/events")).json()["data"]
    assert [(event["before"], event["after"], event["reason"]) for event in reversed(events)] == [
        (None, "enabled, weight 5", "no reason given"),
        ("enabled, weight 5", "draining, weight 5", "moving away"),
        ("draining, weight 5", "draining, weight 0", "last resort"),
        ("draining, weight 0", "enabled, weight 0", "no reason given"),
        ("enabled, weight 0", "enabled, weight 7", "paid"),
        ("enabled, weight 7", "enabled", "no reason given"),
    ]


async def test_two_words_at_once_do_not_undo_each_other(db: Database, operator: AsyncClient) -> None:
    for n in range(10):
        await operator.post("/providers/ses/enable", json={"weight": 1000})
        await asyncio.gather(
            operator.post("/providers/ses/disable", json={"reason": f"round {n}"}),
            operator.post("/providers/ses/weight", json={"weight": n}),
        )
        assert await switches(db) == {"ses": Operator(Switch.DISABLED, f"round {n}", n)}


async def test_events_are_the_newest_of_one_or_of_all(parts: Parts, operator: AsyncClient) -> None:
    await parts.gates.gate.report("twilio", {Outcome.VENDOR_DOWN: 1}, last="401")
    await operator.post("/providers/sns/drain", json={"reason": "moving away"})
    await operator.post("/providers/twilio/enable", json={"reason": "new key"})
    every = (await operator.get("/providers/events?limit=2")).json()["data"]
    assert {(event["provider"], event["kind"]) for event in every} == {("twilio", "breaker"), ("twilio", "operator")}
    closed = next(event for event in every if event["kind"] == "breaker")
    assert (closed["before"], closed["after"], closed["changed_by"]) == ("open", "closed", None)
    assert closed["reason"] == "closed by an operator: new key"
    assert len((await operator.get("/providers/sns/events")).json()["data"]) == 1
    assert (await operator.get("/providers/smtp/events")).json()["data"] == []
    for query in ("limit=0", "limit=101", "cursor=x"):
        assert (await operator.get(f"/providers/events?{query}")).status_code == 422, query


@pytest.mark.parametrize("name", ["pigeon", "smtp", "a%2Fb", "%00"])
async def test_what_is_not_set_up_cannot_be_steered(db: Database, operator: AsyncClient, name: str) -> None:
    for order, body in ORDERS.items():
        answer = await operator.post(f"/providers/{name}/{order}", json=body)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), order
    if name != "smtp":
        assert (await operator.get(f"/providers/{name}/events")).status_code == 404
    assert await switches(db) == {}


@pytest.mark.parametrize(
    ("order", "body", "pointer"),
    [
        ("disable", None, ""),
        ("disable", {}, "/reason"),
        ("drain", {"weight": 1}, "/reason"),
        ("disable", {"reason": "  "}, "/reason"),
        ("disable", {"reason": "x" * 201}, "/reason"),
        ("disable", {"reason": "two\nlines"}, "/reason"),
        ("drain", {"reason": "\x1b[31mred"}, "/reason"),
        ("drain", {"reason": 7}, "/reason"),
        ("disable", {"reason": "x", "weight": -1}, "/weight"),
        ("disable", {"reason": "x", "weight": "1"}, "/weight"),
        ("enable", {"weight": 1000.5}, "/weight"),
        ("enable", {"reasons": "x"}, "/reasons"),
        ("weight", {}, "/weight"),
        ("weight", {"weight": True}, "/weight"),
        ("weight", {"weight": 1, "switch": "disabled"}, "/switch"),
    ],
)
async def test_a_wrong_word_changes_nothing(
    db: Database, operator: AsyncClient, order: str, body: Any, pointer: str
) -> None:
    answer = await operator.post(f"/providers/ses/{order}", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)
    assert await switches(db) == {}


async def test_numbers_json_does_not_have_are_no_weights(operator: AsyncClient) -> None:
    for number in ("NaN", "Infinity", "-Infinity"):
        answer = await operator.post(
            "/providers/ses/weight", content=f'{{"weight": {number}}}', headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 422, number


async def test_the_last_of_a_channel_may_be_stopped_but_not_unnoticed(operator: AsyncClient) -> None:
    async def warning(provider: str, order: str) -> str | None:
        return (await operator.post(f"/providers/{provider}/{order}", json=ORDERS[order])).json()["warning"]

    assert await warning("twilio", "disable") is None
    assert await warning("sns", "disable") == "no provider of sms takes messages now"
    assert await warning("sns", "enable") is None
    await warning("twilio", "drain")
    assert await warning("sns", "drain") == "all providers of sms are draining: new messages still go to twilio"


async def test_every_process_obeys(operator: AsyncClient, elsewhere: Gates) -> None:
    assert (await _ask(elsewhere.gate, "ses")).granted == 1
    await operator.post("/providers/ses/disable", json=ORDERS["disable"])
    await _until_it_says(elsewhere.gate, "ses", "disabled: invoice unpaid")
    await operator.post("/providers/sendgrid/drain", json=ORDERS["drain"])
    await _soon(lambda: elsewhere.gate.last_heard()["sendgrid"].operator.switch is Switch.DRAINING)
    await operator.post("/providers/ses/enable")
    await _until_it_says(elsewhere.gate, "ses", None)


async def test_a_redis_that_lost_its_memory_overrules_nobody(
    db: Database, settings: Settings, here: Installed, operator: AsyncClient, elsewhere: Gates, redis_url: str
) -> None:
    await operator.post("/providers/ses/disable", json=ORDERS["disable"])
    await _soon(lambda: not elsewhere.gate.last_heard()["ses"].takes_new)
    async with Redis.from_url(redis_url) as redis:
        await redis.flushdb()
    end = time.monotonic() + 2.5
    while time.monotonic() < end:
        assert (await _ask(elsewhere.gate, "ses")).reason == "disabled: invoice unpaid"
        await asyncio.sleep(0.1)
    async with AsyncExitStack() as stack:
        newcomer = await stack.enter_async_context(_process(db, settings, here))
        await _soon(lambda: newcomer.gate.last_heard()["ses"].operator.switch is Switch.DISABLED)
    assert (await _listed(operator))["ses"]["takes_new"] is False


async def test_without_redis_the_word_spreads_by_the_ledger(
    db: Database, settings: Settings, here: Installed, key_of: Callable[..., object]
) -> None:
    nowhere = settings.model_copy(update={"redis_url": settings.redis_url.__class__("redis://127.0.0.1:1/0")})
    parts = await parts_with(nowhere, here)
    async with _process(db, nowhere, here) as other, client_of(parts, key=await key_of(Role.OPERATOR, None)) as client:
        answer = await client.post("/providers/ses/disable", json=ORDERS["disable"])
        assert (answer.status_code, answer.json()["local"]) == (200, True)
        await _soon(lambda: other.gate.last_heard()["ses"].operator.switch is Switch.DISABLED)


async def test_a_weight_trusts_nobody_again(parts: Parts, operator: AsyncClient) -> None:
    await parts.gates.gate.report("twilio", {Outcome.VENDOR_DOWN: 1}, last="401")
    answer = await operator.post("/providers/twilio/weight", json={"weight": 9})
    assert (answer.json()["weight"], answer.json()["breaker"]["state"]) == (9, "open")
    answer = await operator.post("/providers/twilio/enable")
    assert (answer.json()["weight"], answer.json()["breaker"]["state"]) == (9, "closed")


async def test_ready_tells_how_each_stands(parts: Parts, operator: AsyncClient) -> None:
    gate = parts.gates.gate
    await gate.report("twilio", {Outcome.VENDOR_DOWN: 1}, last="401")
    await gate.pause("fcm", 60)
    await operator.post("/providers/ses/disable", json=ORDERS["disable"])
    await operator.post("/providers/sendgrid/drain", json=ORDERS["drain"])
    answer = await readiness(operator)
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    found = answer.json()["providers"]
    states = {"sendgrid": "draining", "ses": "disabled", "twilio": "open", "sns": "ok", "fcm": "paused"}
    assert {name: one["state"] for name, one in found.items()} == states
    assert (found["ses"]["reason"], found["sns"]["since"]) == ("invoice unpaid", None)
    assert found["ses"]["since"] and found["twilio"]["since"]


async def test_one_provider_that_works_is_enough_to_be_ready(parts: Parts, operator: AsyncClient) -> None:
    await parts.gates.gate.report("twilio", {Outcome.VENDOR_DOWN: 1}, last="401")
    answer = await readiness(operator)
    assert (answer.json()["status"], answer.json()["providers"]["twilio"]["state"]) == ("ok", "open")


async def test_the_metrics_know(parts: Parts, operator: AsyncClient) -> None:
    await operator.post("/providers/twilio/disable", json=ORDERS["disable"])
    await parts.gates.gate.report("sns", {Outcome.VENDOR_DOWN: 1}, last="401")

    def shown(gauge: Any) -> dict[str, float]:
        return {next(iter(one.labels.values())): one.value for one in next(iter(gauge.collect())).samples}

    await _soon(lambda: shown(metrics.WORKING) == {"email": 2, "sms": 0, "push": 1})
    assert (shown(metrics.PROVIDER_SWITCH)["twilio"], shown(metrics.BREAKER)["sns"]) == (2, 2)
