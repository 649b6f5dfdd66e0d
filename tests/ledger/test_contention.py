"""All writers on the same rows at once, in shuffled order: nothing is lost, nothing deadlocks for good."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from uuid import UUID

import pytest
import pytest_asyncio
from ledger_side import accepted_batch, all_is_true, answered, books, leg, let_pass, statuses
from protocol_rows import CHANNELS, RESENDING
from vaults import vault

from domain.ids import DeliveryId, SendKey
from domain.outcomes import Answer, Outcome, accepted
from domain.priorities import Priority
from domain.receipts import Receipt, Report
from domain.settling import Roads, Rules
from ledger import dead_letters, deliveries, receipts, stopping
from ledger.database import Database, execute
from ledger.dead_letter_list import Which
from ledger.deliveries import Answered, Claim
from ledger.settling import settle

ROWS, WRITERS, ROUNDS = 12, 10, 50


@pytest_asyncio.fixture
async def wide(database_url: str) -> AsyncIterator[Database]:
    """A connection for every writer."""
    database = Database(database_url, vault=vault(), pool_size=WRITERS)
    yield database
    await database.close()


class Crowd:
    """Writers of two batches, who do what they like in any order."""

    def __init__(self, db: Database, batches: list[UUID], seed: int) -> None:
        self.db, self.batches, self.any = db, batches, random.Random(seed)
        self.claims: list[tuple[str, Claim]] = []
        self.numbers = count()

    async def work(self) -> None:
        acts = [self.deliver, self.deliver, self.record, self.record, self.hear, self.settle, self.people, self.time]
        acts += [self.divert, self.settle]
        for _ in range(ROUNDS):
            await self.any.choice(acts)()

    async def deliver(self) -> None:
        one = leg(self.any.choice(self.batches), RESENDING, self.any.choice(RESENDING.route))
        if self.any.random() < 0.3:
            await deliveries.abandon(self.db, one)
        claims = await deliveries.resume(self.db, one, 6000, ROWS) if self.any.random() < 0.3 else []
        claims += await deliveries.claim(self.db, one, self.any.randint(1, ROWS))
        self.claims += [(one.provider, claim) for claim in claims]

    async def divert(self) -> None:
        """A row of one provider is tried with another, at once or by whoever comes."""
        provider, to = self.any.sample(RESENDING.route, 2)
        one = leg(self.any.choice(self.batches), RESENDING, provider)
        if await deliveries.divert(self.db, one, to) and self.any.random() < 0.7:
            claims = await deliveries.claim(self.db, replace(one, provider=to), 1)
            self.claims += [(to, claim) for claim in claims]

    async def record(self) -> None:
        """A group of answers in no order, of any age, of both batches."""
        if not self.claims:
            return
        provider = self.any.choice(self.claims)[0]
        mine = [claim for by, claim in self.claims[-40:] if by == provider]
        picked = self.any.sample(mine, min(len(mine), 10))
        answers = [
            Answered(claim, Answer(self.any.choice(list(Outcome)), message_id=str(claim.key)), final=False)
            for claim in picked
        ]
        await deliveries.record(self.db, RESENDING, provider, Priority.NORMAL, answers, keep_refs=provider == "beta")
        if provider == "beta":
            await receipts.match(self.db, [(provider, str(claim.key)) for claim in picked])

    async def hear(self) -> None:
        group: list[Receipt] = []
        for _ in range(self.any.randint(1, 10)):
            delivery = DeliveryId(self.any.choice(self.batches), self.any.randrange(ROWS))
            key = SendKey(delivery, self.any.randint(1, 3))
            by_id = self.any.random() < 0.3
            group.append(
                Receipt(
                    "beta" if by_id else "alpha",
                    f"event {self.any.randrange(500)}",
                    self.any.choices(list(Report), (1, 4, 1))[0],
                    datetime.now(UTC),
                    key=None if by_id else key,
                    message_id=str(key) if by_id else None,
                )
            )
        await receipts.hear(self.db, group)

    async def settle(self) -> None:
        """Each knows something else of how the providers stand."""
        order = self.any.sample(RESENDING.route, 3)
        held = dict.fromkeys(self.any.sample(order, self.any.randint(0, 3)), 4.0)
        await settle(self.db, self.any.choice(self.batches), Rules(RESENDING, Priority.NORMAL, Roads((*order,), held)))

    async def people(self) -> None:
        """Operators and senders."""
        which = Which(batch=self.any.choice(self.batches))
        if self.any.random() < 0.8:
            await dead_letters.retry(self.db, CHANNELS, which)
        elif self.any.random() < 0.5:
            await dead_letters.discard(self.db, which, most=1)
        else:
            notification = (await self.db.run("SELECT id, tenant_id FROM notification LIMIT 1"))[0]
            await stopping.cancel(self.db, notification.tenant_id, notification.id)

    async def time(self) -> None:
        """In the lock order of everyone else, or this would be what deadlocks."""
        async with self.db.begin() as connection:
            batch = {"batch": self.any.choice(self.batches)}
            await execute(connection, "SELECT 1 FROM delivery WHERE batch_id = :batch ORDER BY seq FOR UPDATE", batch)
            await execute(
                connection,
                """UPDATE delivery SET due_at = due_at - interval '2000 s', sent_at = sent_at - interval '2000 s',
                          doubt_until = doubt_until - interval '2000 s' WHERE batch_id = :batch""",
                batch,
            )


@pytest.mark.parametrize("seed", range(3))
async def test_no_order_of_writers_breaks_a_promise(wide: Database, seed: int) -> None:
    batches = [await accepted_batch(wide, [RESENDING], ROWS) for _ in range(2)]
    crowd = Crowd(wide, batches, seed)
    async with asyncio.TaskGroup() as group:
        for _ in range(WRITERS):
            group.create_task(crowd.work())
    await all_is_true(wide)
    for batch in batches:
        await settle(wide, batch, Rules.clear(RESENDING))
    await all_is_true(wide)
    written, real = await books(wide, "acme")
    assert written == real
    made = await wide.run(
        """SELECT d.attempt, d.key_no, count(e.*) FILTER (WHERE e.step = 'claim') AS claims,
                  count(e.*) FILTER (WHERE e.step = 'resume') AS resumes
             FROM delivery d JOIN delivery_event e USING (batch_id, seq)
            GROUP BY d.batch_id, d.seq, d.attempt, d.key_no"""
    )
    assert all(row.attempt == row.claims + row.resumes and row.key_no == row.claims for row in made)
    (met,) = await wide.run("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    assert met.deadlocks == 0, "all writers keep one lock order"


async def test_of_many_claims_at_once_each_row_has_one_owner(wide: Database) -> None:
    batch = await accepted_batch(wide, [RESENDING], 100)
    got = await asyncio.gather(*(deliveries.claim(wide, leg(batch, RESENDING), 30) for _ in range(WRITERS)))
    seqs = [claim.key.delivery.seq for claims in got for claim in claims]
    assert len(seqs) == len(set(seqs))
    rest = await deliveries.claim(wide, leg(batch, RESENDING), 100)
    assert len(seqs) + len(rest) == 100


async def test_a_delivery_is_cancelled_or_claimed_and_never_both(wide: Database) -> None:
    for _ in range(20):
        batch = await accepted_batch(wide, [RESENDING], 20)
        (row,) = await wide.run("SELECT id FROM notification WHERE batch_ids[1] = :b", b=batch)
        claims, cancelled = await asyncio.gather(
            deliveries.claim(wide, leg(batch, RESENDING), 20), stopping.cancel(wide, "acme", row.id)
        )
        assert cancelled is not None
        claimed = {claim.key.delivery for claim in claims}
        assert claimed.isdisjoint(cancelled.cancelled)
        assert len(claimed) + len(cancelled.cancelled) == 20


@pytest.mark.parametrize("report", [Report.DELIVERED, Report.UNDELIVERED])
async def test_a_receipt_that_waits_for_the_answer_of_its_send_still_counts(wide: Database, report: Report) -> None:
    """The record is not committed yet when the receipt comes: it has to act on the row as the record leaves it."""
    batch = await accepted_batch(wide, [RESENDING])
    one = leg(batch, RESENDING)
    (claim,) = await deliveries.claim(wide, one, 1)
    receipt = Receipt("alpha", "e", report, datetime.now(UTC), key=claim.key)
    async with wide.begin() as connection:
        await execute(connection, "SELECT 1 FROM delivery WHERE batch_id = :b FOR UPDATE", {"b": batch})
        recording = asyncio.create_task(answered(wide, one, [claim], accepted()))
        await _blocked(wide, 1)
        hearing = asyncio.create_task(receipts.hear(wide, [receipt]))
        await _blocked(wide, 2)
    assert await recording + (await hearing).moved == 2
    assert await statuses(wide, batch) == [report.value]
    await all_is_true(wide)


async def test_an_answer_that_waits_for_abandon_still_counts(wide: Database) -> None:
    batch = await accepted_batch(wide, [RESENDING])
    one = leg(batch, RESENDING)
    (claim,) = await deliveries.claim(wide, one, 1)
    async with wide.begin() as connection:
        await execute(connection, "SELECT 1 FROM delivery WHERE batch_id = :b FOR UPDATE", {"b": batch})
        abandoning = asyncio.create_task(deliveries.abandon(wide, leg(batch, RESENDING)))
        await _blocked(wide, 1)
        recording = asyncio.create_task(answered(wide, one, [claim], accepted()))
        await _blocked(wide, 2)
    assert ((await abandoning).abandoned, await recording) == (1, 1)
    assert await statuses(wide, batch) == ["sent"]
    await all_is_true(wide)


async def test_a_receipt_that_waits_for_the_settle_that_buries_takes_the_letter_along(wide: Database) -> None:
    batch = await accepted_batch(wide, [RESENDING])
    one = leg(batch, RESENDING)
    (claim,) = await deliveries.claim(wide, one, 1)
    receipt = Receipt("alpha", "e", Report.DELIVERED, datetime.now(UTC), key=claim.key)
    await answered(wide, one, [claim], Answer(Outcome.RETRYABLE))
    await let_pass(wide, batch, 100_000)  # too old for any provider
    async with wide.begin() as connection:
        await execute(connection, "UPDATE delivery SET provider = 'gamma' WHERE batch_id = :b", {"b": batch})
        settling = asyncio.create_task(settle(wide, batch, Rules.clear(RESENDING)))
        await _blocked(wide, 1)
        hearing = asyncio.create_task(receipts.hear(wide, [receipt]))
        await _blocked(wide, 2)
    await asyncio.gather(settling, hearing)
    assert await statuses(wide, batch) == ["delivered"]
    assert not await wide.run("SELECT 1 FROM dead_letter")


async def _blocked(db: Database, n: int) -> None:
    """Wait until so many sessions of this database wait for a lock."""
    async with asyncio.timeout(60):
        while True:
            (row,) = await db.run(
                """SELECT count(*) AS n FROM pg_stat_activity
                    WHERE datname = current_database() AND wait_event_type = 'Lock'"""
            )
            if row.n >= n:
                return
            await asyncio.sleep(0.01)


async def test_a_key_of_its_own_for_every_claim(wide: Database) -> None:
    batch = await accepted_batch(wide, [RESENDING])
    keys: set[SendKey] = set()
    for _ in range(3):
        one = leg(batch, RESENDING)
        (claim,) = await deliveries.claim(wide, one, 1)
        assert claim.key not in keys
        keys.add(claim.key)
        await answered(wide, one, [claim], Answer(Outcome.RETRYABLE))
        await let_pass(wide, batch, 3000)
    assert not await deliveries.claim(wide, leg(batch, RESENDING), 1)
