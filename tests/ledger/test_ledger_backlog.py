"""The backlog: what no run has looked at yet, and nothing else."""

from datetime import UTC, datetime, timedelta

from seeding import accept, batch_of, claim_due, submission

from domain.channels import EMAIL
from domain.priorities import Priority
from domain.settling import Rules
from ledger.backlog import waiting
from ledger.database import Database
from ledger.settling import settle
from ledger.sweeping import overdue


async def test_deliveries_by_channel_and_priority(db: Database) -> None:
    await accept(db, submission(channels=("email", "sms"), recipients=("ann", "bob")), submission())
    await accept(db, submission(priority=Priority.LOW), cap=1)
    assert await waiting(db) == {
        ("email", Priority.NORMAL, "acme"): 3,
        ("sms", Priority.NORMAL, "acme"): 2,
        ("email", Priority.LOW, "acme"): 1,
    }


async def test_the_first_look_ends_it_though_nothing_could_be_sent(db: Database) -> None:
    batch = batch_of(await accept(db, submission()))
    await claim_due(db, batch, EMAIL)
    assert await waiting(db) == {("email", Priority.NORMAL, "acme"): 1}
    await settle(db, batch, Rules.clear(EMAIL))
    assert await waiting(db) == {}


async def test_what_the_sweep_has_put_off_still_waits(db: Database) -> None:
    await accept(db, submission())
    await db.run("UPDATE batch_channel SET next_look_at = now() - interval '1 s'")
    assert len(await overdue(db)) == 1
    assert await waiting(db) == {("email", Priority.NORMAL, "acme"): 1}


async def test_what_is_scheduled_waits_for_its_time_and_not_for_us(db: Database) -> None:
    await accept(db, submission(send_at=datetime.now(UTC) + timedelta(minutes=5)))
    assert await waiting(db) == {}
    await db.run("UPDATE batch_channel SET next_look_at = next_look_at - interval '5 min'")
    assert await waiting(db) == {("email", Priority.NORMAL, "acme"): 1}
