"""Settle: every row of its table, what it tells the run, and the books it keeps."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from ledger_side import (
    REFUSED,
    accepted_batch,
    all_is_true,
    answered,
    books,
    leg,
    let_pass,
    row,
    sent,
    spend,
    statuses,
    submission,
)
from protocol_rows import ACCEPTING, CHANNELS, RESENDING

from domain.channels import Channel
from domain.deliveries import Status
from domain.ids import DeliveryId, new_id
from domain.outcomes import Answer, Outcome, accepted
from domain.receipts import Receipt, Report
from domain.runs import State
from domain.settling import Rules
from ledger import dead_letters, deliveries, receipts, sweeping
from ledger.batching import SPLIT
from ledger.database import Database
from ledger.dead_letter_list import Which
from ledger.intake import Intake
from ledger.settling import LEASE, settle

DOUBTFUL = Answer(Outcome.IN_DOUBT, reason="timeout")


async def looked(db: Database, batch: UUID, channel: Channel) -> State:
    state = (await settle(db, batch, Rules.clear(channel))).state
    await all_is_true(db)
    return state


async def heard(db: Database, batch: UUID, report: Report, seqs: range = range(1)) -> receipts.Heard:
    now = datetime.now(UTC)
    group = [Receipt("alpha", f"{batch}{s}{report}", report, now, delivery=DeliveryId(batch, s)) for s in seqs]
    return await receipts.hear(db, group)


# What cannot go on as it is.


async def test_an_undelivered_row_goes_to_the_next_provider_with_its_whole_budget(db: Database) -> None:
    batch = await accepted_batch(db, [RESENDING])
    await sent(db, batch, RESENDING, accepted())
    await heard(db, batch, Report.UNDELIVERED)
    state = await looked(db, batch, RESENDING)
    assert await row(db, batch) == ("queued", "beta", 0, 0, None)
    assert (state.due, state.open, state.finished) == (["beta"], 1, False)


async def test_a_row_without_tries_left_goes_on_and_at_the_end_of_the_route_is_dead(db: Database) -> None:
    batch = await accepted_batch(db, [ACCEPTING])
    await spend(db, batch, ACCEPTING, "alpha")
    await looked(db, batch, ACCEPTING)
    assert (await row(db, batch))[:2] == ("queued", "beta")
    await spend(db, batch, ACCEPTING, "beta")
    state = await looked(db, batch, ACCEPTING)
    assert await row(db, batch) == ("dead", "beta", 2, 0, "busy")
    assert (state.open, state.dead, state.finished) == (0, 1, False)


async def test_silence_is_accepted_or_sent_again_as_the_policy_says(db: Database) -> None:
    accepting, resending = await accepted_batch(db, [ACCEPTING]), await accepted_batch(db, [RESENDING])
    for batch, channel in ((accepting, ACCEPTING), (resending, RESENDING)):
        await sent(db, batch, channel, accepted())
        await let_pass(db, batch, channel.window - 300)
        state = await looked(db, batch, channel)
        assert await statuses(db, batch) == ["sent"]
        assert state.wait == pytest.approx(300, abs=60)
        await let_pass(db, batch, 400)
        await looked(db, batch, channel)
    assert await row(db, accepting) == ("unconfirmed", "alpha", 1, 0, "no receipt")
    assert await row(db, resending) == ("queued", "beta", 0, 1, "no receipt")


async def test_silence_at_the_last_provider_is_accepted_whatever_the_policy(db: Database) -> None:
    last = replace(RESENDING, route=("alpha",))
    batch = await accepted_batch(db, [last])
    await sent(db, batch, last, accepted())
    await let_pass(db, batch, last.window + 100)
    assert (await looked(db, batch, last)).finished
    assert await statuses(db, batch) == ["unconfirmed"]


async def test_a_doubt_ends_as_the_policy_says(db: Database) -> None:
    accepting, resending = await accepted_batch(db, [ACCEPTING]), await accepted_batch(db, [RESENDING])
    for batch, channel in ((accepting, ACCEPTING), (resending, RESENDING)):
        await sent(db, batch, channel, DOUBTFUL)
        await looked(db, batch, channel)
        assert await statuses(db, batch) == ["in_doubt"]
        await let_pass(db, batch, channel.doubt["normal"] + 100)
        await looked(db, batch, channel)
    assert await row(db, accepting) == ("unconfirmed", "alpha", 1, 1, "in doubt")
    assert await row(db, resending) == ("queued", "beta", 0, 1, "in doubt")


async def test_a_doubt_at_the_last_provider_is_sent_again_there_while_it_has_tries(db: Database) -> None:
    last = replace(RESENDING, route=("alpha",))
    batch = await accepted_batch(db, [last])
    for n in range(1, last.tries):
        await sent(db, batch, last, DOUBTFUL)
        await let_pass(db, batch, 4000)
        await looked(db, batch, last)
        assert await row(db, batch) == ("queued", "alpha", n, n, "in doubt")
    await sent(db, batch, last, DOUBTFUL)
    await let_pass(db, batch, 4000)
    assert (await looked(db, batch, last)).dead == 1
    assert await row(db, batch) == ("dead", "alpha", 3, 3, "in doubt")
    (made,) = await db.run("SELECT possible_duplicates FROM delivery")
    assert made.possible_duplicates == 2


async def test_expired_is_only_what_was_certainly_never_sent(db: Database) -> None:
    until = datetime.now(UTC) + timedelta(seconds=5000)
    sure, unsure = [await accepted_batch(db, [RESENDING], expires_at=until) for _ in range(2)]
    await sent(db, sure, RESENDING, REFUSED)
    await sent(db, unsure, RESENDING, DOUBTFUL)
    for batch in (sure, unsure):
        await let_pass(db, batch, 6000)
        assert (await looked(db, batch, RESENDING)).finished
    assert (await row(db, sure))[0] == "expired"
    assert (await row(db, unsure))[0] == "unconfirmed"


async def test_what_has_expired_is_not_claimed_even_before_settle_saw_it(db: Database) -> None:
    batch = await accepted_batch(db, [RESENDING], expires_at=datetime.now(UTC) + timedelta(seconds=100))
    await let_pass(db, batch, 200)
    assert not await deliveries.claim(db, leg(batch, RESENDING), 1)


async def test_endless_throttling_ends_with_the_life_of_the_message(db: Database) -> None:
    batch = await accepted_batch(db, [ACCEPTING])
    for _ in range(5):
        await sent(db, batch, ACCEPTING, Answer(Outcome.THROTTLED, retry_after=5000))
        assert (await row(db, batch))[2] == 0, "throttled gives its try back"
        await let_pass(db, batch, 6000)
    await let_pass(db, batch, 2000)
    assert (await looked(db, batch, ACCEPTING)).dead == 1
    assert (await row(db, batch))[4] == "too old"


async def test_a_row_whose_provider_left_the_route_starts_again_at_the_first(db: Database) -> None:
    batch = await accepted_batch(db, [RESENDING])
    changed = replace(RESENDING, route=("beta", "gamma"))
    state = await looked(db, batch, changed)
    assert (await row(db, batch))[:2] == ("queued", "beta")
    assert state.due == ["beta"]


# What it tells the run, and the sweep.


async def test_it_says_when_the_next_retry_is_due(db: Database) -> None:
    batch = await accepted_batch(db, [RESENDING])
    await sent(db, batch, RESENDING, REFUSED)
    state = await looked(db, batch, RESENDING)
    assert state.due == []
    assert state.wait == pytest.approx(RESENDING.retry[0], abs=60)


async def test_a_row_in_sending_without_an_owner_is_due_once_its_lease_is_over(db: Database) -> None:
    batch = await accepted_batch(db, [RESENDING])
    await deliveries.claim(db, leg(batch, RESENDING), 1)
    assert (await looked(db, batch, RESENDING)).due == []
    await let_pass(db, batch, LEASE)
    assert (await looked(db, batch, RESENDING)).due == ["alpha"]


async def test_a_batch_that_is_not_there_is_finished(db: Database) -> None:
    assert (await settle(db, new_id(), Rules.clear(RESENDING))).state.finished


async def test_news_is_worth_a_signal_only_to_a_run_that_waits_and_once(db: Database) -> None:
    batch = await accepted_batch(db, [RESENDING], 3)
    await sent(db, batch, RESENDING, accepted())
    assert (await heard(db, batch, Report.DELIVERED, range(1))).wake == (), "nobody waits yet"
    await looked(db, batch, RESENDING)
    assert (await heard(db, batch, Report.DELIVERED, range(1, 2))).wake == (), "others are still awaited"
    assert (await heard(db, batch, Report.DELIVERED, range(2, 3))).wake == ((batch, RESENDING.name),)
    assert (await heard(db, batch, Report.UNDELIVERED, range(2, 3))).wake == ()


async def test_undelivered_wakes_a_waiting_run_at_once(db: Database) -> None:
    batch = await accepted_batch(db, [RESENDING], 3)
    await sent(db, batch, RESENDING, accepted())
    await looked(db, batch, RESENDING)
    assert (await heard(db, batch, Report.UNDELIVERED)).wake == ((batch, RESENDING.name),)


async def test_a_late_delivered_opens_the_books_of_a_channel_that_was_done(db: Database) -> None:
    batch = await accepted_batch(db, [ACCEPTING])
    await sent(db, batch, ACCEPTING, Answer(Outcome.REJECTED, reason="no such user"))
    assert (await looked(db, batch, ACCEPTING)).finished
    assert (await db.run("SELECT status FROM notification_end"))[0].status == "FAILED"
    assert (await heard(db, batch, Report.DELIVERED)).wake == ((batch, ACCEPTING.name),)
    (channel,) = await db.run("SELECT done_at, next_look_at <= now() AS late FROM batch_channel")
    assert (channel.done_at, channel.late) == (None, True)
    assert (await looked(db, batch, ACCEPTING)).finished
    assert (await db.run("SELECT status FROM notification_end"))[0].status == "COMPLETED"
    written, real = await books(db, "acme")
    assert written == real


async def test_the_sweep_calls_what_is_late_once_and_leaves_alone_what_is_not(db: Database) -> None:
    unstarted, waiting, done = [await accepted_batch(db, [ACCEPTING]) for _ in range(3)]
    await sent(db, waiting, ACCEPTING, accepted())
    await sent(db, done, ACCEPTING, Answer(Outcome.REJECTED))
    for batch in (waiting, done):
        await looked(db, batch, ACCEPTING)
    assert await sweeping.overdue(db) == []
    await db.run("UPDATE batch_channel SET next_look_at = next_look_at - interval '10 s'")
    (late,) = await sweeping.overdue(db)
    assert (late.run.batch, late.run.parts[0].size) == (str(unstarted), 1)
    assert await sweeping.overdue(db) == []
    await db.run("UPDATE batch_channel SET next_look_at = next_look_at - interval '400 s'")
    told = {late.run.batch: late.channels for late in await sweeping.overdue(db)}
    assert told == {str(unstarted): (), str(waiting): (ACCEPTING.name,)}  # who has not looked yet will


# The books.


async def test_dead_letters_retried_and_discarded_keep_the_books_right(db: Database) -> None:
    batch = await accepted_batch(db, [ACCEPTING], 4)
    for provider in ACCEPTING.route:
        await spend(db, batch, ACCEPTING, provider)
        await looked(db, batch, ACCEPTING)
    assert await statuses(db, batch) == ["dead"] * 4
    assert (await db.run("SELECT status FROM notification_end"))[0].status == "FAILED"
    await dead_letters.retry(db, CHANNELS, Which(batch=batch, seqs=[0, 1]))
    assert not await db.run("SELECT 1 FROM notification_end")
    await dead_letters.discard(db, Which(batch=batch, seqs=[2]))
    await sent(db, batch, ACCEPTING, accepted(), "alpha")
    await heard(db, batch, Report.DELIVERED, range(2))
    state = await looked(db, batch, ACCEPTING)
    assert state.counts == {Status.DELIVERED: 2, Status.FAILED: 1, Status.DEAD: 1}
    written, real = await books(db, "acme")
    assert written == real
    assert (await db.run("SELECT status FROM notification_end"))[0].status == "PARTIAL_FAILURE"


async def test_tenants_who_share_a_batch_have_books_of_their_own(db: Database) -> None:
    group = [submission([RESENDING.name], tenant=tenant) for tenant in ("a", "the b", "the b")]
    flush = await Intake(db, CHANNELS, cap=512).accept(group)
    batch = UUID(flush.batches[0].run.batch)
    await sent(db, batch, RESENDING, Answer(Outcome.REJECTED))
    await looked(db, batch, RESENDING)
    for tenant, n in (("a", 1), ("the b", 2)):
        written, real = await books(db, tenant)
        assert written == real
        assert sum(real.values()) == n


async def test_two_channels_that_end_at_the_same_moment_end_their_notification(db: Database) -> None:
    for _ in range(15):
        batch = await accepted_batch(db, [RESENDING, ACCEPTING])
        for channel in (RESENDING, ACCEPTING):
            await sent(db, batch, channel, Answer(Outcome.REJECTED))
        await asyncio.gather(*(settle(db, batch, Rules.clear(channel)) for channel in (RESENDING, ACCEPTING)))
    ended = await db.run("SELECT status, count(*) AS n FROM notification_end GROUP BY status")
    assert [tuple(end) for end in ended] == [("FAILED", 15)]
    written, real = await books(db, "acme")
    assert written == real


async def test_a_notification_of_several_batches_ends_with_the_last_of_them(db: Database) -> None:
    flush = await Intake(db, CHANNELS, cap=512).accept([submission([RESENDING.name], SPLIT + 100)])
    batches = [UUID(batch.run.batch) for batch in flush.batches]
    assert len(batches) == 2

    async def ends(*these: UUID) -> list[str]:
        for batch in these:
            one = leg(batch, RESENDING)
            await answered(db, one, await deliveries.claim(db, one, SPLIT), Answer(Outcome.REJECTED))
        await asyncio.gather(*(settle(db, batch, Rules.clear(RESENDING)) for batch in these))
        return [end.status for end in await db.run("SELECT status FROM notification_end")]

    assert await ends(batches[1]) == []
    assert await ends(batches[0]) == ["FAILED"]


async def test_settling_at_once_from_many_places_counts_once(db: Database) -> None:
    batch = await accepted_batch(db, [RESENDING], 20)
    await sent(db, batch, RESENDING, accepted())
    await heard(db, batch, Report.UNDELIVERED, range(20))
    await asyncio.gather(*(settle(db, batch, Rules.clear(RESENDING)) for _ in range(5)))
    await all_is_true(db)
    written, real = await books(db, "acme")
    assert written == real
