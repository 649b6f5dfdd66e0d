"""Cancel and reschedule: what nobody has claimed, and honest about the rest."""

from datetime import UTC, datetime, timedelta

import pytest
from seeding import accept, answer, batch_of, claim_due, sent, statuses, submission

from domain.channels import EMAIL
from domain.outcomes import Answer, Outcome
from domain.settling import Rules
from domain.submissions import Refused
from ledger.database import Database
from ledger.notifications import status
from ledger.settling import settle
from ledger.stopping import cancel, reschedule


async def test_what_waits_is_cancelled_and_its_run_told(db: Database) -> None:
    one = submission(recipients=("ann", "bob"))
    batch = batch_of(await accept(db, one))
    done = await cancel(db, "acme", one.id)
    assert done is not None
    assert set(done.cancelled) == set(await statuses(db, batch)) and not done.too_late
    assert done.wake == ((batch, "email"),)
    assert set((await statuses(db, batch)).values()) == {"cancelled"}
    assert not await claim_due(db, batch, EMAIL)
    assert (await settle(db, batch, Rules.clear(EMAIL))).state.finished
    found = await status(db, "acme", one.id, limit=1, after=None, events=False)
    assert found is not None and found.overview.status == "CANCELLED"


async def test_a_second_cancel_gives_the_same_answer(db: Database) -> None:
    one = submission()
    await accept(db, one)
    first = await cancel(db, "acme", one.id)
    second = await cancel(db, "acme", one.id)
    assert first is not None and second is not None
    assert second.cancelled == first.cancelled and second.wake == ()


async def test_what_was_sent_is_too_late(db: Database) -> None:
    one = submission()
    batch = batch_of(await accept(db, one))
    await sent(db, batch, EMAIL)
    done = await cancel(db, "acme", one.id)
    assert done is not None and done.cancelled == () and list(done.too_late.values()) == ["SENT"]


async def test_a_row_in_doubt_is_not_called_cancelled(db: Database) -> None:
    one = submission()
    batch = batch_of(await accept(db, one))
    await answer(db, EMAIL, await claim_due(db, batch, EMAIL), Answer(Outcome.IN_DOUBT))
    await db.run("UPDATE delivery SET doubt_until = now() WHERE batch_id = :batch", batch=batch)
    await settle(db, batch, Rules.clear(EMAIL))
    assert list((await statuses(db, batch)).values()) == ["queued"]
    done = await cancel(db, "acme", one.id)
    assert done is not None and done.cancelled == () and list(done.too_late.values()) == ["UNCONFIRMED"]
    assert not await claim_due(db, batch, EMAIL, "ses")


async def test_neighbours_go_on(db: Database) -> None:
    mine, theirs = submission(), submission(tenant="other")
    batch = batch_of(await accept(db, mine, theirs))
    await cancel(db, "acme", mine.id)
    assert list((await statuses(db, batch)).values()) == ["cancelled", "queued"]
    assert await cancel(db, "acme", theirs.id) is None
    assert await reschedule(db, "acme", theirs.id, datetime.now(UTC)) is None


async def test_rescheduled_rows_wait_for_the_new_time(db: Database) -> None:
    one = submission(recipients=("ann", "bob"))
    batch = batch_of(await accept(db, one))
    later = datetime.now(UTC) + timedelta(hours=2)
    done = await reschedule(db, "acme", one.id, later)
    assert done is not None and (done.moved, done.too_late, done.wake) == (2, 0, ((batch, "email"),))
    assert not await claim_due(db, batch, EMAIL)
    (row,) = await db.run("SELECT DISTINCT due_at, give_up_at FROM delivery")
    assert row.due_at == later
    assert row.give_up_at == later + timedelta(seconds=EMAIL.life)
    found = await status(db, "acme", one.id, limit=1, after=None, events=False)
    assert found is not None and found.overview.status == "SCHEDULED" and found.overview.send_at == later


async def test_an_earlier_time_lets_the_run_start_earlier(db: Database) -> None:
    one = submission(send_at=datetime.now(UTC) + timedelta(hours=2))
    batch = batch_of(await accept(db, one))
    sooner = datetime.now(UTC) + timedelta(minutes=1)
    await reschedule(db, "acme", one.id, sooner)
    (row,) = await db.run("SELECT start_at FROM batch WHERE id = :batch", batch=batch)
    assert row.start_at == sooner
    await reschedule(db, "acme", one.id, datetime.now(UTC) - timedelta(minutes=1))
    assert len(await claim_due(db, batch, EMAIL)) == 1


async def test_what_was_tried_before_keeps_its_time(db: Database) -> None:
    one = submission()
    batch = batch_of(await accept(db, one))
    await answer(db, EMAIL, await claim_due(db, batch, EMAIL), Answer(Outcome.RETRYABLE))
    done = await reschedule(db, "acme", one.id, datetime.now(UTC) + timedelta(hours=2))
    assert done is not None and (done.moved, done.too_late, done.wake) == (0, 1, ())
    (row,) = await db.run("SELECT send_at FROM notification WHERE id = :id", id=one.id)
    assert row.send_at is None


async def test_a_time_after_expiry_is_refused(db: Database) -> None:
    expiry = datetime.now(UTC) + timedelta(hours=1)
    one = submission(expires_at=expiry)
    await accept(db, one)
    with pytest.raises(Refused, match="expires_at"):
        await reschedule(db, "acme", one.id, expiry)
