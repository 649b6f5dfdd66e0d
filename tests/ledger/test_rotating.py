"""Changing keys while everything runs: the key that wraps, the data keys, and what is older than both."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import UUID

import pytest
from ledger_side import accepted_batch, all_is_true, leg, let_pass
from protocol_rows import RESENDING
from seeding import CHANNELS, accept, batch_of, submission
from vaults import KEYS, vault

from domain.channels import EMAIL
from domain.messages import Content
from domain.outcomes import in_doubt
from domain.submissions import Recipient, Submission
from ledger import audit, deliveries, doubts, listing, recipients, resealing, rotating
from ledger.audit import By
from ledger.database import Database
from ledger.deliveries import Answered
from ledger.erasing import erase
from ledger.keyring import keyring_of
from ledger.listing import Filters
from ledger.recipients import Person
from ledger.rotating import Renewed
from settings import Settings

BY = By("test")
ADDRESS, TEXT = "zoe.quine@example.com", "The zebra quits at dawn"
NEXT = f"next:{b64encode(bytes(range(1, 33))).decode()}"
BOTH = f"{NEXT},{KEYS}"
PEOPLE = 30


def ring(keys: str = KEYS) -> rotating.Keyring:
    return keyring_of(Settings(encryption_keys=keys))


@asynccontextmanager
async def opened(url: str, keys: str) -> AsyncIterator[Database]:
    """A process with these keys."""
    db = Database(url, vault=vault(keys), pool_size=3)
    yield db
    await db.close()


def to_zoe(tenant: str = "acme") -> Submission:
    """Known by her address alone."""
    known = Recipient(ADDRESS, {"email": ADDRESS}, known=True)
    return replace(submission(tenant=tenant, content=Content(TEXT)), recipients=(known,))


async def peopled(db: Database) -> None:
    """Messages and a book of two tenants."""
    for tenant in ("acme", "other"):
        await accept(db, *(to_zoe(tenant) for _ in range(PEOPLE)), cap=20)
        await recipients.put(db, tenant, Person("zq", {"email": ADDRESS}))


async def all_reads(db: Database) -> bool:
    """Is every value what it was?"""
    rows = await db.run("SELECT *, false AS again FROM delivery")
    claims = await deliveries.as_claims(db, rows)
    letters = await deliveries.letters(db, [row.notification_id for row in rows])
    books = [await recipients.get(db, tenant, "zq") for tenant in ("acme", "other")]
    pages = [await listing.listing(db, tenant, Filters(recipient=ADDRESS), 100, None) for tenant in ("acme", "other")]
    assert not [claim.closed for claim in claims if claim.closed]
    return (
        {claim.address for claim in claims} == {ADDRESS}
        and {letter.content.text for letter in letters.values()} == {TEXT}
        and all(book and book.addresses == {"email": ADDRESS} for book in books)
        and [len(page.found) for page in pages] == [PEOPLE, PEOPLE]
    )


async def versions(db: Database) -> set[str]:
    """Of the data keys that values in the tables are sealed with; `plain` among them if one is not sealed."""
    rows = await db.run(
        """SELECT address AS value FROM delivery UNION SELECT recipient_id FROM delivery
            UNION SELECT content #>> '{}' FROM notification UNION SELECT addresses #>> '{}' FROM recipient"""
    )
    return {row.value.split()[1] if row.value.startswith("sealed ") else "plain" for row in rows}


async def aged(db: Database) -> None:
    """Ten minutes pass."""
    await db.run("UPDATE tenant_key SET created_at = created_at - interval '10 minutes'")


async def test_a_key_that_wraps_is_replaced_without_a_pause(db: Database, database_url: str) -> None:
    await peopled(db)
    before = await db.run("SELECT address FROM delivery ORDER BY batch_id, seq")
    done = await rotating.rewrap(db, ring(BOTH), BY)
    assert (done.rewrapped, done.lost) == (2, ())
    assert await db.run("SELECT address FROM delivery ORDER BY batch_id, seq") == before
    assert await all_reads(db), "who has unwrapped a key goes on with it"
    async with opened(database_url, NEXT) as later:
        assert await all_reads(later), "the old key is needed by nobody"
    (newest, old) = (await rotating.standing(db, ring(BOTH))).wraps
    assert (newest.key, newest.data_keys, newest.tenants, newest.known) == ("next", 2, 2, True)
    assert (old.key, old.data_keys) == ("tests", 0)
    assert (await rotating.rewrap(db, ring(BOTH), BY)).rewrapped == 0
    assert {act.action for act in await audit.listed(db, 10)} == {"secrets.rewrap"}


async def test_without_the_old_key_nothing_is_changed_and_it_is_named(db: Database) -> None:
    await peopled(db)
    done = await rotating.rewrap(db, ring(NEXT), BY)
    assert done.rewrapped == 0 and len(done.lost) == 2
    assert "lacks the key tests" in done.lost[0]
    assert [(each.key, each.known) for each in (await rotating.standing(db, ring(NEXT))).wraps] == [
        ("next", True),
        ("tests", False),
    ]
    assert await all_reads(db)


async def test_data_keys_are_replaced_under_readers_and_writers(db: Database, database_url: str) -> None:
    await peopled(db)
    ended = asyncio.Event()

    async def reads() -> None:
        async with opened(database_url, KEYS) as reader:
            while not ended.is_set():
                assert await all_reads(reader)

    async def writes(stale: Database) -> None:
        """A process that has not heard of the new key yet."""
        while not ended.is_set():
            await recipients.put(stale, "acme", Person("zq", {"email": ADDRESS}))

    async with opened(database_url, KEYS) as stale:
        await recipients.put(stale, "acme", Person("zq", {"email": ADDRESS}))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(reads())
            tasks.create_task(writes(stale))
            done = await rotating.renew(db, ring(), BY)
            assert await versions(db) <= {"1", "2"}
            ended.set()
        assert done.made == 2 and done.closed == 0 and (done.destroyed, done.waiting) == (0, 2)
        assert await all_reads(stale)
    await aged(db)
    done = await rotating.renew(db, ring(), BY)
    assert (done.made, done.destroyed, done.waiting) == (0, 2, 0)
    assert await versions(db) == {"2"}
    assert [row.version for row in await db.run("SELECT version FROM tenant_key")] == [2, 2]
    assert await all_reads(db)
    async with opened(database_url, KEYS) as later:
        assert await all_reads(later)
    await all_is_true(db)


async def test_a_rotation_that_was_interrupted_goes_on(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await peopled(db)
    monkeypatch.setattr(resealing, "_ROWS", 10)

    class Stopped(Exception):
        """As Ctrl-C."""

    def stop(rows: int) -> None:
        if rows > 20:
            raise Stopped

    with pytest.raises(Stopped):
        await rotating.renew(db, ring(), BY, stop)
    assert await versions(db) == {"1", "2"} and await all_reads(db)
    done = await rotating.renew(db, ring(), BY)
    assert done.made == 0, "there is no third key"
    assert await versions(db) == {"2"} and await all_reads(db)
    seen: list[int] = []
    assert await rotating.renew(db, ring(), BY, seen.append) == Renewed(0, 0, 0, 0, 2)
    assert seen[-1] == 4 * PEOPLE + 2


async def test_what_is_older_than_sealing_is_sealed(db: Database, database_url: str) -> None:
    await peopled(db)
    await db.run("UPDATE delivery SET address = :address, recipient_id = :address", address=ADDRESS)
    await db.run("UPDATE notification SET content = jsonb_build_object('text', CAST(:text AS text))", text=TEXT)
    await db.run("UPDATE recipient SET addresses = jsonb_build_object('email', CAST(:a AS text))", a=ADDRESS)
    await db.run("DELETE FROM tenant_key WHERE tenant_id = 'other'")
    assert await resealing.plain(db) == {"delivery": 2 * PEOPLE, "notification": 2 * PEOPLE, "recipient": 2}
    done = await rotating.renew(db, ring(), BY)
    assert (done.resealed, done.closed) == (4 * PEOPLE + 2, 0)
    assert await resealing.plain(db) == {"delivery": 0, "notification": 0, "recipient": 0}
    assert "plain" not in await versions(db)
    async with opened(database_url, KEYS) as later:
        assert await all_reads(later)


async def test_a_row_that_changes_meanwhile_keeps_the_change(db: Database) -> None:
    """Between the look and the update: erased, and put anew."""
    await peopled(db)
    fields = [(channel.name, channel.address) for channel in CHANNELS.values()]
    table = resealing._DELIVERY
    await rotating._make(db, ring())
    rows = await db.run(table.page, most=500, **resealing._behind(table.start))
    changes, closed = await resealing._changes(db, vault(), table, rows)
    assert (len(changes), closed) == (2 * PEOPLE, 0)
    await erase(db, "acme", ADDRESS, secret=b"", fields=fields, by=BY)
    columns = dict(zip(table.columns, map(list, zip(*changes, strict=True)), strict=True))
    assert len(await db.run(table.update, **columns)) == PEOPLE
    left = await db.run(
        "SELECT DISTINCT tenant_id, recipient_id, address IS NULL AS gone FROM delivery WHERE address IS NULL"
    )
    assert [tuple(row) for row in left] == [("acme", "erased", True)]


async def test_what_does_not_open_keeps_the_old_keys(db: Database) -> None:
    await peopled(db)
    await db.run("UPDATE delivery SET address = left(address, 30) WHERE seq = 0 AND tenant_id = 'acme'")
    await rotating.renew(db, ring(), BY)
    await aged(db)
    done = await rotating.renew(db, ring(), BY)
    assert done.closed > 0 and (done.destroyed, done.waiting) == (0, 2)


async def test_erased_in_the_middle_of_a_rotation_is_found_in_both_forms(db: Database, database_url: str) -> None:
    await peopled(db)
    async with opened(database_url, KEYS) as stale:
        await accept(stale, to_zoe())
        await rotating._make(db, ring())
        await accept(stale, to_zoe())
    async with opened(database_url, KEYS) as fresh:
        await accept(fresh, to_zoe())
        assert (
            len(
                {row.recipient_id for row in await db.run("SELECT recipient_id FROM delivery WHERE tenant_id = 'acme'")}
            )
            == 2
        )
        fields = [(channel.name, channel.address) for channel in CHANNELS.values()]
        done = await erase(fresh, "acme", ADDRESS, secret=b"", fields=fields, by=BY)
    assert done and done.deliveries == PEOPLE + 3


async def _alone(db: Database, batch: UUID) -> bool:
    await db.run("UPDATE delivery SET due_at = now() WHERE batch_id = :b", b=batch)
    (doubt,) = await doubts.put_off(db, leg(batch, RESENDING), 12.0, 10)
    assert doubt.claim.address
    return doubt.alone


async def test_while_a_data_key_changes_nobody_counts_as_alone(db: Database) -> None:
    """The same person's id may stand in two forms: a message found could be either send's."""
    batch = await accepted_batch(db, [RESENDING])
    one = leg(batch, RESENDING)
    answers = [Answered(claim, in_doubt("timeout"), False) for claim in await deliveries.claim(db, one, 1)]
    await deliveries.record(db, RESENDING, one.provider, one.priority, answers, keep_refs=False)
    await let_pass(db, batch, 1500)
    assert await _alone(db, batch)
    await rotating.renew(db, ring(), BY)
    assert not await _alone(db, batch)
    await aged(db)
    await rotating.renew(db, ring(), BY)
    assert await _alone(db, batch)


async def test_a_claim_is_as_good_after_the_key_was_changed(db: Database) -> None:
    batch = batch_of(await accept(db, to_zoe()))
    await rotating.renew(db, ring(), BY)
    (claim,) = await deliveries.claim(db, leg(batch, EMAIL), 10)
    assert claim.address == ADDRESS
