"""Receipts: committed together, idempotent by event id, guarded by send key, parked while their send is unknown."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from domain.deliveries import Step
from domain.ids import DeliveryId
from domain.receipts import Receipt
from ledger import suppressions
from ledger.database import Database, execute, repeated
from ledger.transition import transition


@dataclass(frozen=True, slots=True)
class Heard:
    """What a group of receipts did.

    `wake`: the runs that wait for such news, as (batch, channel). `results`: how many of which provider and report were
    matched, repeated or parked.
    """

    wake: tuple[tuple[UUID, str], ...]
    moved: int
    repeated: int
    parked: int
    results: Mapping[tuple[str, str, str], int] = field(default_factory=dict[tuple[str, str, str], int])
    delays: tuple[tuple[str, float], ...] = ()  # provider, and seconds from its yes to its report
    reports: tuple[tuple[str, DeliveryId], ...] = ()  # new and matched ones: who reports on what


# A receipt names its delivery by our key or delivery id. `matched` is decided before the insert: a row that is parked
# stays so until `_match` ties it to a send.
_KEEP = """
INSERT INTO receipt (provider, event_id, report, batch_id, seq, key_no, message_id, reason, occurred_at, suppress,
                     matched)
SELECT DISTINCT ON (g.provider, g.event_id)
       g.provider, g.event_id, g.report, g.batch_id, g.seq, g.key_no, g.message_id, g.reason, g.occurred_at,
       g.suppress, d.batch_id IS NOT NULL
  FROM unnest(CAST(:provider AS text[]), CAST(:event_id AS text[]), CAST(:report AS text[]), CAST(:batch AS uuid[]),
              CAST(:seq AS int[]), CAST(:key_no AS int[]), CAST(:message_id AS text[]), CAST(:reason AS text[]),
              CAST(:occurred_at AS timestamptz[]), CAST(:suppress AS text[]))
       AS g(provider, event_id, report, batch_id, seq, key_no, message_id, reason, occurred_at, suppress)
  LEFT JOIN delivery d ON d.batch_id = g.batch_id AND d.seq = g.seq
 ORDER BY g.provider, g.event_id
ON CONFLICT DO NOTHING
RETURNING provider, report, batch_id, seq, key_no, message_id, reason, suppress, matched
"""

# `delivered` of any key: the person has it. Not delivered: only of the current key.
_GOOD = """(g.good AND d.status IN ('queued', 'sending', 'sent', 'in_doubt', 'undelivered', 'sent_final', 'unconfirmed',
                                 'failed', 'dead'))"""
_BAD = """(NOT g.good AND coalesce(g.bad_any OR d.key_no = ANY(g.bad_keys), false)
          AND d.status IN ('sending', 'sent', 'in_doubt', 'unconfirmed', 'sent_final'))"""

# Several receipts of one delivery in one group are folded: `delivered` wins over all else.
_APPLY = transition(
    Step.RECEIPT,
    given="""
    SELECT batch_id, seq, bool_or(report = 'delivered') AS good, max(provider) AS provider,
           max(message_id) AS reported_id, max(why) AS why,
           array_agg(key_no) FILTER (WHERE report = 'undelivered') AS bad_keys,
           bool_or(report = 'undelivered' AND key_no IS NULL) AS bad_any,
           CASE WHEN bool_or(report = 'delivered') THEN 'delivered' ELSE max(report) END AS said
      FROM unnest(CAST(:batch AS uuid[]), CAST(:seq AS int[]), CAST(:key_no AS int[]), CAST(:report AS text[]),
                  CAST(:why AS text[]), CAST(:provider AS text[]), CAST(:message_id AS text[]))
        AS r(batch_id, seq, key_no, report, why, provider, message_id)
     GROUP BY batch_id, seq""",
    join="d.batch_id = g.batch_id AND d.seq = g.seq",
    keep=("good", "reported_id", "why"),
    where=f"{_GOOD} OR {_BAD}",
    change="""
        status = CASE
            WHEN l.good THEN 'delivered'
            WHEN l.old IN ('sending', 'sent', 'in_doubt') THEN 'undelivered'
            ELSE 'failed' END,
        doubts = d.doubts - (l.old = 'in_doubt' AND NOT l.good)::int,
        reason = CASE WHEN l.good THEN NULL ELSE l.why END""",
    note="why",
    message_id="reported_id",
    wakes="status = 'undelivered'",
    # A run that had ended has counted this row elsewhere in the statistics: it has to look once more.
    reopens="old IN ('sent_final', 'unconfirmed', 'failed', 'dead')",
    also="""
late AS (
    INSERT INTO delivery_event (batch_id, seq, step, old, new, provider, attempt, key_no, message_id, reason)
    SELECT d.batch_id, d.seq, 'receipt', d.status, d.status, g.provider, d.attempt, d.key_no, g.reported_id,
           'no change: ' || g.said
      FROM g JOIN delivery d ON d.batch_id = g.batch_id AND d.seq = g.seq
     WHERE (g.batch_id, g.seq) NOT IN (SELECT batch_id, seq FROM moved)  -- hashed, where NOT EXISTS is a nested loop
)""",
    returning="""
SELECT (SELECT count(*) FROM moved) AS moved,
       (SELECT count(*) FROM moved WHERE old = 'dead') AS risen,
       (SELECT array_agg(provider) FROM moved WHERE sent_at IS NOT NULL) AS reporters,
       (SELECT array_agg(extract(epoch FROM now() - sent_at)::float8) FROM moved WHERE sent_at IS NOT NULL) AS delays,
       (SELECT array_agg(batch_id) FROM counted WHERE disarmed OR reopens) AS batches,
       (SELECT array_agg(channel) FROM counted WHERE disarmed OR reopens) AS channels
""",
)

# A statement of its own, after the lock was had: a letter written while we waited for it would be overlooked.
_UNBURY = """
DELETE FROM dead_letter x USING unnest(CAST(:batch AS uuid[]), CAST(:seq AS int[])) AS g(batch_id, seq), delivery d
 WHERE x.batch_id = g.batch_id AND x.seq = g.seq
   AND d.batch_id = g.batch_id AND d.seq = g.seq AND d.status = 'delivered'
"""

# Two-sided matching: whoever comes second, the parked receipt or the send_ref, finds the other's commit.
_MATCH = """
WITH found AS MATERIALIZED (
    SELECT p.provider, p.event_id, r.batch_id, r.seq, r.key_no
      FROM receipt p JOIN send_ref r ON r.provider = p.provider AND r.message_id = p.message_id
     WHERE NOT p.matched
       AND (p.provider, p.message_id) IN (SELECT * FROM unnest(CAST(:provider AS text[]), CAST(:message_id AS text[])))
     ORDER BY p.provider, p.event_id FOR UPDATE OF p
)
UPDATE receipt p SET matched = true, batch_id = f.batch_id, seq = f.seq, key_no = f.key_no
  FROM found f WHERE p.provider = f.provider AND p.event_id = f.event_id
RETURNING p.provider, p.report, p.batch_id, p.seq, p.key_no, p.message_id, p.reason, p.suppress
"""

_PARKED = """
SELECT DISTINCT p.provider, p.message_id FROM receipt p
  JOIN send_ref r ON r.provider = p.provider AND r.message_id = p.message_id
 WHERE NOT p.matched LIMIT 1000
"""

_TRACED = """
SELECT g.provider, n.traceparent
  FROM unnest(CAST(:provider AS text[]), CAST(:batch AS uuid[]), CAST(:seq AS int[])) AS g(provider, batch_id, seq)
  JOIN delivery d ON d.batch_id = g.batch_id AND d.seq = g.seq
  JOIN notification n ON n.id = d.notification_id
 WHERE n.traceparent IS NOT NULL
"""

_BY_NOTIFICATION = """
SELECT n.id, d.channel, min(d.seq) AS seq, min(d.batch_id::text)::uuid AS batch_id
  FROM notification n
  JOIN unnest(CAST(:ids AS uuid[]), CAST(:channels AS text[])) AS g(id, channel) ON g.id = n.id
  JOIN delivery d ON d.batch_id = ANY(n.batch_ids) AND d.seq >= n.first_seq AND d.notification_id = n.id
       AND d.channel = g.channel
 GROUP BY n.id, d.channel HAVING count(*) = 1
"""


async def hear(db: Database, receipts: Sequence[Receipt]) -> Heard:
    """Commit receipts and what they change, in one transaction; a repeated event changes nothing."""
    named = await _by_notification(db, receipts)

    async def once() -> tuple[Heard, list[tuple[str, str]]]:
        async with db.begin() as connection:
            fresh = await execute(connection, _KEEP, _columns(receipts, named))
            matched = [row for row in fresh if row.matched]
            parked = [(row.provider, row.message_id) for row in fresh if not row.matched and row.message_id]
            applied = await _apply(db, connection, matched)
            unmatched = len(fresh) - len(matched)
            results = _results(receipts, fresh)
            return replace(applied, repeated=len(receipts) - len(fresh), parked=unmatched, results=results), parked

    heard, parked = await repeated(once)
    if not parked:
        return heard
    late = await match(db, parked)
    return replace(
        heard,
        wake=heard.wake + late.wake,
        moved=heard.moved + late.moved,
        parked=heard.parked - late.moved,
        reports=heard.reports + late.reports,
    )


async def match(db: Database, sends: Sequence[tuple[str, str]]) -> Heard:
    """Tie parked receipts of these (provider, message id) to their sends, now that either side is committed."""

    async def once() -> Heard:
        async with db.begin() as connection:
            values = {"provider": [s[0] for s in sends], "message_id": [s[1] for s in sends]}
            return await _apply(db, connection, await execute(connection, _MATCH, values))

    return await repeated(once)


async def match_parked(db: Database) -> Heard:
    """The same for all that are parked: what a crash between commit and look-up left behind."""
    found = [(row.provider, row.message_id) for row in await db.run(_PARKED)]
    return await match(db, found) if found else Heard((), 0, 0, 0)


async def traceparents(db: Database, receipts: Sequence[Receipt]) -> list[tuple[str, str]]:
    """Provider and traceparent for each of these receipts whose notification is traced."""
    named = [(r.provider, r.key.delivery if r.key else r.delivery) for r in receipts]
    keys = [(provider, delivery) for provider, delivery in named if delivery]
    rows = await db.run(
        _TRACED,
        provider=[provider for provider, _ in keys],
        batch=[delivery.batch for _, delivery in keys],
        seq=[delivery.seq for _, delivery in keys],
    )
    return [(row.provider, row.traceparent) for row in rows]


def _results(receipts: Sequence[Receipt], fresh: Sequence[Any]) -> Counter[tuple[str, str, str]]:
    found = Counter((row.provider, row.report, "matched" if row.matched else "parked") for row in fresh)
    came = Counter((receipt.provider, receipt.report.value) for receipt in receipts)
    for provider, report in came:
        known = found[provider, report, "matched"] + found[provider, report, "parked"]
        found[provider, report, "repeated"] = came[provider, report] - known
    return found


async def _apply(db: Database, connection: AsyncConnection, rows: Sequence[Any]) -> Heard:
    if not rows:
        return Heard((), 0, 0, 0)
    values = {
        "batch": [row.batch_id for row in rows],
        "seq": [row.seq for row in rows],
        "key_no": [row.key_no for row in rows],
        "report": [row.report for row in rows],
        "why": [row.reason for row in rows],
        "provider": [row.provider for row in rows],
        "message_id": [row.message_id for row in rows],
    }
    done = (await execute(connection, _APPLY, values))[0]
    if done.risen:
        await execute(connection, _UNBURY, {"batch": values["batch"], "seq": values["seq"]})
    said = [suppressions.Report(row.batch_id, row.seq, row.suppress, row.provider) for row in rows if row.suppress]
    await suppressions.heard(db, connection, said)
    wake = tuple(zip(done.batches or (), done.channels or (), strict=True))
    delays = tuple(zip(done.reporters or (), done.delays or (), strict=True))
    reports = tuple((row.provider, DeliveryId(row.batch_id, row.seq)) for row in rows)
    return Heard(wake, done.moved, 0, 0, delays=delays, reports=reports)


async def _by_notification(db: Database, receipts: Sequence[Receipt]) -> dict[tuple[UUID, str], DeliveryId]:
    """Deliveries of receipts that name a notification and a channel: only where exactly one is meant."""
    wanted = {(r.notification, r.channel) for r in receipts if r.notification and r.channel}
    if not wanted:
        return {}
    rows = await db.run(_BY_NOTIFICATION, ids=[w[0] for w in wanted], channels=[w[1] for w in wanted])
    return {(row.id, row.channel): DeliveryId(row.batch_id, row.seq) for row in rows}


def _columns(receipts: Sequence[Receipt], named: dict[tuple[UUID, str], DeliveryId]) -> dict[str, list[Any]]:
    deliveries: list[DeliveryId | None] = []
    for r in receipts:
        if r.key:
            deliveries.append(r.key.delivery)
        elif r.delivery:
            deliveries.append(r.delivery)
        else:
            deliveries.append(named.get((r.notification, r.channel)) if r.notification and r.channel else None)
    return {
        "provider": [r.provider for r in receipts],
        "event_id": [r.event_id for r in receipts],
        "report": [r.report.value for r in receipts],
        "batch": [d.batch if d else None for d in deliveries],
        "seq": [d.seq if d else None for d in deliveries],
        "key_no": [r.key.key_no if r.key else None for r in receipts],
        "message_id": [r.message_id for r in receipts],
        "reason": [r.reason for r in receipts],
        "occurred_at": [r.occurred_at for r in receipts],
        "suppress": [r.suppress for r in receipts],
    }
