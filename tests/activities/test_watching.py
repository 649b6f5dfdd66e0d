"""A vendor is judged by its receipts as the ledger knows them, however fast or roundabout they came."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import seeding
from workbench import Bench, Silent

from activities.watching import Watching
from domain.channels import SMS
from domain.ids import DeliveryId
from domain.receipts import Receipt, Report
from ledger.database import Database
from ledger.receipts import hear
from throttle.words import Breaker

QUICK = replace(SMS, hush=0.3, route=("silent",))
N = 5


async def _sent(db: Database) -> list[DeliveryId]:
    flush = await seeding.accept(db, *[seeding.submission(channels=["sms"])] * N)
    batch: UUID = seeding.batch_of(flush)
    await db.run("UPDATE delivery SET provider = 'silent'")
    await seeding.sent(db, batch, QUICK)
    return [DeliveryId(batch, seq) for seq in range(N)]


async def _hear(db: Database, sends: Sequence[DeliveryId], report: Report) -> None:
    now = datetime.now(UTC)
    await hear(db, [Receipt("silent", f"{report} {each}", report, now, delivery=each) for each in sends])


async def test_only_what_the_ledger_has_not_heard_of_is_silent(db: Database, bench: Bench) -> None:
    async with bench({"silent": Silent()}) as means:
        watching = Watching(means, {"sms": QUICK})
        early, later = await _sent(db), await _sent(db)
        # Nobody told the watch of these: as when a receipt is faster than the news of its send.
        await _hear(db, early[:3], Report.DELIVERED)
        await _hear(db, early[3:], Report.UNDELIVERED)

        async def judged(sends: Sequence[DeliveryId]) -> Breaker:
            await means.watch.beat()
            means.watch.sent("silent", sends)
            await means.watch.close()
            await asyncio.sleep(0.4)
            await watching.judge("silent", QUICK)
            return (await means.gate.states())["silent"].breaker

        assert await judged(early) is Breaker.CLOSED
        async with asyncio.timeout(60):  # nothing is judged when the machine stands still and the beat is old
            while await judged(later) is not Breaker.OPEN:
                pass
        await means.tally.close()
        events = await db.run("SELECT reason FROM provider_event")
        assert [event.reason for event in events] == ["no receipts: no message in a row was reported in its usual time"]
