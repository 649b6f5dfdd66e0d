"""A commit that adds to the batch of an earlier one: one run carries both, and a batch that has ended gets nothing."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import pytest_asyncio
from commit_proxy import Cut, proxied
from ledger_side import all_is_true, answered, leg, submission
from vaults import vault

from domain.channels import EMAIL, SMS
from domain.outcomes import accepted
from domain.priorities import Priority
from domain.settling import Roads, Rules
from domain.submissions import Accepted, Submission
from ledger.batching import Batch
from ledger.database import Database, LedgerUnavailable
from ledger.deliveries import claim
from ledger.intake import Intake
from ledger.settling import settle

CHANNELS = {channel.name: channel for channel in (EMAIL, SMS)}
CLOSING = Rules(EMAIL, Priority.NORMAL, Roads(EMAIL.route, {}))


def way_in(db: Database, cap: int = 512) -> Intake:
    return Intake(db, CHANNELS, cap=cap)


async def opened(db: Database, *submissions: Submission) -> Batch:
    """A batch that has been committed, and whose run has not been started."""
    (batch,) = (await way_in(db).accept(submissions or [submission()])).batches
    return batch


async def end(db: Database, batch: Batch) -> None:
    """All there is was sent, and settle closes the books."""
    one = leg(UUID(batch.run.batch), EMAIL)
    await answered(db, one, await claim(db, one, 100), accepted("id"), final=True)


async def test_a_later_commit_goes_into_the_same_batch(db: Database) -> None:
    first = await opened(db, submission(), submission(("email", "sms")))
    more = [submission(recipients=2), submission(("sms",))]
    flush = await way_in(db).accept(more, [first])
    (batch,) = flush.batches
    assert (batch.run.batch, batch.had, batch.size) == (first.run.batch, 3, 6)
    assert {part.channel: part.size for part in batch.run.parts} == {"email": 4, "sms": 2}
    rows = await db.run("SELECT id, batch_ids, first_seq, size FROM notification ORDER BY first_seq")
    assert [(row.first_seq, row.size) for row in rows] == [(0, 1), (1, 2), (3, 2), (5, 1)]
    assert all(row.batch_ids == [UUID(first.run.batch)] for row in rows)
    assert [tuple(row) for row in await db.run("SELECT size FROM batch")] == [(6,)]
    sizes = await db.run("SELECT channel, size FROM batch_channel ORDER BY channel")
    assert [tuple(row) for row in sizes] == [("email", 4), ("sms", 2)]
    assert len(await claim(db, leg(UUID(first.run.batch), EMAIL), 100)) == 4


OTHERS = {
    "of another tenant": submission(tenant="other"),
    "of another priority": replace(submission(), priority=Priority.LOW),
    "for later": submission(send_at=datetime.now(UTC) + timedelta(hours=1)),
    "with a channel the batch has not": submission(("email", "sms")),
    "too many": submission(recipients=8),
}


@pytest.mark.parametrize("what", OTHERS)
async def test_what_is_of_another_kind_gets_a_batch_of_its_own(db: Database, what: str) -> None:
    first = await opened(db)
    (batch,) = (await way_in(db, cap=8).accept([OTHERS[what]], [first])).batches
    assert batch.run.batch != first.run.batch
    assert batch.had == 0


async def test_what_goes_to_another_provider_now_gets_a_batch_of_its_own(db: Database) -> None:
    first = await opened(db)
    other = Intake(db, CHANNELS, cap=512, first=lambda channel: channel.route[-1])
    (batch,) = (await other.accept([submission()], [first])).batches
    assert batch.run.batch != first.run.batch


async def test_tenants_that_share_a_batch_go_on_sharing_it(db: Database) -> None:
    first = await opened(db, submission(tenant="a"), submission(tenant="b"))
    assert first.run.tenant is None
    (batch,) = (await way_in(db).accept([submission(tenant="c"), submission(tenant="d")], [first])).batches
    assert (batch.run.batch, batch.had) == (first.run.batch, 2)


async def test_a_batch_that_has_ended_gets_nothing_more(db: Database) -> None:
    first = await opened(db)
    await end(db, first)
    assert (await settle(db, UUID(first.run.batch), CLOSING)).state.finished
    late = submission(key="k")
    flush = await way_in(db).accept([late], [first])
    assert flush.verdicts == (Accepted(late.id),)
    assert [(batch.had, batch.run.batch == first.run.batch) for batch in flush.batches] == [(0, False)]
    assert [row.size for row in await db.run("SELECT size FROM batch ORDER BY id")] == [1, 1]


async def test_a_batch_that_is_not_as_it_was_left_gets_nothing_more(db: Database) -> None:
    first = await opened(db)
    await way_in(db).accept([submission()], [first])
    (batch,) = (await way_in(db).accept([submission()], [first])).batches  # as if the last commit had not been heard of
    assert batch.run.batch != first.run.batch
    assert await count_of(db, first) == 2


async def test_of_a_group_that_grows_a_batch_the_poison_alone_is_refused(db: Database) -> None:
    first = await opened(db)
    crowd = [submission(), replace(submission(), metadata={"a": "\x00"}), submission(), submission()]
    flush = await way_in(db).accept(crowd, [first])
    assert [isinstance(verdict, Accepted) for verdict in flush.verdicts] == [True, False, True, True]
    assert sum(batch.size - batch.had for batch in flush.batches) == 3
    assert (await db.run("SELECT count(*) FROM delivery"))[0][0] == 4
    assert (await db.run("SELECT sum(size) FROM batch"))[0][0] == 4


async def test_who_adds_while_a_batch_ends_is_seen_or_turned_away(db: Database, rivals: Sequence[Database]) -> None:
    adder, settler = rivals

    async def add(first: Batch, handicap: int) -> None:
        for _ in range(handicap):  # round trips and not seconds: the odds are the same on a slow machine
            await adder.run("SELECT 1")
        await way_in(adder).accept([submission()], [first])

    for n in range(60):
        first = await opened(db)
        await end(db, first)
        await asyncio.gather(add(first, n % 6), settle(settler, UUID(first.run.batch), CLOSING))
    lost = """SELECT count(*) FROM delivery d JOIN batch_channel c USING (batch_id, channel)
               WHERE d.status = 'queued' AND c.done_at IS NOT NULL"""
    assert (await db.run(lost))[0][0] == 0
    grown = (await db.run("SELECT count(*) FROM batch WHERE size > 1"))[0][0]
    assert 0 < grown < 60, "both came first at times"
    await all_is_true(db)


@pytest_asyncio.fixture
async def rivals(database_url: str) -> AsyncIterator[Sequence[Database]]:
    """Two processes at one ledger."""
    both = [Database(database_url, vault=vault(), pool_size=1) for _ in range(2)]
    yield both
    for each in both:
        await each.close()


@pytest.mark.parametrize("cut", [Cut.ANSWER, Cut.REQUEST])
async def test_an_addition_whose_commit_is_not_heard_of_is_told_as_it_was(
    db: Database, database_url: str, cut: Cut
) -> None:
    first = await opened(db)
    more = submission()
    async with proxied(database_url) as (cutter, url):
        through = Database(url, vault=vault(), pool_size=3)
        cutter.at_commit(1, cut)
        try:
            flush = await way_in(through).accept([more], [first])
            assert (cut, flush.verdicts) == (Cut.ANSWER, (Accepted(more.id),))
        except LedgerUnavailable:
            assert cut is Cut.REQUEST
        finally:
            await through.close()
    assert cutter.commits == 0
    assert await count_of(db, first) == (2 if cut is Cut.ANSWER else 1)


async def count_of(db: Database, batch: Batch) -> int:
    """Deliveries of a batch; as many as it says of itself."""
    ((there, said),) = await db.run(
        "SELECT (SELECT count(*) FROM delivery d WHERE d.batch_id = b.id), size FROM batch b WHERE id = :id",
        id=UUID(batch.run.batch),
    )
    assert there == said
    return there
