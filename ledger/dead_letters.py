"""What becomes of dead letters: a person queues them again or gives them up, or their provider works again."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from domain.channels import Channels
from domain.deliveries import Step
from domain.ids import DeliveryId
from domain.runs import Order
from ledger import audit
from ledger.audit import By
from ledger.database import Database, execute, repeated
from ledger.dead_letter_list import WHICH, Which
from ledger.transition import transition

_CHUNK = 500  # letters moved in one transaction


@dataclass(frozen=True, slots=True)
class Revived:
    """What a retry or discard did. `wake`: the runs that have to look again, as (batch, channel)."""

    moved: int
    wake: tuple[tuple[UUID, str], ...]


_PICK = f"""
SELECT x.batch_id, x.seq FROM dead_letter x
 WHERE {WHICH} AND (CAST(:ways AS text[]) IS NULL OR x.channel = ANY(:ways))
   AND (x.batch_id, x.seq) > (CAST(:after_batch AS uuid), CAST(:after_seq AS int))
 ORDER BY x.batch_id, x.seq LIMIT :most
"""  # noqa: S608 - built from constants

_PICKED = "SELECT * FROM unnest(CAST(:batches AS uuid[]), CAST(:seqs AS int[])) AS p(batch_id, seq)"
_UNBURY = """
unburied AS (
    DELETE FROM dead_letter x USING moved m WHERE x.batch_id = m.batch_id AND x.seq = m.seq
)"""
_MOVED = "SELECT batch_id, channel, notification_id FROM moved"


def _queued_again(where: str, note: str = "reason") -> str:
    """Doubts, attempt and key stay: what may have been sent before still may have been."""
    return transition(
        Step.RETRY,
        given=f"""
        SELECT p.batch_id, p.seq, w.way, w.first, w.life FROM ({_PICKED}) AS p
         CROSS JOIN unnest(CAST(:ways AS text[]), CAST(:firsts AS text[]), CAST(:lives AS float8[]))
            AS w(way, first, life)""",  # noqa: S608 - built from constants
        join="d.batch_id = g.batch_id AND d.seq = g.seq AND d.channel = g.way",
        keep=("first", "life"),
        where=where,
        change="""status = 'queued', provider = l.first, tries = 0, spent = '{}', due_at = now(),
                  give_up_at = now() + make_interval(secs => l.life), reason = NULL""",
        reopens="true",
        note=note,
        also=_UNBURY,
        returning=_MOVED,
    )


_RETRY = _queued_again("d.status = 'dead'")

_WORKS = "'its provider works again'"  # what the event says of a redrive
_REDRIVES = 3  # of one letter: a provider that comes and goes must not repeat it without end

# Nobody is asked: what may have reached the person already is left to a person.
_REDRIVE = _queued_again(
    f"""d.status = 'dead' AND d.doubts = 0 AND {_REDRIVES} > (
            SELECT count(*) FROM delivery_event e
             WHERE e.batch_id = d.batch_id AND e.seq = d.seq AND e.step = '{Step.RETRY}' AND e.reason = {_WORKS})""",  # noqa: S608 - built from constants
    note=_WORKS,
)

_DISCARD = transition(
    Step.DISCARD,
    given=_PICKED,
    join="d.batch_id = g.batch_id AND d.seq = g.seq",
    where="d.status = 'dead'",
    change="status = 'failed', reason = 'discarded'",
    reopens="true",
    also=_UNBURY,
    returning=_MOVED,
)

# Statements of their own, under the lock that settle writes ends under: else one just written would be overlooked.
_SERIAL = """
SELECT 1 FROM batch WHERE id IN (SELECT lead_id FROM batch WHERE id = ANY(CAST(:batches AS uuid[])))
 ORDER BY id FOR UPDATE
"""
_UNEND = "DELETE FROM notification_end WHERE notification_id = ANY(CAST(:ids AS uuid[]))"


def of_run(order: Order) -> Which:
    """What an operator's signal to a run means."""
    return Which(batch=UUID(order.batch), channel=order.channel, seqs=order.seqs)


def one(delivery: DeliveryId, tenant: str | None) -> Which:
    """A single dead letter; `tenant` None: whosever it is."""
    return Which(tenant=tenant, batch=delivery.batch, seqs=[delivery.seq])


async def retry(
    db: Database,
    channels: Channels,
    which: Which,
    provider: str | None = None,
    *,
    most: int | None = None,
    by: By | None = None,
) -> Revived:
    """Queue dead letters again: due now, with their whole budget, at the first of the route or at `provider`.

    Letters of a channel whose route does not have `provider` are left alone. `most`: at most so many. `by`: for the
    audit log; what a run's signal asks for is in the run's history.
    """
    return await _move(db, which, _RETRY, _ways(channels, provider), most, by=by)


async def redrive(db: Database, channels: Channels, provider: str, since: datetime, most: int) -> Revived:
    """Queue again at `provider` what died with it since then, for it works again: at most so many, oldest first.

    Oldest is what was accepted first. Letters with a doubt stay, for an automatic repeat could be a duplicate, and
    those that came back three times already.
    """
    return await _move(db, Which(provider=provider, since=since), _REDRIVE, _ways(channels, provider), most)


async def discard(db: Database, which: Which, most: int | None = None, by: By | None = None) -> Revived:
    """Give dead letters up: they are `failed` for good, reason `discarded`. `most`: at most so many. `by`: as above."""
    return await _move(db, which, _DISCARD, {}, most, by=by)


def _ways(channels: Channels, provider: str | None) -> dict[str, Any]:
    """For each channel that may go on: where its letters begin, and how long they may live."""
    ways = [channel for channel in channels.values() if provider is None or provider in channel.route]
    return {
        "ways": [way.name for way in ways],
        "firsts": [provider or way.route[0] for way in ways],
        "lives": [way.life for way in ways],
    }


async def _move(
    db: Database, which: Which, statement: str, values: dict[str, Any], most: int | None, *, by: By | None = None
) -> Revived:
    last = DeliveryId(UUID(int=0), -1)
    moved, wake = 0, dict[tuple[UUID, str], None]()
    while most is None or moved < most:
        chunk = _CHUNK if most is None else min(_CHUNK, most - moved)
        place = {"after_batch": last.batch, "after_seq": last.seq, "most": chunk}
        picked = await db.run(_PICK, **asdict(which), ways=values.get("ways"), **place)
        if not picked:
            break
        rows = await repeated(lambda picked=picked: _together(db, statement, values, picked, note=(which, by)))
        moved += len(rows)
        wake |= dict.fromkeys((row.batch_id, row.channel) for row in rows)
        last = DeliveryId(picked[-1].batch_id, picked[-1].seq)
    return Revived(moved, tuple(wake))


async def _together(
    db: Database, statement: str, values: dict[str, Any], picked: Sequence[Any], *, note: tuple[Which, By | None]
) -> Sequence[Any]:
    ids = {"batches": [row.batch_id for row in picked], "seqs": [row.seq for row in picked]}
    async with db.begin() as connection:
        rows = await execute(connection, statement, {**ids, **values})
        if statement is not _DISCARD and rows:
            await execute(connection, _SERIAL, {"batches": [row.batch_id for row in rows]})
            await execute(connection, _UNEND, {"ids": [row.notification_id for row in rows]})
        which, by = note
        if by is not None and rows:
            action = f"dead_letters.{'discard' if statement is _DISCARD else 'retry'}"
            subject = which.channel or (f"{which.batch}.{which.seqs[0]}" if which.batch and which.seqs else "all")
            await audit.record(connection, by, action, subject, tenant=which.tenant, detail={"letters": len(rows)})
        return rows
