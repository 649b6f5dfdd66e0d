"""Claim, send, record: what `deliver` does to the rows. Every statement is guarded; zero rows are an answer."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from domain.channels import Channel
from domain.deliveries import Status, Step
from domain.ids import DeliveryId, SendKey
from domain.messages import Content, Sender
from domain.outcomes import Answer
from domain.priorities import Priority
from ledger import suppressions
from ledger.database import Database
from ledger.keyring import Unreadable
from ledger.sealing import address_of, content_of
from ledger.suppressions import STOPPED, suppress_waiting
from ledger.transition import transition
from ledger.vault import Keys


@dataclass(frozen=True, slots=True)
class Claim:
    """One row claimed: the right to make one vendor call. `closed`: why its address cannot be opened now."""

    key: SendKey
    attempt: int
    notification: UUID
    address: str
    again: bool = False  # an earlier send may have been taken: this one is a possible duplicate
    leave_by: float | None = None  # by `time.monotonic`: the message has expired then
    closed: str = ""


@dataclass(frozen=True, slots=True)
class Letter:
    """What the claims of one notification have in common. `closed`: why its content cannot be opened now."""

    tenant: str
    content: Content
    sender: Sender
    traceparent: str | None
    accepted_at: datetime
    closed: str = ""


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of one claim. `final`: the vendor reports nothing more, so `accepted` is the end."""

    claim: Claim
    answer: Answer
    final: bool


@dataclass(frozen=True, slots=True)
class Recorded:
    """A row an answer changed."""

    delivery: DeliveryId
    status: Status
    possible_duplicates: int


_CLAIMABLE = f"""d.batch_id = :batch AND d.channel = :channel AND d.provider = :provider AND d.status = 'queued'
             AND d.due_at <= now() AND (d.expires_at IS NULL OR d.expires_at > now()) AND d.tries < :tries
             AND NOT {STOPPED}"""
_CLAIMED = """batch_id, seq, key_no, attempt, notification_id, tenant_id, address,
          extract(epoch FROM expires_at - now())::float8 AS left_s"""
_WAITING = "d.batch_id = :batch AND d.channel = :channel AND d.provider = :provider AND d.status = 'queued'"
_DUE = f"SELECT count(*) FROM delivery d WHERE {_CLAIMABLE}"  # noqa: S608 - built from constants

# In doubt, and worth another attempt to end that: by a repeat under the same key, or by asking the vendor.
DOUBTFUL = """d.batch_id = :batch AND d.channel = :channel AND d.provider = :provider AND d.status = 'in_doubt'
              AND d.due_at <= now() AND d.doubt_until > now() AND d.address IS NOT NULL"""

# How long it may stay so: a repeat under the same key does not begin anew. When to ask or to repeat: as after a "no".
_DOUBT = "coalesce(d.doubt_until, now() + make_interval(secs => :doubt))"
_LATER = "now() + make_interval(secs => coalesce((CAST(:retry AS float8[]))[greatest(d.tries, 1)], 2))"

_ABANDON = transition(
    Step.ABANDON,
    where="""d.batch_id = :batch AND d.channel = :channel AND d.provider = :provider
             AND d.status = 'sending' AND d.claimed_by <> :me""",
    change=f"""status = 'in_doubt', doubts = doubts + 1, doubt_until = {_DOUBT}, due_at = {_LATER},
               reason = 'abandoned'""",
    returning=f"""SELECT (SELECT count(*) FROM moved) AS abandoned, ({_DUE}) AS due,
                         (SELECT count(*) FROM delivery d WHERE {_WAITING} AND {STOPPED}) AS stopped,
                         (SELECT count(*) FROM delivery d WHERE {DOUBTFUL}) AS doubtful""",  # noqa: S608 - the same
)

# A vendor whose breaker is open may be tried with one message, which then has had its chance there: else one row could
# be the probe again and again, each time with its whole budget.
_DIVERT = transition(
    Step.DIVERT,
    where=f"{_CLAIMABLE} AND NOT :to = ANY(d.spent)",
    change="provider = :to, tries = 0, spent = d.spent || CAST(:to AS text), reason = 'probe'",
    pick="LIMIT 1 SKIP LOCKED",
    returning="SELECT count(*) FROM moved",
)

_RESUME = transition(
    Step.RESUME,
    where=f"""{DOUBTFUL} AND d.tries < :tries AND (d.expires_at IS NULL OR d.expires_at > now())
             AND (SELECT min(e.at) FROM delivery_event e WHERE e.batch_id = d.batch_id AND e.seq = d.seq
                     AND e.step = 'claim' AND e.key_no = d.key_no) > now() - make_interval(secs => :memory)""",  # noqa: S608 - the same
    change="""status = 'sending', attempt = attempt + 1, tries = tries + 1, claimed_by = :me, claimed_at = now()""",
    pick="LIMIT :chunk SKIP LOCKED",
    returning=f"SELECT {_CLAIMED}, false AS again FROM moved ORDER BY seq",  # noqa: S608 - the same
)

_CLAIM = transition(
    Step.CLAIM,
    where=_CLAIMABLE,
    change="""status = 'sending', attempt = attempt + 1, key_no = key_no + 1, tries = tries + 1,
              claimed_by = :me, claimed_at = now(), doubt_until = NULL, reason = NULL,
              possible_duplicates = possible_duplicates + (doubts > 0)::int""",
    pick="LIMIT :chunk SKIP LOCKED",
    returning=f"SELECT {_CLAIMED}, doubts > 0 AS again FROM moved ORDER BY seq",  # noqa: S608 - the same
)

_LETTERS = """
SELECT n.id, n.tenant_id, n.content, n.traceparent, greatest(n.created_at, n.send_at) AS accepted_at,
       t.email_from, t.reply_to, t.sms_from
  FROM notification n LEFT JOIN tenant t ON t.id = n.tenant_id
 WHERE n.id = ANY(CAST(:ids AS uuid[]))
"""

# What an answer makes of a row. From `in_doubt` (a retry had abandoned us) it is still the best knowledge there is.
_RECORD = transition(
    Step.RECORD,
    given="""
    SELECT * FROM unnest(CAST(:batch AS uuid[]), CAST(:seq AS int[]), CAST(:attempt AS int[]), CAST(:key_no AS int[]),
        CAST(:outcome AS text[]), CAST(:final AS bool[]), CAST(:message_id AS text[]), CAST(:reason AS text[]),
        CAST(:rest AS float8[])) AS g(batch_id, seq, attempt, sent_key, outcome, final, message_id, why, rest)""",
    join="d.batch_id = g.batch_id AND d.seq = g.seq",
    keep=("outcome", "final", "message_id", "why", "rest"),
    where="d.attempt = g.attempt AND d.status IN ('sending', 'in_doubt')",
    change=f"""
        status = CASE
            WHEN l.outcome = 'accepted' THEN CASE WHEN l.final THEN 'sent_final' ELSE 'sent' END
            WHEN l.outcome = 'rejected' THEN 'failed'
            WHEN l.outcome = 'in_doubt' THEN 'in_doubt'
            WHEN l.outcome IN ('throttled', 'released') THEN 'queued'
            WHEN d.tries >= :tries THEN 'undelivered'
            ELSE 'queued' END,
        doubts = d.doubts + CASE
            WHEN l.outcome = 'in_doubt' THEN (l.old = 'sending')::int ELSE -(l.old = 'in_doubt')::int END,
        tries = d.tries - (l.outcome IN ('throttled', 'released'))::int,
        sent_at = CASE WHEN l.outcome = 'accepted' THEN now() ELSE d.sent_at END,
        doubt_until = CASE WHEN l.outcome = 'in_doubt' AND l.old = 'sending' THEN {_DOUBT} ELSE d.doubt_until END,
        due_at = CASE
            WHEN l.outcome IN ('throttled', 'released') THEN now() + make_interval(secs => l.rest)
            WHEN l.outcome IN ('retryable', 'vendor_down') AND d.tries < :tries
              OR l.outcome = 'in_doubt' AND l.old = 'sending' THEN {_LATER}
            ELSE d.due_at END,
        reason = l.why""",
    message_id="message_id",
    also="""
refs AS (
    INSERT INTO send_ref (provider, message_id, batch_id, seq, key_no)
    SELECT :provider, message_id, batch_id, seq, sent_key FROM g WHERE :keep_refs AND message_id IS NOT NULL
    ON CONFLICT DO NOTHING
), late AS (
    INSERT INTO delivery_event (batch_id, seq, step, old, new, provider, attempt, key_no, message_id, reason)
    SELECT d.batch_id, d.seq, 'record', d.status, d.status, :provider, g.attempt, g.sent_key, g.message_id,
           'too late: ' || g.outcome
      FROM g JOIN delivery d ON d.batch_id = g.batch_id AND d.seq = g.seq
     WHERE (g.batch_id, g.seq) NOT IN (SELECT batch_id, seq FROM moved)  -- hashed, where NOT EXISTS is a nested loop
)""",
    returning="SELECT batch_id, seq, status, possible_duplicates FROM moved",
)


@dataclass(frozen=True, slots=True)
class Leg:
    """The part of a batch one execution of `deliver` works on: the rows queued for one provider."""

    batch: UUID
    channel: Channel
    provider: str
    priority: Priority
    me: UUID  # a new one each time the activity function starts

    @property
    def doubt(self) -> float:
        """Seconds an in-doubt row waits for news."""
        return self.channel.doubt[self.priority]

    def keys(self) -> dict[str, Any]:
        """Which rows."""
        return {"batch": self.batch, "channel": self.channel.name, "provider": self.provider}

    def values(self) -> dict[str, Any]:
        """Which rows, and who works on them."""
        return {**self.keys(), "me": self.me}


@dataclass(frozen=True, slots=True)
class Found:
    """What an execution of `deliver` finds at its start, as numbers of rows."""

    abandoned: int  # had been left in `sending`
    due: int  # can be claimed
    doubtful: int  # in doubt, and due for another attempt to end that


async def abandon(db: Database, leg: Leg) -> Found:
    """Nothing can be assumed of rows another execution left in `sending`; what must not be sent any more ends."""
    values = {**leg.values(), "doubt": leg.doubt, "tries": leg.channel.tries, "retry": list(leg.channel.retry)}
    rows = await db.run(_ABANDON, **values)
    if rows[0].stopped:
        await suppress_waiting(db, leg.batch, leg.channel.name, leg.provider)
    return Found(rows[0].abandoned, rows[0].due, rows[0].doubtful)


async def due(db: Database, leg: Leg) -> int:
    """How many rows could be claimed now."""
    rows = await db.run(_DUE, **leg.keys(), tries=leg.channel.tries)
    return rows[0][0]


async def divert(db: Database, leg: Leg, to: str) -> bool:
    """Queue one row that is due for the provider `to` instead; False when there is none that it has not had."""
    rows = await db.run(_DIVERT, **leg.keys(), tries=leg.channel.tries, to=to)
    return rows[0][0] > 0


async def resume(db: Database, leg: Leg, memory: float, chunk: int) -> list[Claim]:
    """In-doubt rows of a vendor that honours idempotency keys for `memory` seconds: claimed under the SAME key.

    At most `chunk`, and only those whose time to be repeated has come.
    A key's age counts from its first claim: a repeat does not make the vendor remember it for longer.
    """
    asked = time.monotonic()
    rows = await db.run(_RESUME, **leg.values(), tries=leg.channel.tries, memory=memory, chunk=chunk)
    return [_in_time(claim, row.left_s, asked) for claim, row in zip(await as_claims(db, rows), rows, strict=True)]


async def claim(db: Database, leg: Leg, chunk: int) -> list[Claim]:
    """At most `chunk` rows that are due, committed as `sending` before any vendor is called."""
    asked = time.monotonic()
    rows = await db.run(_CLAIM, **leg.values(), tries=leg.channel.tries, chunk=chunk)
    return [_in_time(claim, row.left_s, asked) for claim, row in zip(await as_claims(db, rows), rows, strict=True)]


async def letters(db: Database, notifications: Sequence[UUID]) -> dict[UUID, Letter]:
    """Content and sender for these notifications."""
    rows = await db.run(_LETTERS, ids=list(notifications))
    keys = await db.vault.opening(db.run, [(row.tenant_id, row.content) for row in rows])
    return {row.id: _letter(row, keys) for row in rows}


async def record(
    db: Database, leg_of: Channel, provider: str, priority: Priority, answers: Sequence[Answered], *, keep_refs: bool
) -> list[Recorded]:
    """Write down what vendors answered, for rows nobody has claimed anew. Returns the rows that changed.

    An answer that came too late is kept as an event. `keep_refs`: receipts are matched by the vendor's message id.
    """
    rows = await db.run(
        _RECORD,
        provider=provider,
        batch=[a.claim.key.delivery.batch for a in answers],
        seq=[a.claim.key.delivery.seq for a in answers],
        key_no=[a.claim.key.key_no for a in answers],
        attempt=[a.claim.attempt for a in answers],
        outcome=[a.answer.outcome.value for a in answers],
        final=[a.final for a in answers],
        message_id=[a.answer.message_id for a in answers],
        reason=[a.answer.reason for a in answers],
        rest=[a.answer.rest for a in answers],
        tries=leg_of.tries,
        retry=list(leg_of.retry),
        doubt=leg_of.doubt[priority],
        keep_refs=keep_refs,
    )
    said = [(a.claim.key.delivery, a.answer.suppress) for a in answers if a.answer.suppress]
    await suppressions.answered(db, [suppressions.Report(d.batch, d.seq, why, provider) for d, why in said])
    return [Recorded(DeliveryId(r.batch_id, r.seq), _status(r.status), r.possible_duplicates) for r in rows]


@cache
def _status(value: str) -> Status:
    return Status(value)


async def as_claims(db: Database, rows: Sequence[Any]) -> list[Claim]:
    """From rows with the columns that every claim returns."""
    keys = await db.vault.opening(db.run, [(row.tenant_id, row.address) for row in rows])
    return [_as_claim(row, keys) for row in rows]


def _as_claim(row: Any, keys: Keys) -> Claim:
    closed = address = ""
    try:
        address = keys.open(row.tenant_id, address_of(row.batch_id, row.seq), row.address)
    except Unreadable as error:
        closed = str(error)
    key = SendKey(DeliveryId(row.batch_id, row.seq), row.key_no)
    return Claim(key, row.attempt, row.notification_id, address, row.again, closed=closed)


def _in_time(claim: Claim, left: float | None, asked: float) -> Claim:
    """With the moment at which it expires: the database's word, on this host's clock that never jumps."""
    return claim if left is None else replace(claim, leave_by=asked + left)


def _letter(row: Any, keys: Keys) -> Letter:
    sender = Sender(row.email_from, row.reply_to, row.sms_from)
    content, closed = Content(), ""
    try:
        content = Content(**keys.open_json(row.tenant_id, content_of(row.id), row.content))
    except Unreadable as error:
        closed = str(error)
    return Letter(row.tenant_id, content, sender, row.traceparent, row.accepted_at, closed)
