"""A person erased: nothing that leads to them is left anywhere in the database but a hash."""

from dataclasses import replace
from datetime import UTC, datetime

from ledger_side import all_is_true, leg, submission
from seeding import CHANNELS

from domain.channels import EMAIL
from domain.ids import DeliveryId, new_id
from domain.messages import Content
from domain.outcomes import Answer, Outcome
from domain.receipts import Receipt, Report
from domain.submissions import Recipient, Submission
from domain.suppressions import Reason
from ledger import recipients, suppressions
from ledger.audit import By
from ledger.database import Database
from ledger.deliveries import Answered, abandon, claim, letters, record
from ledger.erasing import Erased, erase
from ledger.intake import Intake
from ledger.receipts import hear
from ledger.recipients import Person

ADDRESSES = {"email": "zoe.quine@example.org", "phone": "+14155550177", "push_token": "zoe-token"}
ZOE = Recipient("zoe", ADDRESSES, known=True)
TRACES = ("quine", "4155550177", "zoe-token", "Zoe", "zoe")


async def erased(db: Database, id: str = "zoe") -> Erased | None:
    """As the API does."""
    fields = [(channel.name, channel.address) for channel in CHANNELS.values()]
    return await erase(db, "acme", id, secret=b"", fields=fields, by=By("test"))


async def found_anywhere(db: Database) -> list[tuple[str, str]]:
    """Tables whose rows hold a trace, in any column as text."""
    tables = await db.run(
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"
    )
    hits: list[tuple[str, str]] = []
    for table in tables:
        for trace in TRACES:
            rows = await db.run(
                f'SELECT count(*) FROM "{table.relname}" t WHERE position(:trace IN t::text) > 0', trace=trace
            )
            hits += [(table.relname, trace)] if rows[0][0] else []
    return hits


async def put(db: Database, *others: str) -> Submission:
    """Zoe in the book, and a notification to her and others, committed."""
    await recipients.put(db, "acme", Person("zoe", ADDRESSES))
    to = (Recipient("zoe", ADDRESSES, known=True), *submission(recipients=len(others)).recipients)
    one = Submission(
        "acme",
        ("email",),
        to,
        Content("Dear Zoe" if not others else "Hello all"),
        metadata={"for": "Zoe"} if not others else {"n": 1},
        priority=submission().priority,
    )
    await Intake(db, CHANNELS, cap=512).accept([one])
    return one


async def test_no_trace_is_left(db: Database) -> None:
    await put(db)
    (where,) = await db.run("SELECT batch_id FROM delivery")
    one = leg(where.batch_id, EMAIL)
    (claimed,) = await claim(db, one, 1)
    answer = Answer(Outcome.ACCEPTED, message_id="m-zoe", reason="for zoe")
    await record(db, EMAIL, "sendgrid", one.priority, [Answered(claimed, answer, False)], keep_refs=False)
    now, delivery = datetime.now(UTC), DeliveryId(where.batch_id, 0)
    said = Receipt(
        "sendgrid",
        str(new_id()),
        Report.UNDELIVERED,
        now,
        delivery=delivery,
        reason="no zoe.quine here",
        suppress=Reason.HARD_BOUNCE,
    )
    await hear(db, [said])
    await put(db)
    assert await found_anywhere(db)
    done = await erased(db)
    assert done and (done.in_book, done.deliveries, done.contents) == (True, 2, 2)
    assert await found_anywhere(db) == []
    (kept,) = await suppressions.listed(db, "acme", 10)
    assert kept.hint is None and kept.reason is Reason.HARD_BOUNCE
    assert [r.recipient_id for r in await db.run("SELECT recipient_id FROM delivery")] == ["erased"] * 2
    assert await erased(db) is None
    await all_is_true(db)


async def test_what_waits_is_cancelled_and_others_keep_theirs(db: Database) -> None:
    await put(db, "bob", "carl")
    done = await erased(db)
    assert done and (done.cancelled, done.contents) == (1, 0) and len(done.wake) == 1
    rows = await db.run("SELECT status, address IS NOT NULL AS has FROM delivery ORDER BY seq")
    assert [tuple(r) for r in rows] == [("cancelled", False), ("queued", True), ("queued", True)]
    (kept,) = await db.run("SELECT id, metadata FROM notification")
    assert (await letters(db, [kept.id]))[kept.id].content.text == "Hello all" and kept.metadata == {"n": 1}
    await all_is_true(db)


async def test_one_under_way_is_never_claimed_again(db: Database) -> None:
    await put(db)
    (where,) = await db.run("SELECT batch_id FROM delivery")
    one = leg(where.batch_id, EMAIL)
    (claimed,) = await claim(db, one, 1)
    done = await erased(db)
    assert done and done.cancelled == 0
    busy = Answer(Outcome.THROTTLED, reason="busy", retry_after=0)
    await record(db, EMAIL, "sendgrid", one.priority, [Answered(claimed, busy, False)], keep_refs=False)
    assert await claim(db, one, 1) == []
    await abandon(db, one)
    (row,) = await db.run("SELECT status, reason FROM delivery")
    assert tuple(row) == ("suppressed", "erased")
    await all_is_true(db)


async def test_more_than_a_chunk_and_nobody(db: Database) -> None:
    group = [submission(recipients=1) for _ in range(510)]
    await Intake(db, CHANNELS, cap=512).accept(group)
    done = await erased(db, "person-0")
    assert done and (done.in_book, done.deliveries, done.cancelled) == (False, 510, 510)
    assert await erased(db, "erased") is None and await erased(db, "nobody") is None


async def test_nobody_finds_them_by_words_tags_or_metadata(db: Database) -> None:
    hers = replace(submission(text="Dear Zoe Quine"), metadata={"for": "Zoe"}, tags=("zoe",), recipients=(ZOE,))
    others = replace(hers, id=new_id(), recipients=(ZOE, *submission().recipients))
    intake = Intake(db, CHANNELS, cap=512, keeps_text=lambda tenant: True)
    await intake.accept([hers, others])
    assert await erased(db)
    found = await db.run("SELECT DISTINCT notification_id FROM search_entry")
    assert [row.notification_id for row in found] == [others.id], "of a notification to others too, the text stays"
    (row,) = await db.run("SELECT tags, metadata FROM notification WHERE id = :id", id=hers.id)
    assert tuple(row) == ([], None)
