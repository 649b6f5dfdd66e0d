"""`clarion tenants`, `keys` and `doctor`: they ask the servers themselves."""

import json
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from cli_side import CommandLine
from seeding import accept, batch_of, submission
from servers import Servers
from stage import Stage
from vaults import vault

from ledger import keys
from ledger.database import Database
from ledger.keys import Role
from runs import connect
from runs.prepare import prepare
from settings import Settings
from workers.embedded.record import Record


@pytest.fixture
def operator(database_url: str, tmp_path: Path) -> CommandLine:
    """`clarion` for an empty, migrated database."""
    return CommandLine(tmp_path, {"CLARION_DATABASE_URL": database_url})


async def test_tenants_are_made_and_listed(operator: CommandLine) -> None:
    made = await operator(
        *("tenants", "create", "acme", "--name", "Acme Inc.", "--email-from", "Hi@acme.example", "--json")
    )
    assert made.code == 0, made.err
    assert (made.json["id"], made.json["email_from"]) == ("acme", "Hi@acme.example")
    [listed] = (await operator("tenants", "list", "--json")).json
    assert listed == made.json
    again = await operator("tenants", "create", "acme")
    assert (again.code, again.err.count("\n")) == (1, 1)
    wrong = await operator("tenants", "create", "Acme!")
    assert (wrong.code, wrong.err) == (2, "A tenant's id is 1 to 40 of a-z, 0-9 and -, and does not start with -.\n")


async def test_a_tenant_chooses_whether_its_messages_can_be_searched(operator: CommandLine) -> None:
    await operator("tenants", "create", "acme")
    for option, kept in (("--keep-text", True), ("--no-keep-text", False)):
        assert (await operator("tenants", "update", "acme", option, "--json")).json["keep_text"] is kept
        (act,) = (await operator("audit", "--action", "tenant.update", "--limit", "1", "--json")).json
        assert act["detail"] == {"fields": ["keep_text"], "keep_text": kept}


async def test_a_key_is_shown_once_works_and_can_be_revoked(operator: CommandLine, database_url: str) -> None:
    await operator("tenants", "create", "acme")
    made = await operator("keys", "create", "acme", "--role", "send")
    assert made.code == 0, made.err
    text = made.out.strip()
    db = Database(database_url, pool_size=1)
    try:
        principal = await keys.authenticate(db, text)
        assert principal is not None
        assert (principal.tenant, principal.role) == ("acme", Role.SEND)
        listed = await operator("keys", "list")
        assert "in force" in listed.out
        assert text not in listed.out
        assert (await operator("keys", "revoke", text)).code == 0
        assert await keys.authenticate(db, text) is None
    finally:
        await db.close()
    again = await operator("keys", "revoke", text)
    assert again.code == 1
    assert text not in again.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nobody", "--role", "send"), "There is no tenant 'nobody'."),
        (("acme", "--role", "boss"), "there are send, read, admin, operator"),
        (("acme", "--role", "operator"), "An operator's key belongs to no tenant"),
        (("--role", "read"), "any other key needs one"),
    ],
)
async def test_a_key_nobody_could_use_is_refused(operator: CommandLine, words: tuple[str, ...], said: str) -> None:
    result = await operator("keys", "create", *words)
    assert (result.code, result.out) == (2, "")
    assert said in result.err


async def test_a_database_that_is_not_prepared_or_not_there_is_one_line(alone: CommandLine, servers: Servers) -> None:
    empty = await alone.knowing(CLARION_DATABASE_URL=servers.database_url)("tenants", "list")
    assert (empty.code, empty.err) == (1, "The database has not this version's shape: run `clarion migrate`.\n")
    away = await alone.knowing(CLARION_DATABASE_URL="postgresql://x:y@127.0.0.1:1/z")("tenants", "list")
    assert (away.code, away.err.count("\n")) == (1, 1)
    unknown = await alone("tenants", "list")
    assert unknown.code == 2
    assert unknown.err.startswith("CLARION_DATABASE_URL is not set")


async def test_a_stack_that_runs_here_is_found(alone: CommandLine, stage: Stage, database_url: str) -> None:
    host, _, port = stage.url.removeprefix("http://").partition(":")
    (alone.folder / ".clarion").mkdir()
    record = {"CLARION_DATABASE_URL": database_url, "CLARION_HOST": host, "CLARION_PORT": port}
    Record(alone.folder / ".clarion").publish(record)
    assert (await alone.process("list")).code == 0
    assert [each["id"] for each in (await alone.process("tenants", "list", "--json")).json] == ["dev"]
    other = await alone.knowing(CLARION_DATABASE_URL="postgresql://x:y@127.0.0.1:1/z")("tenants", "list")
    assert other.code == 1


async def test_the_doctor_finds_a_healthy_stack_healthy(alone: CommandLine, whereabouts: Mapping[str, str]) -> None:
    result = await alone.knowing(**whereabouts).process("doctor", "--json")
    assert result.code == 0, result.out
    states = {finding["part"]: finding["state"] for finding in result.json}
    parts = {
        "settings",
        "encryption",
        "PostgreSQL",
        "database",
        "roles",
        "durability",
        "Redis",
        "Temporal",
        "namespace",
        "search attributes",
    }
    parts |= {"schedules", "workers", "API", "channel email", "channel sms", "channel push"}
    assert states == dict.fromkeys(parts, "ok")


async def test_the_doctor_names_every_part_that_is_away(alone: CommandLine) -> None:
    nowhere = alone.knowing(
        CLARION_DATABASE_URL="postgresql://x:y@127.0.0.1:1/z",
        CLARION_REDIS_URL="redis://127.0.0.1:1/0",
        CLARION_TEMPORAL_ADDRESS="127.0.0.1:1",
        CLARION_URL="http://127.0.0.1:1",
    )
    result = await nowhere.process("doctor", "--json")
    assert result.code == 1
    wrong = {finding["part"]: finding["todo"] for finding in result.json if finding["state"] == "wrong"}
    assert wrong.keys() >= {"PostgreSQL", "Redis", "Temporal", "API", "channel email"}
    assert all(wrong.values())


async def test_the_doctor_sees_what_is_not_prepared(
    alone: CommandLine, whereabouts: Mapping[str, str], servers: Servers
) -> None:
    settings = {**whereabouts} | {
        "CLARION_DATABASE_URL": servers.database_url,
        "CLARION_TEMPORAL_NAMESPACE": "no-such-namespace",
    }
    result = await alone.knowing(**settings).process("doctor", "--json")
    todo = {finding["part"]: finding["todo"] for finding in result.json if finding["state"] == "wrong"}
    assert todo == {"database": "Run `clarion migrate`.", "namespace": "Run `clarion migrate`."}


async def test_the_doctor_sees_that_roles_are_not_in_force(operator: CommandLine, database_url: str) -> None:
    db = Database(database_url, pool_size=1)
    await db.run("GRANT UPDATE ON api_key TO clarion_worker")
    await db.close()
    found = {each["part"]: each for each in (await operator.process("doctor", "--json")).json}
    assert (found["roles"]["state"], found["roles"]["todo"]) == ("wrong", "Run `clarion migrate`.")
    assert "REVOKE ALL ON TABLE api_key FROM clarion_worker" in found["roles"]["told"]


async def test_who_may_not_make_roles_is_told_what_to_ask_for(alone: CommandLine, database_url: str) -> None:
    db, name = Database(database_url, pool_size=1), f"user_{uuid4().hex[:12]}"
    await db.run(f"CREATE ROLE {name} LOGIN PASSWORD 'secret'")
    try:
        url = urlsplit(database_url)
        mine = url._replace(netloc=f"{name}:secret@{url.hostname}:{url.port}").geturl()
        where = {"CLARION_DATABASE_URL": mine, "CLARION_TEMPORAL_ADDRESS": "127.0.0.1:1"}
        result = await alone.knowing(**where).process("migrate")
        assert result.code == 1
        assert f"GRANT clarion_worker TO {name} WITH INHERIT FALSE, SET TRUE;" in result.err
        assert "Traceback" not in result.err
    finally:
        await db.run(f"DROP ROLE {name}")
        await db.close()


async def test_the_doctor_sees_that_nobody_works(alone: CommandLine, servers: Servers) -> None:
    namespace = f"doctor-{uuid4().hex[:8]}"
    at = Settings(temporal_address=servers.temporal_address, temporal_namespace=namespace)
    await prepare(await connect(at, lazy=False))
    settings = {"CLARION_TEMPORAL_ADDRESS": servers.temporal_address, "CLARION_TEMPORAL_NAMESPACE": namespace}
    result = await alone.knowing(**settings).process("doctor", "--json")
    states = {finding["part"]: finding["state"] for finding in result.json}
    assert (states["search attributes"], states["schedules"], states["workers"]) == ("ok", "ok", "wrong")
    [workers] = [finding for finding in result.json if finding["part"] == "workers"]
    assert workers["todo"] == "`clarion worker --queues all`"


async def test_the_doctor_sees_who_takes_nothing(
    alone: CommandLine, whereabouts: Mapping[str, str], stage: Stage
) -> None:
    await stage.call("POST", "/providers/sendgrid/drain", {"reason": "moving away"})
    await stage.call("POST", "/providers/fcm/disable", {"reason": "no contract"})
    await stage.vendors.rule("twilio", answer={"status": 401})
    await stage.until(await stage.notify(channels=["sms"], recipient_ids=["ada"], message="Hello"), "COMPLETED")
    result = await alone.knowing(**whereabouts).process("doctor", "--json")
    assert result.code == 1
    found = {(each["part"], each["state"]): each for each in result.json if each["state"] != "ok"}
    assert found.keys() == {("sendgrid", "look"), ("fcm", "look"), ("twilio", "look"), ("channel push", "wrong")}
    assert found["sendgrid", "look"]["told"].startswith("draining for ")
    assert found["fcm", "look"]["told"].endswith(": no contract")
    assert "clarion providers enable fcm" in found["fcm", "look"]["todo"]
    assert found["twilio", "look"]["told"].startswith("breaker ")


async def test_the_doctor_asks_vendors_about_credentials(alone: CommandLine, whereabouts: Mapping[str, str]) -> None:
    clarion = alone.knowing(**whereabouts)
    every = await clarion.process("doctor", "--provider", "all", "--json")
    assert every.code == 0, every.out
    assert {finding["part"] for finding in every.json} == {"sendgrid", "ses", "smtp", "twilio", "sns", "fcm"}
    wrong = await clarion.knowing(CLARION_SENDGRID_API_KEY="SG.wrong").process("doctor", "--provider", "sendgrid")
    assert wrong.code == 1
    assert "CLARION_SENDGRID_API_KEY" in wrong.out
    unknown = await clarion.process("doctor", "--provider", "pigeon")
    assert unknown.code == 2
    assert "there are fcm, sendgrid" in unknown.err


async def test_the_doctor_says_what_a_wrong_setting_is(alone: CommandLine) -> None:
    result = await alone.knowing(CLARION_CHANNELS=json.dumps({"fax": {}})).process("doctor")
    assert result.code == 1
    assert "CLARION_CHANNELS: no channel 'fax'" in result.out


async def test_the_doctor_checks_the_ledger(operator: CommandLine, database_url: str, tmp_path: Path) -> None:
    db = Database(database_url, vault=vault(), pool_size=1)
    try:
        batch = batch_of(await accept(db, submission()))
        clean = await operator("doctor", "ledger")
        assert (clean.code, clean.err) == (0, "")
        assert "complete" in clean.out
        accepted = tmp_path / "accepted"
        accepted.write_text(f"0 {uuid4()}\n")
        lost = await operator("doctor", "ledger", "--accepted", str(accepted), "--json")
        assert (lost.code, lost.json["clean"]) == (1, False)
        await db.run("UPDATE delivery SET status = 'sent' WHERE batch_id = :b", b=batch)
        damaged = await operator("doctor", "ledger")
        assert damaged.code == 1
        assert f"awaiting: {batch} email: awaiting: 0, should be 1" in damaged.out
    finally:
        await db.close()


async def test_what_is_no_vendors_log_is_wrong_usage(operator: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "log").write_text("hello\n")
    result = await operator("doctor", "ledger", "--vendor-log", "log")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert (await operator("doctor", "ledger", "--accepted", "nowhere")).code == 2
