"""Settle: move the rows that cannot go on as they are, say what is due and when to look again, and keep the books."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.deliveries import TERMINAL, Status, Step, overall_status
from domain.runs import HOLD_MOST, POLL_MOST, State
from domain.settling import Move, Roads, Rules, Standing, decide
from ledger.database import Database, execute, repeated
from ledger.transition import transition

LEASE = 45.0  # seconds: a row in `sending` for longer, with nobody of this run at it, has lost its owner
_NEVER = 100 * 365 * 86400.0  # seconds: dead letters wait for a person, not for the sweep
_MARGIN = 10.0  # seconds the sweep leaves a run before it calls it late

# A doubt its provider can end: it may be asked, or be sent the same once more. Both before the doubt's time is over.
_ASKABLE = """(d.status = 'in_doubt' AND d.due_at < d.doubt_until AND (d.provider = ANY(CAST(:lookups AS text[])) OR
           d.provider = ANY(CAST(:repeats AS text[])) AND d.tries < :tries AND coalesce(d.expires_at > now(), true)))"""

# One pass over the rows answers everything: what is due, what has to be decided, when to look again.
_SUMMARY = f"""
SELECT d.status, d.provider, d.tenant_id, count(*) AS n, now() AS now,
       extract(epoch FROM min(CASE WHEN d.status = 'queued' OR {_ASKABLE}
           THEN greatest(d.due_at, now()) END) - now())::float8 AS due,
       extract(epoch FROM min(CASE WHEN d.status = 'queued'
           THEN least(d.expires_at, d.give_up_at, CASE WHEN d.provider = ANY(CAST(:held AS text[]))
               THEN d.due_at + make_interval(secs => :patience) END) END) - now())::float8 AS late,
       count(*) FILTER (WHERE (d.status = 'queued' OR {_ASKABLE}) AND d.due_at <= now()) AS claimable,
       extract(epoch FROM min(CASE d.status
           WHEN 'sent' THEN d.sent_at + make_interval(secs => :window)
           WHEN 'in_doubt' THEN d.doubt_until
           WHEN 'sending' THEN d.claimed_at + make_interval(secs => :lease) END) - now())::float8 AS deadline,
       count(*) FILTER (WHERE CASE d.status
           WHEN 'undelivered' THEN true
           WHEN 'queued' THEN d.tries >= :tries OR d.expires_at <= now() OR d.give_up_at <= now()
                OR NOT d.provider = ANY(CAST(:route AS text[]))
                OR d.provider = ANY(CAST(:held AS text[])) AND (
                   NOT CAST(:working AS text[]) <@ d.spent OR d.due_at + make_interval(secs => :patience) <= now())
           WHEN 'sent' THEN d.sent_at + make_interval(secs => :window) <= now()
           WHEN 'in_doubt' THEN d.doubt_until <= now()
           ELSE false END) AS stuck
  FROM delivery d WHERE d.batch_id = :batch AND d.channel = :channel
 GROUP BY d.status, d.provider, d.tenant_id
 ORDER BY d.status, d.provider, d.tenant_id
"""  # noqa: S608 - built from constants

_LOCK = """
SELECT d.seq, d.status, d.provider, d.tries, d.doubts, d.reason, d.due_at, d.sent_at, d.doubt_until, d.expires_at,
       d.give_up_at, d.spent, now() AS now
  FROM delivery d
 WHERE d.batch_id = :batch AND d.channel = :channel AND d.status IN ('queued', 'undelivered', 'sent', 'in_doubt')
 ORDER BY d.seq FOR UPDATE
"""

_MOVE = transition(
    Step.SETTLE,
    given="""
    SELECT * FROM unnest(CAST(:seq AS int[]), CAST(:to AS text[]), CAST(:next AS text[]), CAST(:afresh AS bool[]),
        CAST(:doubts AS int[]), CAST(:spent AS bool[]), CAST(:why AS text[]))
        AS g(seq, target, next, afresh, more_doubts, leaves, why)""",
    join="d.batch_id = :batch AND d.seq = g.seq",
    keep=("target", "next", "afresh", "more_doubts", "leaves", "why"),
    where="d.channel = :channel",
    change="""status = l.target, provider = l.next, reason = l.why, doubts = d.doubts + l.more_doubts,
              tries = CASE WHEN l.afresh THEN 0 ELSE d.tries END,
              spent = CASE WHEN l.leaves THEN d.spent || d.provider ELSE d.spent END,
              due_at = CASE WHEN l.target = 'queued' THEN now() ELSE d.due_at END""",
    also="""
buried AS (
    INSERT INTO dead_letter (batch_id, seq, tenant_id, channel, provider, reason)
    SELECT batch_id, seq, tenant_id, channel, provider, reason FROM moved WHERE status = 'dead'
    ON CONFLICT DO NOTHING
)""",
    returning="SELECT count(*) FROM moved",
)

_BOOKS = """
SELECT c.awaiting, c.tally FROM batch b JOIN batch_channel c ON c.batch_id = b.id
 WHERE b.id = :batch AND c.channel = :channel FOR UPDATE OF c
"""
_SERIAL = "SELECT 1 FROM batch WHERE id = (SELECT lead_id FROM batch WHERE id = :batch) FOR UPDATE"

_CLOSE = """
WITH looked AS (
    UPDATE batch_channel SET next_look_at = now() + make_interval(secs => :look), armed = :armed, tally = :tally,
           held = :held, done_at = CASE WHEN :finished THEN now() END
     WHERE batch_id = :batch AND channel = :channel
)
INSERT INTO statistic (tenant_id, channel, provider, status, n)
SELECT * FROM unnest(CAST(:tenants AS text[]), CAST(:channels AS text[]), CAST(:providers AS text[]),
                     CAST(:statuses AS text[]), CAST(:changes AS bigint[]))
"""

_ENDS = """
SELECT DISTINCT d.notification_id, d.tenant_id, d.status
  FROM delivery d WHERE d.batch_id = ANY(ARRAY(  -- IN would be a hash join with the whole month
       SELECT CAST(:batch AS uuid) UNION SELECT unnest(n.batch_ids) FROM notification n WHERE n.id = (
           SELECT notification_id FROM delivery WHERE batch_id = :batch AND seq = 0)))
 ORDER BY d.notification_id
"""

_END = """
INSERT INTO notification_end (notification_id, tenant_id, status)
SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:tenants AS text[]), CAST(:statuses AS text[]))
ON CONFLICT (notification_id) DO UPDATE SET status = excluded.status, ended_at = now()
 WHERE notification_end.status <> excluded.status
"""


@dataclass(frozen=True, slots=True)
class Settled:
    """What settle found, and what it did."""

    state: State
    moves: tuple[tuple[str | None, Move], ...]  # with the provider each row was at before


async def settle(db: Database, batch: UUID, rules: Rules) -> Settled:
    """One look at a channel of a batch."""
    moves: list[tuple[str | None, Move]] = []
    while True:
        summary = await db.run(_SUMMARY, **_keys(batch, rules), **_policy(rules))
        if any(row.stuck for row in summary):
            moves += await repeated(lambda: _decide(db, batch, rules))
            continue
        state = await repeated(lambda: _keep_books(db, batch, rules))
        if state is not None:
            return Settled(state, tuple(moves))


def _keys(batch: UUID, rules: Rules) -> dict[str, Any]:
    return {"batch": batch, "channel": rules.channel.name}


def _policy(rules: Rules) -> dict[str, Any]:
    return {
        "window": rules.channel.window,
        "lease": LEASE,
        "tries": rules.channel.tries,
        "route": list(rules.channel.route),
        "held": list(rules.roads.held),
        "working": list(rules.roads.working),
        "patience": rules.patience,
        "repeats": list(rules.repeats),
        "lookups": list(rules.lookups),
    }


async def _decide(db: Database, batch: UUID, rules: Rules) -> list[tuple[str | None, Move]]:
    """Lock, decide each row from itself alone, move. Repeats and zombies are harmless."""
    async with db.begin() as connection:
        rows = await execute(connection, _LOCK, _keys(batch, rules))
        decided = [(row, move) for row in rows if (move := decide(_standing(row), rules, row.now))]
        if decided:
            values = {
                "seq": [row.seq for row, _ in decided],
                "to": [move.to.value for _, move in decided],
                "next": [move.provider for _, move in decided],
                "afresh": [move.afresh for _, move in decided],
                "doubts": [move.doubts for _, move in decided],
                "spent": [move.spent for _, move in decided],
                "why": [move.reason for _, move in decided],
            }
            await execute(connection, _MOVE, {**_keys(batch, rules), **values})
        return [(row.provider, move) for row, move in decided]


def _standing(row: Any) -> Standing:
    return Standing(
        Status(row.status),
        row.provider,
        row.tries,
        row.doubts,
        row.reason,
        row.due_at,
        row.sent_at,
        row.doubt_until,
        row.expires_at,
        row.give_up_at,
        tuple(row.spent),
    )


async def _keep_books(db: Database, batch: UUID, rules: Rules) -> State | None:
    """Read under the lock of batch_channel, so that nobody can reopen it unseen; None if a row has to be decided first.

    Only this lock is held while deliveries are merely read: no deadlock with those who lock deliveries first.
    """
    async with db.begin() as connection:
        keys = _keys(batch, rules)
        books = next(iter(await execute(connection, _BOOKS, keys)), None)
        if books is None:
            return State([], None, {}, 0, 0)  # its partition was dropped, or the ledger is another one: nothing to do
        summary = await execute(connection, _SUMMARY, {**keys, **_policy(rules)})
        if any(row.stuck for row in summary):
            return None
        state = _state(summary, rules.roads)
        ended = not state.open
        if ended:
            await execute(connection, _SERIAL, keys)
            await _write_ends(connection, keys)
        tally = _tally(summary)
        changes = _changes(books.tally, tally)
        values = {
            "look": _next_look(state),
            "armed": state.counts.get(Status.SENT, 0) + state.counts.get(Status.IN_DOUBT, 0) > 0,
            "finished": state.finished,
            "held": state.held is not None,
            "tally": orjson.dumps(tally).decode(),
            "tenants": [tenant for (tenant, _, _), _ in changes],
            "channels": [rules.channel.name] * len(changes),
            "providers": [provider for (_, provider, _), _ in changes],
            "statuses": [status for (_, _, status), _ in changes],
            "changes": [n for _, n in changes],
        }
        await execute(connection, _CLOSE, {**keys, **values})
        return state


def _state(summary: Sequence[Any], roads: Roads) -> State:
    counts: Counter[str] = Counter()
    due: list[str] = []
    waits: list[float] = []
    holds: list[float] = []
    for row in summary:
        counts[row.status] += row.n
        orphaned = row.status == Status.SENDING and row.deadline <= 0
        hold = _hold(row, roads)
        if ((row.claimable and not hold) or orphaned) and row.provider not in due:
            due.append(row.provider)
        holds += [hold] if hold else []
        waits += [seconds for seconds in (None if hold else row.due, row.late, row.deadline) if seconds is not None]
    return State(
        due=due,
        wait=max(0.0, min(waits)) if waits else None,
        counts=dict(counts),
        open=sum(n for status, n in counts.items() if Status(status) not in TERMINAL),
        dead=counts[Status.DEAD],
        held=min(holds) if holds else None,
    )


def _hold(row: Any, roads: Roads) -> float | None:
    """Seconds until asking this row's provider makes sense; None if it may be asked as soon as something is due."""
    if row.due is None or row.provider not in roads.held:
        return None
    seconds = roads.held[row.provider]
    return HOLD_MOST if seconds is None else max(seconds, row.due)


def _next_look(state: State) -> float:
    """Seconds until the sweep may call this run late."""
    if state.due:
        return LEASE
    if not state.open:
        return _NEVER if state.dead else 0.0
    wait = min(each for each in (state.wait, state.held, POLL_MOST) if each is not None)
    # A run asks a provider that takes nothing less and less often.
    return max(wait, 0.0 if state.held is None else HOLD_MOST) + _MARGIN


def _tally(summary: Sequence[Any]) -> dict[str, int]:
    counted: Counter[str] = Counter()
    for row in summary:
        counted[f"{row.tenant_id} {row.provider or ''} {row.status}"] += row.n
    return dict(counted)


def _changes(before: dict[str, int], after: dict[str, int]) -> list[tuple[tuple[str, str, str], int]]:
    names = sorted(before.keys() | after.keys())
    found = [(name, after.get(name, 0) - before.get(name, 0)) for name in names]
    return [(_split(name), n) for name, n in found if n]


def _split(name: str) -> tuple[str, str, str]:
    tenant, provider, status = name.rsplit(" ", 2)  # a tenant's name may hold spaces, the others do not
    return tenant, provider, status


async def _write_ends(connection: AsyncConnection, keys: dict[str, Any]) -> None:
    """The overall status of every notification of this batch that has come to its end in all channels and batches."""
    present: dict[tuple[UUID, str], set[str]] = {}
    for row in await execute(connection, _ENDS, {"batch": keys["batch"]}):
        present.setdefault((row.notification_id, row.tenant_id), set()).add(row.status)
    ended = [(*whose, end) for whose, statuses in present.items() if (end := _end_of(frozenset(statuses)))]
    values = {
        "ids": [end[0] for end in ended],
        "tenants": [end[1] for end in ended],
        "statuses": [end[2] for end in ended],
    }
    await execute(connection, _END, values)


@cache
def _end_of(statuses: frozenset[str]) -> str | None:
    """The overall status of a notification whose deliveries have just these; None while one of them is open."""
    present = {Status(status): 1 for status in statuses}
    return overall_status(present, scheduled=False) if present.keys() <= TERMINAL else None
