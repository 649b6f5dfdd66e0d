"""`clarion secrets`: a key made, what keys wrap, and a change of keys as an operator does it."""

from base64 import b64encode
from pathlib import Path

import pytest
import pytest_asyncio
from cli_side import CommandLine
from seeding import accept, submission
from vaults import KEYS, vault

from ledger.database import Database

OLD_ID = KEYS.partition(":")[0]
NEXT = f"next:{b64encode(bytes(range(1, 33))).decode()}"


@pytest.fixture
def operator(database_url: str, tmp_path: Path) -> CommandLine:
    """`clarion` for a migrated database, with the key that its messages are sealed with."""
    return CommandLine(tmp_path, {"CLARION_DATABASE_URL": database_url, "CLARION_ENCRYPTION_KEYS": KEYS})


@pytest_asyncio.fixture(autouse=True)
async def _messages(database_url: str) -> None:
    """Of two tenants, one of them from before sealing."""
    db = Database(database_url, vault=vault(), pool_size=1)
    await accept(db, submission(), submission(tenant="other"))
    await db.run("UPDATE delivery SET address = 'ann@example.com' WHERE tenant_id = 'other'")
    await db.close()


async def test_a_new_key_is_printed_alone_and_is_another_each_time(alone: CommandLine) -> None:
    first, second = await alone("secrets", "new"), await alone("secrets", "new", "--id", "k2")
    assert first.code == second.code == 0
    assert first.out.count("\n") == 1 and second.out.startswith("k2:")
    assert first.out.partition(":")[2] != second.out.partition(":")[2]
    wrong = await alone("secrets", "new", "--id", "a b")
    assert wrong.code == 2 and "1 to 40" in wrong.err


async def test_without_keys_it_says_the_way_out(operator: CommandLine) -> None:
    lost = await operator.knowing(CLARION_ENCRYPTION_KEYS="")("secrets", "status")
    assert (lost.code, lost.err.count("\n")) == (2, 1)
    assert "CLARION_ENCRYPTION_KEYS is not set" in lost.err and "clarion secrets new" in lost.err


async def test_status_shows_keys_and_what_is_plain(operator: CommandLine) -> None:
    found = (await operator("secrets", "status", "--json")).json
    assert found == {
        "keys": [{"key": OLD_ID, "known": True, "data_keys": 2, "tenants": 2}],
        "changing": 0,
        "plain": {"delivery": 1, "notification": 0, "recipient": 0},
    }
    shown = await operator("secrets", "status")
    assert "the newest" in shown.out and "1 of delivery" in shown.err
    missing = await operator.knowing(CLARION_ENCRYPTION_KEYS=NEXT)("secrets", "status")
    assert "MISSING" in missing.out


async def test_a_key_is_changed_as_the_help_says(operator: CommandLine) -> None:
    both = operator.knowing(CLARION_ENCRYPTION_KEYS=f"{NEXT},{KEYS}")
    assert (await both("secrets", "rotate", "--json")).json == {"rewrapped": 2, "lost": [], "data": None}
    assert "may be taken out" in (await both("secrets", "status")).out
    without = operator.knowing(CLARION_ENCRYPTION_KEYS=NEXT)
    done = await without("secrets", "rotate", "--data")
    assert done.code == 0, done.err
    assert "2 new data keys, 4 rows sealed anew, 0 old keys destroyed." in done.out
    assert "2 tenants keep an old data key" in done.err
    assert not any((await without("secrets", "status", "--json")).json["plain"].values())
    acts = (await operator("audit", "--json")).json
    assert [act["action"] for act in acts] == ["secrets.renew", "secrets.rewrap", "secrets.rewrap"]
    assert {act["subject"] for act in acts} == {"next"}


async def test_a_missing_key_is_named_and_nothing_is_changed(operator: CommandLine) -> None:
    done = await operator.knowing(CLARION_ENCRYPTION_KEYS=NEXT)("secrets", "rotate", "--data")
    assert done.code == 1
    assert f"lacks the key {OLD_ID}" in done.err and "(and 1 more)" in done.err
    assert KEYS.partition(":")[2] not in done.out + done.err
