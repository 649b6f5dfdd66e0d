"""Providers that take nothing: who moves, who waits and for how long; and one message tried with such a provider."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from ledger_side import (
    REFUSED,
    accepted_batch,
    all_is_true,
    books,
    leg,
    let_pass,
    row,
    sent,
    spend,
    statuses,
    submission,
)
from protocol_rows import CHANNELS, RESENDING

from domain.deliveries import Status
from domain.outcomes import Answer, Outcome, accepted
from domain.priorities import Priority
from domain.runs import HOLD_MOST, State
from domain.settling import Roads, Rules
from ledger import dead_letters, deliveries, sweeping
from ledger.database import Database, execute
from ledger.dead_letter_list import Which
from ledger.intake import Intake
from ledger.settling import settle

PATIENCE = RESENDING.patience[Priority.NORMAL]
ALL_HELD = dict.fromkeys(RESENDING.route, 4.0)
DOUBTFUL = Answer(Outcome.IN_DOUBT, reason="timeout")


def roads(*order: str, **held: float | None) -> Roads:
    """By health; without an order, the route's."""
    names = order or RESENDING.route
    return Roads((*(n for n in names if n not in held), *(n for n in names if n in held)), held)


async def looked(db: Database, batch: UUID, road: Roads | None = None) -> State:
    state = (await settle(db, batch, Rules(RESENDING, Priority.NORMAL, road or roads()))).state
    await all_is_true(db)
    return state


async def spent(db: Database, batch: UUID) -> list[str]:
    (found,) = await db.run("SELECT spent FROM delivery WHERE batch_id = :b ORDER BY seq LIMIT 1", b=batch)
    return found.spent


# Who moves.


async def test_a_queued_row_leaves_a_provider_that_takes_nothing_for_the_best_that_does(db: Database) -> None:
    batch = await accepted_batch(db, [RESENDING])
    await sent(db, batch, RESENDING, REFUSED)
    state = await looked(db, batch, roads("gamma", "beta", "alpha", alpha=4.0))
    assert await row(db, batch) == ("queued", "gamma", 0, 0, "alpha takes nothing now")
    assert (state.due, state.held) == (["gamma"], None), "due now, whatever pause the first had asked for"
    assert await spent(db, batch) == []


async def test_it_keeps_its_doubts(db: Database) -> None:
    batch = await accepted_batch(db, [RESENDING])
    await spend(db, batch, RESENDING, "alpha")
    await looked(db, batch)
    await sent(db, batch, RESENDING, DOUBTFUL, "beta")
    await let_pass(db, batch, 4000)
    await looked(db, batch)
    assert await row(db, batch) == ("queued", "gamma", 0, 1, "in doubt")
    await db.run("UPDATE delivery SET spent = '{alpha}'")
    await looked(db, batch, roads(gamma=4.0))
    assert await row(db, batch) == ("queued", "beta", 0, 1, "gamma takes nothing now")


async def test_only_what_is_queued_moves(db: Database) -> None:
    batch = await accepted_batch(db, [RESENDING], 4)
    one = leg(batch, RESENDING)
    await deliveries.claim(db, one, 1)
    await looked(db, batch, roads(alpha=4.0))
    places = await db.run("SELECT status, provider FROM delivery ORDER BY seq")
    assert [tuple(place) for place in places] == [("sending", "alpha"), *[("queued", "beta")] * 3]


async def test_it_comes_back_when_the_second_takes_nothing(db: Database) -> None:
    batch = await accepted_batch(db, [RESENDING])
    await looked(db, batch, roads(alpha=4.0, gamma=4.0))
    await looked(db, batch, roads(beta=4.0, gamma=4.0))
    assert await row(db, batch) == ("queued", "alpha", 0, 0, "beta takes nothing now")


async def test_settling_at_once_with_old_and_new_knowledge_moves_it_to_some_provider(db: Database) -> None:
    batch = await accepted_batch(db, [RESENDING], 20)
    views = [roads(alpha=4.0), roads(beta=4.0), roads(**ALL_HELD), roads()]
    await asyncio.gather(*(settle(db, batch, Rules(RESENDING, Priority.NORMAL, view)) for view in views * 2))
    await all_is_true(db)
    assert await statuses(db, batch) == ["queued"] * 20
    await looked(db, batch)
    written, real = await books(db, "acme")
    assert written == real


# Who waits, and for how long.


@pytest.mark.parametrize(
    ("held", "seconds"),
    [
        ({"alpha": 4.0, "beta": 9.0, "gamma": 9.0}, 4.0),
        ({"alpha": None, "beta": 9.0, "gamma": 9.0}, HOLD_MOST),
    ],
)
async def test_with_nobody_else_it_waits_and_says_when_to_ask(
    db: Database, held: Mapping[str, float | None], seconds: float
) -> None:
    batch = await accepted_batch(db, [RESENDING])
    state = await looked(db, batch, roads(**held))
    assert await row(db, batch) == ("queued", "alpha", 0, 0, None)
    assert (state.due, state.held, state.open) == ([], seconds, 1)
    assert state.wait == pytest.approx(PATIENCE, abs=60)


async def test_it_is_asked_at_once_when_the_time_has_come(db: Database) -> None:
    batch = await accepted_batch(db, [RESENDING])
    state = await looked(db, batch, roads(alpha=0.0, beta=9.0, gamma=9.0))
    assert (state.due, state.held) == (["alpha"], None)


async def test_a_retry_is_not_asked_for_before_it_is_due(db: Database) -> None:
    batch = await accepted_batch(db, [RESENDING])
    await sent(db, batch, RESENDING, REFUSED)
    state = await looked(db, batch, roads(**ALL_HELD))
    assert state.held == pytest.approx(RESENDING.retry[0], abs=60)


async def test_providers_that_had_their_chance_are_no_way_out(db: Database) -> None:
    batch = await accepted_batch(db, [RESENDING])
    for provider in ("alpha", "beta"):
        await spend(db, batch, RESENDING, provider)
        await looked(db, batch)
    state = await looked(db, batch, roads(gamma=4.0))
    assert (await row(db, batch))[:2] == ("queued", "gamma")
    assert (state.due, state.held) == ([], 4.0)


async def test_patience_ends_in_a_dead_letter(db: Database) -> None:
    batch = await accepted_batch(db, [RESENDING])
    await let_pass(db, batch, PATIENCE - 300)
    state = await looked(db, batch, roads(**ALL_HELD))
    assert state.wait == pytest.approx(300, abs=60)
    await let_pass(db, batch, 400)
    state = await looked(db, batch, roads(**ALL_HELD))
    assert (state.open, state.dead, state.held) == (0, 1, None)
    assert await row(db, batch) == ("dead", "alpha", 0, 0, "no provider works")


async def test_patience_is_not_asked_while_a_provider_works(db: Database) -> None:
    batch = await accepted_batch(db, [RESENDING])
    await let_pass(db, batch, PATIENCE + 100)
    assert (await looked(db, batch)).due == ["alpha"]
    await looked(db, batch, roads(alpha=4.0, gamma=4.0))
    assert (await row(db, batch))[:2] == ("queued", "beta")


async def test_it_expires_while_it_waits(db: Database) -> None:
    batch = await accepted_batch(db, [RESENDING], expires_at=datetime.now(UTC) + timedelta(seconds=2000))
    state = await looked(db, batch, roads(**ALL_HELD))
    assert state.wait == pytest.approx(2000, abs=60)
    await let_pass(db, batch, 2100)
    assert (await looked(db, batch, roads(**ALL_HELD))).finished
    assert await statuses(db, batch) == ["expired"]


async def test_those_who_wait_are_called_when_a_provider_works_again(db: Database) -> None:
    waiting, going = await accepted_batch(db, [RESENDING]), await accepted_batch(db, [RESENDING])
    await looked(db, waiting, roads(**ALL_HELD))
    await looked(db, going)
    flags = await db.run("SELECT batch_id, held FROM batch_channel")
    assert {channel.batch_id: channel.held for channel in flags} == {waiting: True, going: False}
    assert await sweeping.overdue(db) == []
    assert await sweeping.release(db, "another channel") == 0
    assert await sweeping.release(db, RESENDING.name) == 1
    assert await sweeping.overdue(db) == []  # workers have to hear of it first
    await db.run("UPDATE batch_channel SET next_look_at = next_look_at - make_interval(secs => :s)", s=sweeping.HEARD)
    assert [late.run.batch for late in await sweeping.overdue(db)] == [str(waiting)]
    await looked(db, waiting)
    assert await sweeping.release(db, RESENDING.name) == 0


# Who has had its chance.


async def test_from_the_middle_of_a_route_it_comes_round_to_the_first(db: Database) -> None:
    flush = await Intake(db, CHANNELS, cap=512, first=lambda _: "beta").accept([submission([RESENDING.name])])
    batch = UUID(flush.batches[0].run.batch)
    for provider, had in (("beta", ["beta"]), ("alpha", ["beta", "alpha"])):
        await spend(db, batch, RESENDING, provider)
        await looked(db, batch)
        assert await spent(db, batch) == had
    await spend(db, batch, RESENDING, "gamma")
    assert (await looked(db, batch)).dead == 1
    assert (await row(db, batch))[:2] == ("dead", "gamma")


async def test_the_next_is_the_best_by_health_and_one_that_takes_nothing_only_when_no_other_is_left(
    db: Database,
) -> None:
    batch = await accepted_batch(db, [RESENDING])
    view = roads("gamma", "beta", "alpha", beta=None)
    await spend(db, batch, RESENDING, "alpha")
    await looked(db, batch, view)
    assert (await row(db, batch))[:2] == ("queued", "gamma")
    await spend(db, batch, RESENDING, "gamma")
    state = await looked(db, batch, view)
    assert (await row(db, batch))[:2] == ("queued", "beta")
    assert (state.due, state.held) == ([], HOLD_MOST)


async def test_an_operators_retry_begins_anew(db: Database) -> None:
    batch = await accepted_batch(db, [RESENDING])
    for provider in RESENDING.route:
        await spend(db, batch, RESENDING, provider)
        await looked(db, batch)
    assert (await statuses(db, batch), await spent(db, batch)) == (["dead"], ["alpha", "beta"])
    await dead_letters.retry(db, CHANNELS, Which(batch=batch))
    assert (await row(db, batch))[:3] == ("queued", "alpha", 0)
    assert await spent(db, batch) == []


# Divert: one message is tried with a provider whose breaker is not closed.


async def test_one_row_is_diverted_with_a_budget_of_its_own(db: Database) -> None:
    batch = await accepted_batch(db, [RESENDING], 3)
    one = leg(batch, RESENDING)
    assert await deliveries.divert(db, one, "beta")
    places = await db.run("SELECT status, provider, tries, spent, reason FROM delivery ORDER BY seq")
    other = ("queued", "alpha", 0, [], None)
    assert [tuple(place) for place in places] == [("queued", "beta", 0, ["beta"], "probe"), other, other]
    await all_is_true(db)


async def test_a_message_is_a_vendors_probe_once(db: Database) -> None:
    batch = await accepted_batch(db, [RESENDING])
    assert await deliveries.divert(db, leg(batch, RESENDING), "beta")
    await looked(db, batch, roads(beta=4.0))
    assert (await row(db, batch))[:2] == ("queued", "alpha")
    assert not await deliveries.divert(db, leg(batch, RESENDING), "beta")


async def test_only_what_may_be_claimed_now_and_was_not_there_before_is_diverted(db: Database) -> None:
    later, out, full, known, gone = [await accepted_batch(db, [RESENDING]) for _ in range(5)]
    await db.run("UPDATE delivery SET due_at = now() + interval '1 h' WHERE batch_id = :b", b=later)
    await db.run("UPDATE delivery SET expires_at = now() WHERE batch_id = :b", b=out)
    await db.run("UPDATE delivery SET tries = :n WHERE batch_id = :b", b=full, n=RESENDING.tries)
    await db.run("UPDATE delivery SET spent = '{beta}' WHERE batch_id = :b", b=known)
    await deliveries.claim(db, leg(gone, RESENDING), 1)
    for batch in (later, out, full, known, gone):
        assert not await deliveries.divert(db, leg(batch, RESENDING), "beta")
    assert await deliveries.divert(db, leg(known, RESENDING), "gamma")
    assert not await deliveries.divert(db, leg(known, RESENDING), "beta"), "it is not this leg's any more"


async def test_two_at_once_divert_two_rows_and_never_one_twice(db: Database) -> None:
    batch = await accepted_batch(db, [RESENDING], 2)
    made = await asyncio.gather(*(deliveries.divert(db, leg(batch, RESENDING), to) for to in ("beta", "gamma")))
    moved = {r.provider for r in await db.run("SELECT provider FROM delivery WHERE provider <> 'alpha'")}
    assert len(moved) == sum(made)
    await all_is_true(db)


async def test_a_row_that_somebody_holds_is_passed_over(db: Database) -> None:
    batch = await accepted_batch(db, [RESENDING], 2)
    async with db.begin() as connection:
        await execute(connection, "SELECT 1 FROM delivery WHERE seq = 0 FOR UPDATE", {})
        async with asyncio.timeout(60):
            assert await deliveries.divert(db, leg(batch, RESENDING), "beta")
    assert [r.provider for r in await db.run("SELECT provider FROM delivery ORDER BY seq")] == ["alpha", "beta"]


async def test_a_diverted_row_nobody_claimed_goes_home_by_settle(db: Database) -> None:
    batch = await accepted_batch(db, [RESENDING])
    await deliveries.divert(db, leg(batch, RESENDING), "beta")
    state = await looked(db, batch, roads(beta=4.0))
    assert (await row(db, batch))[:2] == ("queued", "alpha")
    assert state.counts == {Status.QUEUED: 1}
    await sent(db, batch, RESENDING, accepted())
    assert await statuses(db, batch) == ["sent"]
