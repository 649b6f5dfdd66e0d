"""Helpers of the ledger's tests: notifications accepted, time made to pass, and the truths that always hold."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from domain.channels import Channel
from domain.deliveries import TRANSITIONS, Status, Step
from domain.ids import new_id
from domain.messages import Content
from domain.outcomes import Answer, Outcome
from domain.priorities import Priority
from domain.submissions import Recipient, Submission
from ledger.database import Database
from ledger.deliveries import Answered, Claim, Leg, claim, record
from ledger.intake import Intake

REFUSED = Answer(Outcome.RETRYABLE, reason="busy")
TIMES = ("due_at", "sent_at", "doubt_until", "expires_at", "give_up_at", "claimed_at")


def submission(
    channels: Sequence[str] = ("email",),
    recipients: int = 1,
    *,
    tenant: str = "acme",
    text: str = "Hello",
    key: str | None = None,
    fingerprint: bytes = b"one body",
    send_at: datetime | None = None,
    expires_at: datetime | None = None,
    addresses: Mapping[str, str] | None = None,
) -> Submission:
    """A notification to so many people, who have every address."""
    everywhere = {"email": "a@example.org", "phone": "+14155550100", "push_token": "token"}
    known = everywhere if addresses is None else addresses
    return Submission(
        tenant,
        tuple(channels),
        tuple(Recipient(f"person-{n}", known, known=True) for n in range(recipients)),
        Content(text),
        Priority.NORMAL,
        send_at=send_at,
        expires_at=expires_at,
        idempotency_key=key,
        fingerprint=fingerprint,
    )


async def accepted_batch(db: Database, channels: Sequence[Channel], recipients: int = 1, **more: Any) -> UUID:
    """One notification in one batch; the batch's id."""
    intake = Intake(db, {channel.name: channel for channel in channels}, cap=512)
    flush = await intake.accept([submission([channel.name for channel in channels], recipients, **more)])
    return UUID(flush.batches[0].run.batch)


def leg(batch: UUID, channel: Channel, provider: str | None = None) -> Leg:
    """A new execution of deliver."""
    return Leg(batch, channel, provider or channel.route[0], Priority.NORMAL, new_id())


async def answered(db: Database, of: Leg, claims: Sequence[Claim], answer: Answer, *, final: bool = False) -> int:
    """Record one answer for all claims. Returns how many rows changed."""
    answers = [Answered(claim, answer, final) for claim in claims]
    return len(await record(db, of.channel, of.provider, of.priority, answers, keep_refs=False))


async def row(db: Database, batch: UUID) -> tuple[str, str | None, int, int, str | None]:
    """status, provider, tries, doubts, reason of the first delivery."""
    rows = await db.run(
        "SELECT status, provider, tries, doubts, reason FROM delivery WHERE batch_id = :b ORDER BY seq LIMIT 1", b=batch
    )
    return tuple(rows[0])  # type: ignore[return-value]


async def sent(db: Database, batch: UUID, channel: Channel, answer: Answer, provider: str | None = None) -> None:
    """What is due goes out through one provider, which answers so."""
    one = leg(batch, channel, provider)
    await answered(db, one, await claim(db, one, 500), answer)


async def spend(db: Database, batch: UUID, channel: Channel, provider: str) -> None:
    """Use up a provider's tries."""
    for _ in range(channel.tries):
        await sent(db, batch, channel, REFUSED, provider)
        await let_pass(db, batch, 3000)


async def let_pass(db: Database, batch: UUID, seconds: float) -> None:
    """Make so much time pass for a batch: everything that was noted lies that much further back."""
    shifts = ", ".join(f"{name} = {name} - make_interval(secs => :seconds)" for name in TIMES)
    await db.run(f"UPDATE delivery SET {shifts} WHERE batch_id = :batch", seconds=seconds, batch=batch)
    await db.run(
        "UPDATE delivery_event SET at = at - make_interval(secs => :seconds) WHERE batch_id = :batch",
        seconds=seconds,
        batch=batch,
    )


async def statuses(db: Database, batch: UUID) -> list[str]:
    """By seq."""
    return [row.status for row in await db.run("SELECT status FROM delivery WHERE batch_id = :b ORDER BY seq", b=batch)]


async def all_is_true(db: Database, batch: UUID | None = None) -> None:
    """What holds after every step, of one batch or of all: the counter, the legality of events, the dead letters."""
    wrong = await db.run(
        """SELECT c.batch_id, c.channel, c.awaiting FROM batch_channel c
            WHERE (CAST(:batch AS uuid) IS NULL OR c.batch_id = :batch) AND awaiting <> (
               SELECT count(*) FROM delivery d WHERE d.batch_id = c.batch_id AND d.channel = c.channel
                  AND d.status IN ('sent', 'in_doubt'))""",
        batch=batch,
    )
    assert not wrong, f"awaiting is wrong: {wrong}"
    wrong = await db.run(
        """SELECT d.batch_id, d.seq, d.status FROM delivery d LEFT JOIN dead_letter x USING (batch_id, seq)
            WHERE (CAST(:batch AS uuid) IS NULL OR d.batch_id = :batch)
              AND (d.status = 'dead') <> (x.batch_id IS NOT NULL)""",
        batch=batch,
    )
    assert not wrong, f"dead letters and dead deliveries differ: {wrong}"
    await histories_are_legal(db, batch)


async def histories_are_legal(db: Database, batch: UUID | None = None) -> None:
    """Every event is a transition of the table, starts where the last one ended, and the row is where the last ends."""
    mine = "WHERE CAST(:batch AS uuid) IS NULL OR batch_id = :batch"
    at: dict[tuple[UUID, int], str] = {}
    for event in await db.run(
        f"SELECT batch_id, seq, step, old, new FROM delivery_event {mine} ORDER BY batch_id, seq, id", batch=batch
    ):
        place = (event.batch_id, event.seq)
        if event.old is None:
            assert event.step == Step.ACCEPT and place not in at, event
        elif event.old == event.new and event.new not in TRANSITIONS[Step(event.step)].get(Status(event.old), ()):
            # Came too late to count, or an in-doubt row that was told so again.
            assert event.step in (Step.RECORD, Step.RECEIPT), event
            continue
        else:
            assert event.old == at[place], (event, at[place])
            assert event.new in TRANSITIONS[Step(event.step)][Status(event.old)], event
        at[place] = event.new
    rows = await db.run(f"SELECT batch_id, seq, status FROM delivery {mine}", batch=batch)
    assert at == {(row.batch_id, row.seq): row.status for row in rows}


Books = Counter[tuple[str, str, str]]


async def books(db: Database, tenant: str) -> tuple[Books, Books]:
    """Deliveries by channel, provider and status: as the statistics say, and as the rows are."""
    written = await db.run(
        "SELECT channel, provider, status, sum(n)::int AS n FROM statistic WHERE tenant_id = :t GROUP BY 1, 2, 3",
        t=tenant,
    )
    real = await db.run(
        """SELECT channel, coalesce(provider, '') AS provider, status, count(*)::int AS n
             FROM delivery WHERE tenant_id = :t GROUP BY 1, 2, 3""",
        t=tenant,
    )
    by_place = [
        Books({(row.channel, row.provider, row.status): row.n for row in rows if row.n}) for rows in (written, real)
    ]
    return by_place[0], by_place[1]
