"""Addresses that get nothing more: who adds them, and what becomes of messages to them."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import pytest
from ledger_side import REFUSED, accepted_batch, all_is_true, leg, let_pass, row, sent, statuses

from domain.channels import EMAIL, SMS
from domain.ids import DeliveryId, new_id
from domain.outcomes import Answer, Outcome, accepted, in_doubt
from domain.receipts import Receipt, Report
from domain.suppressions import Reason, blind, hint
from ledger import suppressions
from ledger.audit import By
from ledger.database import Database
from ledger.deliveries import abandon, claim, due
from ledger.receipts import hear

ME = By("test")
ADDRESS = "a@example.org"


def receipt(batch: UUID, suppress: Reason | None, report: Report = Report.UNDELIVERED, seq: int = 0) -> Receipt:
    """A vendor's word on a delivery."""
    now = datetime.now(UTC)
    return Receipt("sendgrid", str(new_id()), report, now, delivery=DeliveryId(batch, seq), suppress=suppress)


async def suppress(db: Database, reason: Reason = Reason.MANUAL) -> None:
    """By hand."""
    address_hash = blind(b"", "acme", "email", ADDRESS)
    await suppressions.put(db, "acme", "email", address_hash, shown=hint(ADDRESS), reason=reason, by=ME)


@pytest.mark.parametrize("reason", [Reason.HARD_BOUNCE, Reason.COMPLAINT, Reason.UNSUBSCRIBE])
async def test_a_receipt_suppresses_what_is_accepted_after_it(db: Database, reason: Reason) -> None:
    batch = await accepted_batch(db, [EMAIL])
    await sent(db, batch, EMAIL, accepted("m"))
    await hear(db, [receipt(batch, reason), receipt(batch, reason)])
    (entry,) = await suppressions.listed(db, "acme", 10)
    assert (entry.reason, entry.source, entry.hint) == (reason, "sendgrid", "a***@example.org")
    later = await accepted_batch(db, [EMAIL])
    status, provider, *_, why = await row(db, later)
    assert (status, provider) == ("suppressed", None)
    words = {Reason.HARD_BOUNCE: "bounced", Reason.COMPLAINT: "complained", Reason.UNSUBSCRIBE: "unsubscribed"}
    assert why == f"{words[reason]} on {entry.at.astimezone(UTC):%Y-%m-%d} by sendgrid"
    assert await statuses(db, await accepted_batch(db, [EMAIL], tenant="other")) == ["queued"]
    assert await statuses(db, await accepted_batch(db, [SMS])) == ["queued"]
    await all_is_true(db, later)


async def test_the_address_itself_is_not_in_the_table(db: Database) -> None:
    await suppress(db)
    (shown,) = await db.run("SELECT s::text AS shown FROM suppression s")
    assert ADDRESS not in shown.shown


async def test_an_opt_out_leaves_the_delivery_as_it_is(db: Database) -> None:
    batch = await accepted_batch(db, [EMAIL])
    await sent(db, batch, EMAIL, accepted("m"))
    heard = await hear(db, [receipt(batch, Reason.COMPLAINT, Report.OPTED_OUT)])
    assert heard.moved == 0 and await statuses(db, batch) == ["sent"]
    assert len(await suppressions.listed(db, "acme", 10)) == 1
    await all_is_true(db, batch)


async def test_a_parked_receipt_suppresses_once_its_send_is_known(db: Database) -> None:
    from ledger.deliveries import Answered, record
    from ledger.receipts import match

    batch = await accepted_batch(db, [EMAIL])
    one = leg(batch, EMAIL)
    claims = await claim(db, one, 1)
    now = datetime.now(UTC)
    await hear(db, [Receipt("ses", "e", Report.UNDELIVERED, now, message_id="m", suppress=Reason.HARD_BOUNCE)])
    assert not await suppressions.listed(db, "acme", 10)
    await record(db, EMAIL, "ses", one.priority, [Answered(claims[0], accepted("m"), False)], keep_refs=True)
    await match(db, [("ses", "m")])
    assert [each.source for each in await suppressions.listed(db, "acme", 10)] == ["ses"]


async def test_a_refusal_while_sending_suppresses(db: Database) -> None:
    batch = await accepted_batch(db, [EMAIL])
    await sent(db, batch, EMAIL, Answer(Outcome.REJECTED, reason="400 21610", suppress=Reason.UNSUBSCRIBE))
    assert [each.reason for each in await suppressions.listed(db, "acme", 10)] == [Reason.UNSUBSCRIBE]


@pytest.mark.parametrize("reason", list(Reason))
async def test_suppressed_between_accept_and_claim(db: Database, reason: Reason) -> None:
    batch = await accepted_batch(db, [EMAIL], 3)
    await suppress(db, reason)
    one = leg(batch, EMAIL)
    assert await due(db, one) == 0 and await claim(db, one, 10) == []
    found = await abandon(db, one)
    assert found.due == 0 and await statuses(db, batch) == ["suppressed"] * 3
    assert "by api" in ((await row(db, batch))[4] or "")
    await all_is_true(db, batch)


async def test_a_bounce_does_not_stop_the_fallback_and_an_unsubscription_does(db: Database) -> None:
    batch = await accepted_batch(db, [EMAIL])
    await sent(db, batch, EMAIL, REFUSED)
    await let_pass(db, batch, 60)
    await suppress(db, Reason.HARD_BOUNCE)
    assert await due(db, leg(batch, EMAIL)) == 1
    await db.run("UPDATE suppression SET reason = 'unsubscribe'")
    await abandon(db, leg(batch, EMAIL))
    assert await statuses(db, batch) == ["suppressed"]
    await all_is_true(db, batch)


async def test_with_doubts_nobody_says_nothing_was_sent(db: Database) -> None:
    batch = await accepted_batch(db, [EMAIL])
    await sent(db, batch, EMAIL, in_doubt("timeout"))
    await db.run("UPDATE delivery SET status = 'queued' WHERE batch_id = :b", b=batch)
    await suppress(db)
    await abandon(db, leg(batch, EMAIL))
    assert await statuses(db, batch) == ["unconfirmed"]


async def test_a_wish_outweighs_a_bounce_and_is_not_replaced_by_one(db: Database) -> None:
    batch = await accepted_batch(db, [EMAIL])
    for reason, kept in (
        (Reason.HARD_BOUNCE, Reason.HARD_BOUNCE),
        (Reason.UNSUBSCRIBE, Reason.UNSUBSCRIBE),
        (Reason.HARD_BOUNCE, Reason.UNSUBSCRIBE),
    ):
        await hear(db, [receipt(batch, reason, Report.OPTED_OUT)])
        assert [each.reason for each in await suppressions.listed(db, "acme", 10)] == [kept]


async def test_flushes_that_suppress_the_same_addresses_do_not_lock_each_other_out(db: Database) -> None:
    for n in range(20):
        await accepted_batch(db, [EMAIL], addresses={"email": f"p{n}@example.org"})
    rows = await db.run("SELECT batch_id FROM delivery ORDER BY random()")
    orders = [[r.batch_id for r in rows], [r.batch_id for r in reversed(rows)]] * 2
    said = [[receipt(batch, Reason.COMPLAINT, Report.OPTED_OUT) for batch in order] for order in orders]
    await asyncio.gather(*(hear(db, each) for each in said))
    assert len(await suppressions.listed(db, "acme", 100)) == 20


async def test_lifted_it_is_written_to_again_and_the_log_knows(db: Database) -> None:
    await suppress(db)
    address_hash = blind(b"", "acme", "email", ADDRESS)
    assert not await suppressions.lift(db, "other", "email", address_hash, ME)
    assert await suppressions.lift(db, "acme", "email", address_hash, ME)
    assert not await suppressions.lift(db, "acme", "email", address_hash, ME)
    assert await statuses(db, await accepted_batch(db, [EMAIL])) == ["queued"]
    acts = [each.action for each in await db.run("SELECT action FROM audit ORDER BY id")]
    assert acts == ["suppression.add", "suppression.lift"]
    assert await claim(db, leg(await accepted_batch(db, [EMAIL]), EMAIL), 1)


def test_different_owners_have_different_hashes() -> None:
    made = {blind(s, t, c, "a") for s in (b"", b"x") for t in ("a", "b") for c in ("email", "sms")}
    assert len(made) == 8


@pytest.mark.parametrize(("address", "shown"), [("a@b.c", "a***@b.c"), ("+14155550100", "+14***00"), ("tok", "tok***")])
def test_a_hint(address: str, shown: str) -> None:
    assert hint(address) == shown
