"""Doubtful sends: when they are worth asking about, and whose a message is that a vendor knows."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from uuid import UUID

import pytest
from ledger_side import accepted_batch, all_is_true, answered, leg, let_pass, statuses
from protocol_rows import RESENDING

from domain.ids import SendKey
from domain.outcomes import accepted, in_doubt
from domain.priorities import Priority
from domain.runs import State
from domain.settling import Roads, Rules
from ledger import deliveries, doubts
from ledger.database import Database
from ledger.deliveries import Answered, Claim, record
from ledger.settling import settle
from ledger.sweeping import prune

QUIET = 600.0


async def _doubtful(db: Database, people: int = 1, **more: object) -> tuple[UUID, list[Claim]]:
    """Nobody answered; their time to be asked about has come."""
    batch = await accepted_batch(db, [RESENDING], people, **more)
    one = leg(batch, RESENDING)
    claims = await deliveries.claim(db, one, people)
    await answered(db, one, claims, in_doubt("timeout"))
    await let_pass(db, batch, 1500)
    return batch, claims


async def _settled(
    db: Database, batch: UUID, held: Mapping[str, float | None] | None = None, **may: tuple[str]
) -> State:
    rules = Rules(RESENDING, Priority.NORMAL, Roads(RESENDING.route, held or {}), **may)
    return (await settle(db, batch, rules)).state


@pytest.mark.parametrize("may", [{"lookups": ("alpha",)}, {"repeats": ("alpha",)}])
async def test_settle_says_when_a_doubt_may_be_ended(db: Database, may: dict[str, tuple[str]]) -> None:
    batch, _ = await _doubtful(db)
    state = await _settled(db, batch)
    assert (state.due, state.held) == ([], None)
    assert (await _settled(db, batch, **may)).due == ["alpha"]
    state = await _settled(db, batch, {"alpha": 7.0}, **may)
    assert (state.due, state.held) == ([], 7.0)
    await doubts.put_off(db, leg(batch, RESENDING), QUIET, 10)
    state = await _settled(db, batch, **may)
    assert state.due == []
    assert state.wait is not None and 700 < state.wait < 760  # half its age


async def test_without_tries_it_is_not_repeated_but_asked_about(db: Database) -> None:
    batch, _ = await _doubtful(db)
    await db.run("UPDATE delivery SET tries = 3")
    assert (await _settled(db, batch, repeats=("alpha",))).due == []
    assert (await _settled(db, batch, lookups=("alpha",))).due == ["alpha"]


async def test_nothing_is_asked_after_the_doubts_time(db: Database) -> None:
    batch, _ = await _doubtful(db)
    await let_pass(db, batch, 2000)
    assert (await deliveries.abandon(db, leg(batch, RESENDING))).doubtful == 0
    assert await doubts.put_off(db, leg(batch, RESENDING), QUIET, 10) == []
    assert await deliveries.resume(db, leg(batch, RESENDING), 9000, 10) == []
    assert (await _settled(db, batch, lookups=("alpha",))).due == ["beta"]


async def test_a_young_one_is_put_off_until_an_answer_can_no_longer_come(db: Database) -> None:
    batch = await accepted_batch(db, [RESENDING])
    one = leg(batch, RESENDING)
    await answered(db, one, await deliveries.claim(db, one, 1), in_doubt("timeout"))
    await db.run("UPDATE delivery SET due_at = now()")
    (doubt,) = await doubts.put_off(db, one, QUIET, 10)
    assert doubt.age < 60
    (row,) = await db.run("SELECT extract(epoch FROM due_at - claimed_at)::float8 AS after FROM delivery")
    assert row.after == pytest.approx(QUIET, abs=0.01)


async def test_two_executions_ask_about_each_but_once(db: Database) -> None:
    batch, claims = await _doubtful(db, 20)
    ones = [leg(batch, RESENDING) for _ in range(4)]
    found = await asyncio.gather(*(doubts.put_off(db, one, QUIET, 10) for one in ones))
    asked = sorted(doubt.claim.key.delivery for part in found for doubt in part)
    assert asked == [claim.key.delivery for claim in claims]


async def test_who_may_have_got_two_is_not_alone(db: Database) -> None:
    """Everybody here has the same address; who is the same person is so in other batches, too."""
    batch, _ = await _doubtful(db)
    one = leg(batch, RESENDING)

    async def alone() -> bool:
        await db.run("UPDATE delivery SET due_at = now() WHERE batch_id = :b", b=batch)
        (doubt,) = await doubts.put_off(db, one, QUIET, 10)
        return doubt.alone

    assert await alone()
    other, claims = await _doubtful(db)
    assert not await alone()
    await answered(db, leg(other, RESENDING), claims, accepted())
    assert await alone()
    twice, _ = await _doubtful(db, 2, tenant="another")
    assert not any(doubt.alone for doubt in await doubts.put_off(db, leg(twice, RESENDING), QUIET, 10))


async def _identified(db: Database, *candidates: tuple[Claim, Sequence[str]]) -> dict[SendKey, str]:
    return await doubts.identify(db, "alpha", {claim.key: ids for claim, ids in candidates})


async def test_a_message_is_one_sends_only(db: Database) -> None:
    _, (first, second, third) = await _doubtful(db, 3)
    assert await _identified(db, (first, [])) == {}
    assert await _identified(db, (first, ["M1"])) == {first.key: "M1"}
    assert await _identified(db, (first, ["M1"])) == {first.key: "M1"}, "a crash before the record loses nothing"
    assert await _identified(db, (second, ["M1"])) == {}
    assert await _identified(db, (second, ["M1", "M2"]), (third, ["M3", "M4"])) == {second.key: "M2"}


async def test_of_two_that_want_the_same_message_one_gets_it(db: Database) -> None:
    _, (first, second) = await _doubtful(db, 2)
    found = await asyncio.gather(*(_identified(db, (claim, ["M1"])) for claim in (first, second)))
    assert sorted(map(len, found)) == [0, 1]


async def test_what_was_accepted_is_known_and_not_found_again(db: Database) -> None:
    batch, (doubted, other) = await _doubtful(db, 2)
    one = leg(batch, RESENDING)
    answers = [Answered(other, accepted("M1"), final=False)]
    await record(db, RESENDING, one.provider, one.priority, answers, keep_refs=True)
    assert await _identified(db, (doubted, ["M1"])) == {}
    found = await _identified(db, (doubted, ["M1", "M2"]))
    await answered(db, one, [doubted], accepted(found[doubted.key]))
    assert await statuses(db, batch) == ["sent", "sent"]
    rows = await db.run("SELECT doubts FROM delivery")
    assert [row.doubts for row in rows] == [0, 0]
    await all_is_true(db)


async def test_a_repeat_keeps_the_first_doubts_end_and_a_new_send_has_its_own(db: Database) -> None:
    channel = replace(RESENDING, route=("alpha",))
    batch, _ = await _doubtful(db)
    (before,) = await db.run("SELECT doubt_until FROM delivery")
    one = leg(batch, channel)
    await answered(db, one, await deliveries.resume(db, one, 9000, 1), in_doubt("timeout"))
    (after,) = await db.run("SELECT doubt_until FROM delivery")
    assert after.doubt_until == before.doubt_until
    await let_pass(db, batch, 2000)
    await settle(db, batch, Rules.clear(channel))
    await answered(db, one, await deliveries.claim(db, one, 1), in_doubt("timeout"))
    (anew,) = await db.run("SELECT doubt_until - now() > interval '3000 s' AS whole FROM delivery")
    assert anew.whole


async def test_references_are_kept_for_thirty_days(db: Database) -> None:
    _, (claim,) = await _doubtful(db)
    await _identified(db, (claim, ["M1"]))
    assert (await prune(db, 30))["send_refs"] == 0
    await db.run("UPDATE send_ref SET created_at = now() - interval '31 days'")
    assert (await prune(db, 30))["send_refs"] == 1
