"""Never sent after its time: also when a process stands still between the claim and the call."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import seeding
from temporalio.testing import ActivityEnvironment
from workbench import Bench, Silent

from activities.delivering import Activities
from domain.channels import SMS
from domain.priorities import Priority
from domain.runs import Delivery
from ledger.database import Database, execute

CHANNEL = replace(SMS, route=("silent",))


async def test_what_expires_between_the_claim_and_the_call_is_given_back(db: Database, bench: Bench) -> None:
    async with bench({"silent": Silent()}) as means:
        soon = datetime.now(UTC) + timedelta(seconds=3)
        both = [seeding.submission(channels=["sms"]), seeding.submission(channels=["sms"], expires_at=soon)]
        batch = seeding.batch_of(await seeding.accept(db, *both))
        await db.run("UPDATE delivery SET provider = 'silent'")
        order = Delivery(str(batch), "sms", "silent", Priority.NORMAL)
        async with db.begin() as stalling:  # the texts cannot be read until the second has expired
            await execute(stalling, "LOCK TABLE notification IN ACCESS EXCLUSIVE MODE", {})
            sending = asyncio.create_task(ActivityEnvironment().run(Activities(means, {"sms": CHANNEL}).deliver, order))
            async with asyncio.timeout(60):
                while len(await db.run("SELECT 1 FROM delivery WHERE status = 'sending'")) < len(both):
                    await asyncio.sleep(0.02)
            await asyncio.sleep((soon - datetime.now(UTC)).total_seconds() + 0.2)
        await sending
        await means.tally.close()
    rows = await db.run("SELECT status, attempt, tries FROM delivery ORDER BY seq")
    assert [tuple(row) for row in rows] == [("sent", 1, 1), ("expired", 1, 0)]
