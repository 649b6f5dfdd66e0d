"""Sealed values: what anybody finds who reads the tables, who can open them, and where."""

import asyncio
import re
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_side import accepted_batch, all_is_true, leg
from protocol_rows import RESENDING
from seeding import CHANNELS, accept, batch_of, sent, submission
from vaults import KEYS, everything, vault

from domain.channels import EMAIL
from domain.ids import DeliveryId, new_id
from domain.messages import Content
from domain.receipts import Receipt, Report
from domain.submissions import Recipient
from domain.suppressions import Reason
from ledger import deliveries, listing, notifications, recipients, suppressions
from ledger.audit import By
from ledger.database import Database
from ledger.erasing import erase
from ledger.intake import Intake
from ledger.keyring import Keyring, Unreadable, keyring_of, new_key
from ledger.listing import Filters
from ledger.receipts import hear
from ledger.recipients import Person
from ledger.sealing import DataKey, version_of
from settings import Settings, SettingsError

ADDRESS, NUMBER, TOKEN = "zoe.quine@example.com", "+14155550137", "token-of-zoe-quine"
TEXT = "The zebra quits at dawn"
OTHER = f"other:{b64encode(bytes(32)).decode()}"


@asynccontextmanager
async def opened(url: str, keys: str = KEYS) -> AsyncIterator[Database]:
    """The ledger as another process sees it, with these keys."""
    db = Database(url, vault=vault(keys), pool_size=2)
    yield db
    await db.close()


def to_zoe() -> Recipient:
    """Known by her address alone."""
    return Recipient(ADDRESS, {"email": ADDRESS, "phone": NUMBER, "push_token": TOKEN}, known=True)


async def test_no_address_and_no_word_is_in_any_table(db: Database) -> None:
    await recipients.put(db, "acme", Person("zq", {"email": ADDRESS, "phone": NUMBER}))
    await recipients.put_all(db, "acme", [Person("zq2", {"push_token": TOKEN})])
    one = replace(
        submission(channels=("email", "sms", "push"), content=Content(TEXT, subject=TEXT, html=TEXT, title=TEXT)),
        recipients=(to_zoe(), Recipient("zq")),
    )
    batch = batch_of(await accept(db, one))
    await sent(db, batch, EMAIL)
    for number, report in enumerate((Report.DELIVERED, Report.UNDELIVERED)):
        await hear(db, [_receipt(batch, number, report)])
    said = await everything(db)
    assert "delivered" in said and "sealed 1 " in said
    for secret in (ADDRESS, ADDRESS.upper(), "zoe.quine", NUMBER, TOKEN, TEXT, "zebra"):
        assert secret not in said, secret
    (kept,) = await suppressions.listed(db, "acme", 10)
    assert kept.hint == "z***@example.com"
    await all_is_true(db)


def _receipt(batch: UUID, seq: int, report: Report) -> Receipt:
    bounced = Reason.HARD_BOUNCE if report is Report.UNDELIVERED else None
    return Receipt(
        "sendgrid",
        f"event-{seq}",
        report,
        datetime.now(UTC),
        delivery=DeliveryId(batch, seq),
        suppress=bounced,
    )


async def test_who_keeps_text_has_words_and_still_no_addresses(db: Database) -> None:
    one = replace(submission(content=Content(TEXT)), recipients=(to_zoe(),))
    await accept(db, one, keeps_text=True)
    said = await everything(db)
    assert "zebra" in said
    assert "zoe.quine" not in said and TEXT not in said


async def test_what_was_sealed_is_sent_shown_and_found(db: Database) -> None:
    one = replace(submission(content=Content(TEXT, data={"n": 1})), recipients=(to_zoe(),))
    batch = batch_of(await accept(db, one))
    (claim,) = await deliveries.claim(db, leg(batch, EMAIL), 10)
    assert (claim.address, claim.closed) == (ADDRESS, "")
    letter = (await deliveries.letters(db, [one.id]))[one.id]
    assert letter.content == Content(TEXT, data={"n": 1}) and not letter.closed
    shown = await notifications.status(db, "acme", one.id, limit=10, after=None, events=False)
    assert shown and [each.recipient for each in shown.deliveries] == [ADDRESS]
    page = await listing.listing(db, "acme", Filters(recipient=ADDRESS), 10, None)
    assert [each.id for each in page.found] == [one.id]
    assert not (await listing.listing(db, "acme", Filters(recipient="other@example.com"), 10, None)).found


async def test_a_person_in_the_book_is_read_as_they_were_put(db: Database) -> None:
    person = Person("zq", {"email": ADDRESS}, "de", "Europe/Berlin")
    put, _ = await recipients.put(db, "acme", person)
    assert await recipients.get(db, "acme", "zq") == put == replace(person, updated_at=put.updated_at)
    assert await recipients.listed(db, "acme", 10) == [put]


async def test_what_is_older_than_sealing_is_read(db: Database) -> None:
    """As the version before wrote it."""
    one = replace(submission(content=Content(TEXT)), recipients=(to_zoe(),))
    batch = batch_of(await accept(db, one))
    await made_plain(db, batch)
    (claim,) = await deliveries.claim(db, leg(batch, EMAIL), 10)
    assert claim.address == ADDRESS
    assert (await deliveries.letters(db, [one.id]))[one.id].content.text == TEXT
    shown = await notifications.status(db, "acme", one.id, limit=10, after=None, events=False)
    assert shown and [each.recipient for each in shown.deliveries] == [ADDRESS]
    assert len((await listing.listing(db, "acme", Filters(recipient=ADDRESS), 10, None)).found) == 1
    await db.run("""INSERT INTO recipient VALUES ('acme', 'old', '{"email": "old@example.com"}')""")
    old = await recipients.get(db, "acme", "old")
    assert old and old.addresses == {"email": "old@example.com"}


async def made_plain(db: Database, batch: UUID) -> None:
    """What the version before would have written."""
    values = {"address": ADDRESS, "batch": batch}
    await db.run("UPDATE delivery SET address = :address, recipient_id = :address WHERE batch_id = :batch", **values)
    await db.run("UPDATE notification SET content = jsonb_build_object('text', CAST(:text AS text))", text=TEXT)


MOVES = {
    "another row": "UPDATE delivery SET address = (SELECT address FROM delivery WHERE tenant_id = 'acme' AND seq = 1)",
    "another tenant": "UPDATE delivery SET address = (SELECT address FROM delivery WHERE tenant_id = 'other')",
    "another field": """UPDATE delivery SET address = (
        SELECT content #>> '{}' FROM notification n WHERE n.id = notification_id)""",
    "changed": "UPDATE delivery SET address = overlay(address PLACING 'AAAA' FROM 20)",
    "cut": "UPDATE delivery SET address = left(address, 20)",
}


@pytest.mark.parametrize("move", MOVES)
async def test_a_value_opens_only_where_it_was_sealed(db: Database, move: str) -> None:
    batch = await accepted_batch(db, [RESENDING], 2)
    await accepted_batch(db, [RESENDING], tenant="other")
    await db.run(f"{MOVES[move]} WHERE tenant_id = 'acme' AND seq = 0")
    first, second = await deliveries.claim(db, leg(batch, RESENDING), 2)
    assert first.address == "" and "does not open" in first.closed
    assert second.address and not second.closed


async def test_without_its_key_nothing_is_lost_and_all_is_said(db: Database, database_url: str) -> None:
    one = replace(submission(content=Content(TEXT)), recipients=(to_zoe(),))
    batch = batch_of(await accept(db, one))
    async with opened(database_url, OTHER) as keyless:
        (claim,) = await deliveries.claim(keyless, leg(batch, EMAIL), 10)
        assert claim.address == ""
        assert claim.closed == "CLARION_ENCRYPTION_KEYS lacks the key tests, which tenant acme's data key 1 needs"
        assert (await deliveries.letters(keyless, [one.id]))[one.id].closed == claim.closed
        both = await accept(keyless, submission(), submission(tenant="other"))
        assert [getattr(verdict, "code", "accepted") for verdict in both.verdicts] == ["unavailable", "accepted"]
        with pytest.raises(Unreadable, match="lacks the key tests"):
            await notifications.status(keyless, "acme", one.id, limit=1, after=None, events=False)
    namesake = f"tests:{b64encode(bytes(32)).decode()}"
    async with opened(database_url, namesake) as wrong:
        with pytest.raises(Unreadable, match="is not the one that wrapped"):
            await recipients.put(wrong, "acme", Person("zq"))
    assert [row.tenant_id for row in await db.run("SELECT tenant_id FROM notification")] == ["acme", "other"]


async def test_one_persons_entry_that_does_not_open_hurts_no_neighbour(db: Database) -> None:
    for name in ("ann", "bob"):
        await recipients.put(db, "acme", Person(name, {"email": ADDRESS}))
    await db.run("UPDATE recipient SET addresses = (SELECT addresses FROM recipient WHERE id = 'bob') WHERE id = 'ann'")
    ann, bob = (replace(submission(), recipients=(Recipient(name),), id=new_id()) for name in ("ann", "bob"))
    flush = await accept(db, ann, bob)
    assert [getattr(verdict, "code", "accepted") for verdict in flush.verdicts] == ["unavailable", "accepted"]


async def test_a_report_does_not_wait_for_a_key(db: Database, database_url: str) -> None:
    batch = batch_of(await accept(db, submission()))
    await sent(db, batch, EMAIL)
    async with opened(database_url, OTHER) as keyless:
        await hear(keyless, [_receipt(batch, 0, Report.UNDELIVERED)])
    (kept,) = await suppressions.listed(db, "acme", 10)
    assert kept.hint is None and kept.reason is Reason.HARD_BOUNCE


async def test_erased_nothing_is_left_to_read(db: Database) -> None:
    one = replace(submission(content=Content(TEXT)), recipients=(to_zoe(),))
    await accept(db, one)
    before = set(re.findall(r"sealed 1 ([A-Za-z0-9+/=]+)", await everything(db)))
    assert len(before) == 3
    fields = [(channel.name, channel.address) for channel in CHANNELS.values()]
    done = await erase(db, "acme", ADDRESS, secret=b"", fields=fields, by=By("test"))
    assert done and (done.deliveries, done.contents) == (1, 1)
    said = await everything(db)
    assert "sealed" not in said
    assert [value for value in before if value in said] == []
    assert await erase(db, "acme", ADDRESS, secret=b"", fields=fields, by=By("test")) is None


async def test_many_that_come_first_at_once_agree_on_one_key(db: Database, database_url: str) -> None:
    async def taken(n: int) -> None:
        async with opened(database_url) as other:
            await Intake(other, CHANNELS, cap=512).accept([submission(tenant=f"tenant-{m}") for m in range(n, n + 5)])

    await asyncio.gather(*(taken(n) for n in range(6)))
    (row,) = await db.run("SELECT count(*) AS n, count(DISTINCT tenant_id) AS tenants FROM tenant_key")
    assert (row.n, row.tenants) == (10, 10)
    rows = await db.run("SELECT tenant_id, batch_id, seq, address FROM delivery")
    assert len(rows) == 30
    closed = [claim.closed for claim in await deliveries.as_claims(db, await _as_claimed(db))]
    assert closed == [""] * 30


async def _as_claimed(db: Database) -> list[object]:
    return list(await db.run("SELECT *, false AS again FROM delivery"))


async def test_keys_are_asked_for_once_for_all_tenants_of_a_batch(db: Database, database_url: str) -> None:
    group = [submission(tenant=f"tenant-{n}") for n in range(20)]
    await accept(db, *group)
    asked: list[str] = []
    async with opened(database_url) as fresh:

        async def ask(statement: str, **values: object) -> object:
            asked.append(statement)
            return await db.run(statement, **values)

        rows = await db.run("SELECT tenant_id, address FROM delivery")
        for _ in range(3):
            await fresh.vault.opening(ask, [(row.tenant_id, row.address) for row in rows])  # type: ignore[arg-type]
            await fresh.vault.sealing(ask, {one.tenant for one in group})  # type: ignore[arg-type]
    assert len(asked) == 1


@given(text=st.text(), place=st.binary(max_size=40), version=st.integers(1, 10**9), tenant=st.text(max_size=20))
def test_any_text_comes_back_and_only_there(text: str, place: bytes, version: int, tenant: str) -> None:
    text, tenant = (each.encode(errors="ignore").decode() for each in (text, tenant))
    key = DataKey(tenant, version, bytes(32))
    sealed, same = key.seal(place, text), key.seal_same(place, text)
    assert version_of(sealed) == version_of(same) == version
    assert key.open(place, sealed) == key.open(place, same) == text
    assert key.seal(place, text) != sealed and key.seal_same(place, text) == same
    for other, where in (
        (key, place + b"x"),
        (DataKey(tenant + "x", version, bytes(32)), place),
        (DataKey(tenant, version, bytes(31) + b"x"), place),
    ):
        with pytest.raises(Unreadable):
            other.open(where, sealed)


@given(st.text())
def test_what_is_no_sealed_value_is_never_taken_for_one(text: str) -> None:
    assert version_of(text) is None
    assert version_of(f"sealed {text}") is None or text.partition(" ")[0].isdigit()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("x", "entry 1 is not ID:BASE64"),
        ("a:QUJD", "entry 1 is not ID:BASE64"),
        (f"{KEYS},b:!", "entry 2 is not ID:BASE64"),
        (f"{KEYS},{KEYS}", "the id tests is there twice"),
        (None, "`clarion secrets new` prints one"),
    ],
)
def test_a_wrong_setting_is_one_line_without_the_key(text: str | None, why: str) -> None:
    with pytest.raises(SettingsError) as caught:
        keyring_of(Settings(encryption_keys=text))
    assert why in str(caught.value) and "\n" not in str(caught.value)
    assert "QUJD" not in str(caught.value) and KEYS.partition(":")[2] not in str(caught.value)


def test_a_new_key_is_what_the_setting_takes() -> None:
    both = f"{new_key('b')}, {new_key('a')}"
    ring = keyring_of(Settings(encryption_keys=both))
    assert ring.ids == ("b", "a") and ring.newest == "b"
    wrapped = ring.wrap("acme", 1, b"k" * 32)
    assert ring.unwrap("b", "acme", 1, wrapped) == b"k" * 32
    for tenant, version in (("acme", 2), ("other", 1)):
        with pytest.raises(Unreadable):
            ring.unwrap("b", tenant, version, wrapped)
    with pytest.raises(Unreadable, match="lacks the key a"):
        Keyring({"b": b"k" * 32}).unwrap("a", "acme", 1, wrapped)


async def test_an_id_that_looks_sealed_is_only_an_id(db: Database) -> None:
    strange = Recipient("sealed 1 AAAA", {"email": ADDRESS}, known=True)
    one = replace(submission(), recipients=(strange,), id=new_id())
    await accept(db, one)
    shown = await notifications.status(db, "acme", one.id, limit=1, after=None, events=False)
    assert shown and shown.deliveries[0].recipient == strange.id
