"""Totals: exact, per tenant, unchanged by folding."""

from datetime import UTC, datetime

from seeding import accept, batch_of, dead, failed, sent, submission

from domain.channels import EMAIL, PUSH, SMS
from domain.receipts import Receipt, Report
from domain.settling import Rules
from ledger import statistics
from ledger.database import Database
from ledger.receipts import hear
from ledger.settling import settle
from ledger.statistics import Totals


async def some_history(db: Database) -> None:
    delivered = batch_of(await accept(db, submission(recipients=("ann", "bob"))))
    await sent(db, delivered, EMAIL)
    receipt = Receipt("sendgrid", "e1", Report.DELIVERED, datetime.now(UTC), message_id=f"vendor-{delivered}")
    await hear(db, [receipt])
    await settle(db, delivered, Rules.clear(EMAIL))
    await failed(db, batch_of(await accept(db, submission(channels=("sms",)))), SMS)
    await dead(db, batch_of(await accept(db, submission(channels=("push",)))), PUSH)
    await settle(db, batch_of(await accept(db, submission(tenant="other"))), Rules.clear(EMAIL))


async def test_totals_of_a_tenant(db: Database) -> None:
    await some_history(db)
    found = await statistics.of_tenant(db, "acme")
    assert found.totals == Totals(sent=2, success=1, failed=2)
    assert found.by_status == {"DELIVERED": 1, "SENT": 1, "FAILED": 1, "DEAD": 1}
    assert found.by_channel == {"email": Totals(2, 1, 0), "push": Totals(0, 0, 1), "sms": Totals(0, 0, 1)}
    assert found.by_provider == {"sendgrid": Totals(2, 1, 0), "fcm": Totals(0, 0, 1), "twilio": Totals(0, 0, 1)}


async def test_a_tenant_without_history_has_zeros(db: Database) -> None:
    found = await statistics.of_tenant(db, "nobody")
    assert (found.totals, found.by_status, found.by_channel) == (Totals(), {}, {})


async def test_folding_changes_no_total(db: Database) -> None:
    await some_history(db)
    before = [await statistics.of_tenant(db, tenant) for tenant in ("acme", "other")]
    assert await statistics.fold(db) > 0
    assert [await statistics.of_tenant(db, tenant) for tenant in ("acme", "other")] == before
    assert await statistics.fold(db) == 0
    assert not await db.run("SELECT 1 FROM statistic GROUP BY tenant_id, channel, provider, status HAVING count(*) > 1")


async def test_gauges_of_dead_letters_and_late_runs(db: Database) -> None:
    await some_history(db)
    found = await statistics.gauges(db)
    assert found.dead_letters == {"push": 1}
    assert 0 <= found.oldest_age["push"] < 60
    assert found.overdue == 0
    await db.run("UPDATE batch_channel SET next_look_at = now() - interval '1 minute' WHERE channel = 'email'")
    assert (await statistics.gauges(db)).overdue == 2
