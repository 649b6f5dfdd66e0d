"""Dead letters: found, queued again with their whole budget, or given up; nobody else's touched."""

from uuid import UUID

from seeding import CHANNELS, accept, batch_of, claim_due, dead, sent, statuses, submission

from domain.channels import EMAIL, SMS
from domain.ids import DeliveryId
from domain.runs import Order
from domain.settling import Rules
from ledger.database import Database
from ledger.dead_letter_list import Which, count, listed
from ledger.dead_letters import discard, of_run, one, redrive, retry
from ledger.notifications import Standing, status
from ledger.settling import settle


async def buried(
    db: Database, channel: str = "sms", tenant: str = "acme", recipients: tuple[str, ...] = ("ann",)
) -> UUID:
    flush = await accept(db, submission(channels=(channel,), tenant=tenant, recipients=recipients))
    await dead(db, batch_of(flush), CHANNELS[channel])
    return batch_of(flush)


async def test_a_list_shows_who_and_why(db: Database) -> None:
    batch = await buried(db)
    (letter,) = await listed(db, Which(tenant="acme"), 10, None)
    assert (letter.id, letter.recipient, letter.channel, letter.provider, letter.reason, letter.attempts) == (
        DeliveryId(batch, 0),
        "ann",
        "sms",
        "sns",
        "refused",
        SMS.tries * 2,
    )


async def test_filters_and_pages(db: Database) -> None:
    batches = [await buried(db, "sms"), await buried(db, "push"), await buried(db, "sms", tenant="other")]
    assert await count(db, Which()) == 3
    assert await count(db, Which(tenant="acme")) == 2
    assert await count(db, Which(tenant="acme", channel="push")) == 1
    assert await count(db, Which(provider="sns")) == 2
    assert await count(db, Which(reason="other")) == 0
    newest = (await listed(db, Which(), 1, None))[0]
    assert newest.id.batch == batches[2]
    assert await count(db, Which(since=newest.dead_at)) == 1
    assert await count(db, Which(until=newest.dead_at)) == 2
    seen, after = [], None
    while page := await listed(db, Which(), 2, after):
        seen += [letter.id.batch for letter in page]
        after = (page[-1].dead_at, page[-1].id)
    assert seen == batches[::-1]


async def test_a_retry_gives_the_whole_budget_at_the_first_of_the_route(db: Database) -> None:
    batch = await buried(db)
    (notification,) = await db.run("SELECT id FROM notification")
    assert await db.run("SELECT 1 FROM notification_end")
    done = await retry(db, CHANNELS, one(DeliveryId(batch, 0), "acme"))
    assert (done.moved, done.wake) == (1, ((batch, "sms"),))
    (row,) = await db.run("SELECT status, provider, tries, attempt, reason FROM delivery")
    assert row == ("queued", "twilio", 0, SMS.tries * 2, None)
    assert not await db.run("SELECT 1 FROM dead_letter") and not await db.run("SELECT 1 FROM notification_end")
    (books,) = await db.run("SELECT done_at, next_look_at <= now() AS due FROM batch_channel")
    assert books == (None, True)
    await sent(db, batch, SMS)
    found = await status(db, "acme", notification.id, limit=1, after=None, events=False)
    assert isinstance(found, Standing) and found.overview.status == "PROCESSING"


async def test_a_retry_through_a_chosen_provider(db: Database) -> None:
    batch = await buried(db)
    assert (await retry(db, CHANNELS, Which(batch=batch), provider="sns")).moved == 1
    assert len(await claim_due(db, batch, SMS, "sns")) == 1


async def test_a_provider_of_another_channel_moves_nothing(db: Database) -> None:
    batch = await buried(db)
    assert (await retry(db, CHANNELS, Which(batch=batch), provider="ses")).moved == 0
    assert list((await statuses(db, batch)).values()) == ["dead"]


async def test_a_run_signal_names_channel_and_rows(db: Database) -> None:
    batch = await buried(db, recipients=("ann", "bob", "cid"))
    order = Order(str(batch), "sms", [1], None)
    assert (await retry(db, CHANNELS, of_run(order))).moved == 1
    assert list((await statuses(db, batch)).values()) == ["dead", "queued", "dead"]
    assert (await discard(db, of_run(Order(str(batch), "sms", None, None)))).moved == 2
    assert list((await statuses(db, batch)).values()) == ["failed", "queued", "failed"]


async def test_what_is_discarded_has_failed_and_its_run_ends(db: Database) -> None:
    batch = await buried(db)
    assert not (await settle(db, batch, Rules.clear(SMS))).state.finished
    done = await discard(db, one(DeliveryId(batch, 0), None))
    assert (done.moved, done.wake) == (1, ((batch, "sms"),))
    assert (await settle(db, batch, Rules.clear(SMS))).state.finished
    (row,) = await db.run("SELECT status, reason FROM delivery")
    assert row == ("failed", "discarded")
    assert not await db.run("SELECT 1 FROM dead_letter")


async def test_another_tenants_letter_stays(db: Database) -> None:
    batch = await buried(db, tenant="other")
    assert (await retry(db, CHANNELS, one(DeliveryId(batch, 0), "acme"))).moved == 0
    assert (await discard(db, one(DeliveryId(batch, 0), "acme"))).moved == 0


async def test_what_lives_is_not_retried_twice(db: Database) -> None:
    batch = await buried(db)
    which = one(DeliveryId(batch, 0), "acme")
    assert (await retry(db, CHANNELS, which)).moved == 1
    assert (await retry(db, CHANNELS, which)).moved == 0


async def test_a_bulk_retry_takes_all_of_a_filter_in_several_transactions(db: Database) -> None:
    names = tuple(f"r{n}" for n in range(501))
    first, second = await buried(db, "push", recipients=names[:300]), await buried(db, "push", recipients=names)
    other = await buried(db, "sms")
    done = await retry(db, CHANNELS, Which(tenant="acme", channel="push"))
    assert done.moved == 801
    assert set(done.wake) == {(first, "push"), (second, "push")}
    assert await count(db, Which()) == 1
    assert list((await statuses(db, other)).values()) == ["dead"]


async def test_a_late_receipt_and_a_retry_do_not_leave_a_letter_behind(db: Database) -> None:
    batch = await buried(db, "email")
    await retry(db, CHANNELS, Which(batch=batch))
    await sent(db, batch, EMAIL)
    assert await count(db, Which()) == 0


async def test_a_redrive_takes_what_died_with_the_provider_since_then_oldest_first(db: Database) -> None:
    before = await buried(db)
    (row,) = await db.run("SELECT now() AS now")
    first, second, third = await buried(db), await buried(db), await buried(db)
    other = await buried(db, "push")
    done = await redrive(db, CHANNELS, "sns", row.now, most=2)
    assert (done.moved, done.wake) == (2, ((first, "sms"), (second, "sms")))
    left = {row.batch_id for row in await db.run("SELECT batch_id FROM dead_letter")}
    assert left == {before, third, other}
    assert len(await claim_due(db, first, SMS, "sns")) == 1
    (event,) = await db.run("SELECT DISTINCT step, reason FROM delivery_event WHERE old = 'dead'")
    assert event == ("retry", "its provider works again")


async def test_a_redrive_leaves_to_a_person_what_may_have_arrived(db: Database) -> None:
    doubted, plain = await buried(db), await buried(db)
    await db.run("UPDATE delivery SET doubts = 1 WHERE batch_id = :b", b=doubted)
    (row,) = await db.run("SELECT now() - interval '1 h' AS since")
    done = await redrive(db, CHANNELS, "sns", row.since, most=10)
    assert (done.moved, done.wake) == (1, ((plain, "sms"),))
    assert list((await statuses(db, doubted)).values()) == ["dead"]


async def test_a_letter_comes_back_three_times_and_then_waits_for_a_person(db: Database) -> None:
    batch = await buried(db, "push")
    (row,) = await db.run("SELECT now() - interval '1 h' AS since")
    for _ in range(3):
        assert (await redrive(db, CHANNELS, "fcm", row.since, most=10)).moved == 1
        await dead(db, batch, CHANNELS["push"])
    assert (await redrive(db, CHANNELS, "fcm", row.since, most=10)).moved == 0
    assert (await retry(db, CHANNELS, Which(batch=batch))).moved == 1


async def test_no_more_are_moved_than_was_said(db: Database) -> None:
    batch = await buried(db, "push", recipients=tuple(f"r{n}" for n in range(10)))
    assert (await retry(db, CHANNELS, Which(batch=batch), most=3)).moved == 3
    assert (await discard(db, Which(batch=batch), most=3)).moved == 3
    assert await count(db, Which()) == 4
