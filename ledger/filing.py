"""Files batches: the one statement that inserts a whole group, and its columns, with what is sealed in them.

Deliveries may also come to a batch that is there already, as long as it has not ended.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy.exc import DBAPIError

from domain.deliveries import Status
from domain.submissions import Submission
from domain.suppressions import blind
from ledger.batching import SPLIT, Batch, Row
from ledger.database import Database, sqlstate
from ledger.sealing import RECIPIENT_ID, address_of, content_of, version_of
from ledger.searching import Entry
from ledger.suppressions import WHY
from ledger.vault import Ask, Keys

_START_GRACE = 5.0  # seconds until the sweep starts a run that should have been

# What goes into batches that are there waits for whoever holds their channels: a settle that finds one at its end
# writes `done_at` first, or sees what is added. Where one has ended, or is not as it was left, the division by zero
# takes all of it back, so that no transaction is needed around it.
_INSERT = f"""
WITH more AS (
    SELECT * FROM unnest(CAST(:m_batch AS uuid[]), CAST(:m_channel AS text[]), CAST(:m_n AS int[]),
        CAST(:m_had AS int[])) AS m(batch_id, channel, n, had)
), locked AS MATERIALIZED (
    SELECT c.batch_id, c.channel, m.n FROM more m JOIN batch_channel c USING (batch_id, channel)
     WHERE c.done_at IS NULL ORDER BY c.batch_id, c.channel FOR UPDATE OF c
), grown_channels AS (
    UPDATE batch_channel c SET size = c.size + l.n, next_look_at = now() + make_interval(secs => :grace)
      FROM locked l WHERE c.batch_id = l.batch_id AND c.channel = l.channel RETURNING 1
), grown_batches AS (
    UPDATE batch b SET size = b.size + m.n
      FROM (SELECT batch_id, sum(n)::int AS n, min(had) AS had FROM more GROUP BY batch_id) AS m
     WHERE b.id = m.batch_id AND b.size = m.had RETURNING 1
), batches AS (
    INSERT INTO batch (id, lead_id, priority, tenant_id, size, start_at)
    SELECT * FROM unnest(CAST(:b_id AS uuid[]), CAST(:b_lead AS uuid[]), CAST(:b_priority AS text[]),
        CAST(:b_tenant AS text[]), CAST(:b_size AS int[]), CAST(:b_start AS timestamptz[]))
), channels AS (
    INSERT INTO batch_channel (batch_id, channel, priority, size, next_look_at)
    SELECT batch, channel, priority, size, greatest(now(), start) + make_interval(secs => :grace)
      FROM unnest(CAST(:c_batch AS uuid[]), CAST(:c_channel AS text[]), CAST(:c_priority AS text[]),
        CAST(:c_size AS int[]), CAST(:c_start AS timestamptz[])) AS c(batch, channel, priority, size, start)
), notifications AS (
    INSERT INTO notification (id, tenant_id, priority, channels, content, metadata, batch_ids, first_seq, size,
                              send_at, expires_at, traceparent, tags)
    SELECT id, tenant, priority, string_to_array(channels, ' '), content, metadata,
           CAST(string_to_array(batches, ' ') AS uuid[]), first, size, send_at, expires_at, traceparent,
           string_to_array(tags, ' ')
      FROM unnest(CAST(:n_id AS uuid[]), CAST(:n_tenant AS text[]), CAST(:n_priority AS text[]),
        CAST(:n_channels AS text[]), CAST(:n_content AS jsonb[]), CAST(:n_metadata AS jsonb[]),
        CAST(:n_batches AS text[]), CAST(:n_first AS int[]), CAST(:n_size AS int[]), CAST(:n_send_at AS timestamptz[]),
        CAST(:n_expires_at AS timestamptz[]), CAST(:n_traceparent AS text[]), CAST(:n_tags AS text[]))
        AS n(id, tenant, priority, channels, content, metadata, batches, first, size, send_at, expires_at, traceparent,
             tags)
), deliveries AS (
    INSERT INTO delivery (batch_id, seq, notification_id, tenant_id, channel, recipient_id, address, status, provider,
                          due_at, expires_at, give_up_at, reason, address_hash)
    SELECT d.batch, d.seq, d.notification, d.tenant, d.channel, d.recipient, d.address,
           CASE WHEN s.at IS NULL THEN d.status ELSE 'suppressed' END, CASE WHEN s.at IS NULL THEN d.provider END,
           greatest(now(), d.send_at), d.expires_at, greatest(now(), d.send_at) + make_interval(secs => d.life),
           coalesce({WHY}, d.reason), d.hash
      FROM unnest(CAST(:batch AS uuid[]), CAST(:seq AS int[]), CAST(:notification AS uuid[]), CAST(:tenant AS text[]),
        CAST(:channel AS text[]), CAST(:recipient AS text[]), CAST(:address AS text[]), CAST(:status AS text[]),
        CAST(:provider AS text[]), CAST(:send_at AS timestamptz[]), CAST(:expires_at AS timestamptz[]),
        CAST(:life AS float8[]), CAST(:reason AS text[]), CAST(:hash AS bytea[]))
        AS d(batch, seq, notification, tenant, channel, recipient, address, status, provider, send_at, expires_at, life,
             reason, hash)
      LEFT JOIN suppression s ON s.tenant_id = d.tenant AND s.channel = d.channel AND s.address_hash = d.hash
    RETURNING batch_id, seq, status, provider, reason
), events AS (
    INSERT INTO delivery_event (batch_id, seq, step, new, provider, attempt, key_no, reason)
    SELECT batch_id, seq, 'accept', status, provider, 0, 0, reason FROM deliveries
), terms AS (
    INSERT INTO search_entry (tenant_id, term, notification_id)
    SELECT * FROM unnest(CAST(:t_tenant AS text[]), CAST(:t_term AS text[]), CAST(:t_notification AS uuid[]))
)
SELECT 1 / ((SELECT count(*) FROM grown_channels) = (SELECT count(*) FROM more)
        AND (SELECT count(*) FROM grown_batches) = (SELECT count(DISTINCT batch_id) FROM more))::int AS whole
"""  # noqa: S608 - built from constants
_NOT_WHOLE = "22012"  # division by zero

_TOMBSTONE = """
INSERT INTO batch (id, lead_id, priority, size) VALUES (:batch, :batch, 'none', 0) ON CONFLICT DO NOTHING RETURNING id
"""
_SIZE = "SELECT size FROM batch WHERE id = :batch FOR UPDATE"


class Ended(Exception):
    """A batch that was to be added to has ended, or is not as it was left. Nothing was written that may be kept."""


class Filed(NamedTuple):
    """What one statement inserts. `terms`: what the notifications are found by."""

    batches: Sequence[Batch]
    rows: Sequence[Row]
    terms: Sequence[Entry]


async def insert(ask: Ask, filed: Filed, secret: bytes, keys: Keys) -> None:
    """All of it, or nothing. Raises Ended. `secret`: what addresses are hashed with."""
    try:
        await ask(_INSERT, **_values(filed, secret, keys))
    except DBAPIError as error:
        if sqlstate(error) == _NOT_WHOLE:
            raise Ended from None
        raise


async def never_will_be(db: Database, batches: Sequence[Batch]) -> bool:
    """Whether a transaction that inserted these did not commit, and never will. Waits until nobody is at it any more.

    A new batch's id is taken for good if it was free: its COMMIT then fails. One that grew shows it by its size, under
    the lock that the transaction held.
    """
    for batch in batches:
        if not batch.had:
            return bool(await db.run(_TOMBSTONE, batch=UUID(batch.run.batch)))
    found = await db.run(_SIZE, batch=UUID(batches[0].run.batch))
    return not found or found[0].size != batches[0].size


def _values(filed: Filed, secret: bytes, keys: Keys) -> dict[str, Any]:
    """The columns of the one statement that inserts it all."""
    batches, rows, terms = filed
    lead = {row.submission.id: row.batch for row in reversed(rows)}
    lead_of = {row.batch: lead[row.submission.id] for row in rows if row.submission.size > SPLIT}
    new = [batch for batch in batches if not batch.had]
    parts = [(batch, part) for batch in new for part in batch.run.parts]
    notifications: dict[UUID, list[Row]] = {}
    for row in rows:
        notifications.setdefault(row.submission.id, []).append(row)
    heads = [mine[0] for mine in notifications.values()]
    had = {UUID(batch.run.batch): batch.had for batch in batches if batch.had}
    more = Counter((row.batch, row.channel) for row in rows if row.batch in had)
    return {
        "grace": _START_GRACE,
        "m_batch": [batch for batch, _ in more],
        "m_channel": [channel for _, channel in more],
        "m_n": list(more.values()),
        "m_had": [had[batch] for batch, _ in more],
        "b_id": [UUID(batch.run.batch) for batch in new],
        "b_lead": [lead_of.get(UUID(batch.run.batch), UUID(batch.run.batch)) for batch in new],
        "b_priority": [batch.run.priority.value for batch in new],
        "b_tenant": [batch.run.tenant for batch in new],
        "b_size": [batch.size for batch in new],
        "b_start": [batch.start_at for batch in new],
        "c_batch": [UUID(batch.run.batch) for batch, _ in parts],
        "c_channel": [part.channel for _, part in parts],
        "c_priority": [batch.run.priority.value for batch, _ in parts],
        "c_size": [part.size for _, part in parts],
        "c_start": [batch.start_at for batch, _ in parts],
        "n_id": [head.submission.id for head in heads],
        "n_tenant": [head.submission.tenant for head in heads],
        "n_priority": [head.submission.priority.value for head in heads],
        "n_channels": [" ".join(head.submission.channels) for head in heads],
        "n_content": [_sealed_content(head.submission, keys) for head in heads],
        "n_metadata": [as_json(head.submission.metadata) for head in heads],
        "n_batches": [" ".join(dict.fromkeys(str(row.batch) for row in mine)) for mine in notifications.values()],
        "n_first": [head.seq for head in heads],
        "n_size": [len(mine) for mine in notifications.values()],
        "n_send_at": [head.submission.send_at for head in heads],
        "n_expires_at": [head.submission.expires_at for head in heads],
        "n_traceparent": [head.submission.traceparent for head in heads],
        "n_tags": [" ".join(head.submission.tags) for head in heads],
        "batch": [row.batch for row in rows],
        "seq": [row.seq for row in rows],
        "notification": [row.submission.id for row in rows],
        "tenant": [row.submission.tenant for row in rows],
        "channel": [row.channel for row in rows],
        "recipient": [_name(row, keys) for row in rows],
        "address": [_sealed_address(row, keys) for row in rows],
        "status": [(Status.QUEUED if row.address else Status.SUPPRESSED).value for row in rows],
        "provider": [row.provider if row.address else None for row in rows],
        "send_at": [row.submission.send_at for row in rows],
        "expires_at": [row.submission.expires_at for row in rows],
        "life": [row.life for row in rows],
        "reason": [None if row.address else "no address" for row in rows],
        "hash": [
            blind(secret, row.submission.tenant, row.channel, row.address) if row.address else None for row in rows
        ],
        "t_tenant": [tenant for tenant, _, _ in terms],
        "t_term": [term for _, term, _ in terms],
        "t_notification": [notification for _, _, notification in terms],
    }


def _sealed_address(row: Row, keys: Keys) -> str | None:
    if not row.address:
        return None
    return keys.sealing(row.submission.tenant).seal(address_of(row.batch, row.seq), row.address)


def _name(row: Row, keys: Keys) -> str:
    """The recipient's id: the tenant's own as it is, one that is an address in a form to be found by."""
    id = row.recipient.id
    if row.recipient.named_by_address or version_of(id) is not None:
        return keys.sealing(row.submission.tenant).seal_same(RECIPIENT_ID, id)
    return id


def _sealed_content(submission: Submission, keys: Keys) -> str:
    return keys.sealing(submission.tenant).seal_json(content_of(submission.id), document_of(submission))


def document_of(submission: Submission) -> str:
    """Its content as JSON, before it is sealed. Raises TypeError for what is no JSON."""
    content = submission.content
    parts = {"text": content.text, "subject": content.subject, "html": content.html, "title": content.title}
    kept: dict[str, Any] = {name: part for name, part in parts.items() if part}
    return as_json(kept | {"data": dict(content.data)} if content.data else kept) or "{}"


def as_json(value: Mapping[str, Any] | None) -> str | None:
    """For a JSON column. Raises TypeError."""
    return orjson.dumps(value).decode() if value is not None else None
