"""An administrative act and its line in the audit log: both are written, or neither."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from api_side import client_of, parts_with
from seeding import CHANNELS, accept, batch_of, dead, submission

from api.parts import Parts
from ledger.database import Database
from ledger.keys import Role
from ledger.roles import TABLES
from providers.registry import Installed, installed
from sandbox.credentials import load_or_create
from settings import Settings

# The disk is full: one of the ways a line may find no room.
FULL = """
CREATE FUNCTION audit_full() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN RAISE EXCEPTION ''no space left on device'' USING ERRCODE = ''disk_full''; END'
"""
BREAK = "CREATE TRIGGER audit_full BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION audit_full()"
MEND = "DROP TRIGGER audit_full ON audit"

COMMANDS = {"secrets.rewrap", "secrets.renew"}  # no route does these: tests/cli/test_cli_secrets.py


@pytest_asyncio.fixture
async def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Installed]:
    """All providers, whose vendors are never called."""
    monkeypatch.chdir(tmp_path)
    for name, value in load_or_create(tmp_path).environment("http://127.0.0.1:9", 9).items():
        monkeypatch.setenv(name, value)
    found = installed({})
    yield found
    await found.close()


@pytest_asyncio.fixture
async def parts(db: Database, settings: Settings, here: Installed) -> Parts:
    return await parts_with(settings, here)


@asynccontextmanager
async def no_room(db: Database) -> AsyncIterator[None]:
    """The audit log takes nothing inside the block."""
    await db.run(BREAK)
    yield
    await db.run(MEND)


async def everything(db: Database) -> Mapping[str, list[str]]:
    """Every row of every table."""
    return {
        table: [row[0] for row in await db.run(f"SELECT t::text FROM {table} t ORDER BY 1")]
        for table in TABLES
        if table != "audit"
    }


async def buried(db: Database) -> str:
    batch = batch_of(await accept(db, submission(channels=("push",))))
    await dead(db, batch, CHANNELS["push"])
    return f"{batch}.0"


async def test_no_act_is_done_that_cannot_be_written_down(
    db: Database, parts: Parts, key_of: Callable[..., Any]
) -> None:
    rotated, revoked = [(await key_of(Role.READ))[: len("clr_0a1b2c3d4e5f")] for _ in range(2)]
    retried, discarded = await buried(db), await buried(db)
    person = {"email": "ann@example.com"}
    suppressed = "/suppressions/email/bob@example.com"
    acts: dict[str, tuple[str, str, Any]] = {
        "tenant.create": ("POST", "/tenants", {"id": "new"}),
        "tenant.update": ("PATCH", "/tenants/other", {"name": "Other Inc."}),
        "tenant.suspend": ("POST", "/tenants/other/suspend", {"reason": "unpaid"}),
        "tenant.resume": ("POST", "/tenants/other/resume", None),
        "tenant.limits": ("PUT", "/tenants/acme/limits", {"burst": 7}),
        "key.create": ("POST", "/keys", {"role": "send", "tenant": "acme"}),
        "key.rotate": ("POST", f"/keys/{rotated}/rotate", None),
        "key.revoke": ("DELETE", f"/keys/{revoked}", None),
        "recipient.erase": ("DELETE", "/recipients/ann", None),
        "suppression.add": ("PUT", suppressed, None),
        "suppression.lift": ("DELETE", suppressed, None),
        "dead_letters.retry": ("POST", f"/dead-letters/{retried}/retry", None),
        "dead_letters.discard": ("POST", f"/dead-letters/{discarded}/discard", None),
        "provider.disabled": ("POST", "/providers/ses/disable", {"reason": "unpaid"}),
        "provider.draining": ("POST", "/providers/ses/drain", {"reason": "moving"}),
        "provider.enabled": ("POST", "/providers/ses/enable", None),
        "provider.weigh": ("POST", "/providers/ses/weight", {"weight": 2}),
    }
    await db.run(FULL)
    async with (
        client_of(parts, key=await key_of(Role.OPERATOR, None)) as operator,
        client_of(parts, key=await key_of(Role.ADMIN)) as admin,
    ):
        assert (await admin.put("/recipients/ann", json=person)).status_code == 201
        for action, (method, path, body) in acts.items():
            who = operator if action.startswith(("tenant", "key", "provider")) else admin
            before, gates = await everything(db), await switches(parts)
            async with no_room(db):
                answer = await who.request(method, path, json=body)
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable"), action
            assert (await everything(db), await switches(parts)) == (before, gates), action
            assert (await who.request(method, path, json=body)).is_success, action
            assert await everything(db) != before, action
    written = {row.action for row in await db.run("SELECT action FROM audit WHERE actor LIKE 'clr%'")}
    assert written == set(acts) == named_in_the_docs() - COMMANDS


async def switches(parts: Parts) -> Mapping[str, Any]:
    """What the gates obey."""
    return {name: view.operator for name, view in (await parts.gates.gate.states()).items()}


def named_in_the_docs() -> set[str]:
    papers = (Path(__file__).parents[2] / "docs/tenancy.md").read_text().partition("| acts |")[2]
    return {word for word in papers.split("`")[1::2] if "." in word}
