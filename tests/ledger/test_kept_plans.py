"""The ways into the ledger keep their plans, also those made while it was empty: none may read it from end to end."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import pytest_asyncio
from ledger_side import answered, leg, submission
from protocol_rows import RESENDING
from vaults import vault

from domain.outcomes import accepted
from domain.receipts import Receipt, Report
from domain.settling import Rules
from ledger import deliveries, receipts
from ledger.database import Database
from ledger.intake import Intake
from ledger.roles import LedgerRole
from ledger.settling import settle

EARLY, LATE = (
    12,
    10,
)  # batches while the ledger is all but empty (PostgreSQL keeps a plan from the sixth time on); later
FEW, MANY = 2, 300  # deliveries of each

_READ = """
SELECT relname, seq_tup_read AS n FROM pg_stat_user_tables
 WHERE relname ~ '^(delivery|delivery_event|notification|notification_end|batch|batch_channel|receipt)(_|$)'
   AND seq_tup_read > 0
"""


@dataclass(frozen=True, slots=True)
class Ways:
    """Pools of one connection, under the roles of the processes."""

    intake: Database
    worker: Database
    receipts: Database

    async def close(self) -> None:
        for pool in (self.intake, self.worker, self.receipts):
            await pool.close()


@pytest_asyncio.fixture
async def ways(database_url: str) -> AsyncIterator[Ways]:
    roles = (LedgerRole.INTAKE, LedgerRole.WORKER, LedgerRole.RECEIPTS)
    opened = Ways(*(Database(database_url, role=role, vault=vault(), pool_size=1) for role in roles))
    yield opened
    await opened.close()


async def carry(ways: Ways, deliveries_of_each: int) -> None:
    """A batch from its acceptance to its end."""
    intake = Intake(ways.intake, {RESENDING.name: RESENDING}, cap=512)
    flush = await intake.accept([submission([RESENDING.name]) for _ in range(deliveries_of_each)])
    batch = UUID(flush.batches[0].run.batch)
    here, rules = leg(batch, RESENDING), Rules.clear(RESENDING)
    assert (await deliveries.abandon(ways.worker, here)).due == deliveries_of_each
    claims = await deliveries.claim(ways.worker, here, deliveries_of_each)
    await deliveries.letters(ways.worker, [claim.notification for claim in claims])
    await settle(ways.worker, batch, rules)
    assert await answered(ways.worker, here, claims, accepted()) == deliveries_of_each
    now = datetime.now(UTC)
    reports = [Receipt(here.provider, str(claim.key), Report.DELIVERED, now, key=claim.key) for claim in claims]
    assert (await receipts.hear(ways.receipts, reports)).moved == deliveries_of_each
    assert (await settle(ways.worker, batch, rules)).state.finished


async def test_nothing_is_read_from_end_to_end(ways: Ways, db: Database) -> None:
    for _ in range(EARLY):
        await carry(ways, FEW)
    for _ in range(LATE):
        await carry(ways, MANY)
    await ways.close()  # what a connection counted is told at its end at the latest
    read = {row.relname: row.n for row in await db.run(_READ)}
    assert not read
