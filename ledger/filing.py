"""Files batches: the one statement that inserts a whole group, and its columns, with what is sealed in them."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.deliveries import Status
from domain.submissions import Submission
from domain.suppressions import blind
from ledger.batching import SPLIT, Batch, Row
from ledger.database import execute
from ledger.sealing import RECIPIENT_ID, address_of, content_of, version_of
from ledger.suppressions import WHY
from ledger.vault import Keys

_START_GRACE = 5.0  # seconds until the sweep starts a run that should have been

_INSERT = f"""
WITH batches AS (
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
)
INSERT INTO delivery_event (batch_id, seq, step, new, provider, attempt, key_no, reason)
SELECT batch_id, seq, 'accept', status, provider, 0, 0, reason FROM deliveries
"""  # noqa: S608 - built from constants


async def insert(
    connection: AsyncConnection, batches: Sequence[Batch], rows: Sequence[Row], secret: bytes, keys: Keys
) -> None:
    """All of it, in the transaction of this connection. `secret`: what addresses are hashed with."""
    await execute(connection, _INSERT, _values(batches, rows, secret, keys))


def _values(batches: Sequence[Batch], rows: Sequence[Row], secret: bytes, keys: Keys) -> dict[str, Any]:
    """The columns of the one statement that inserts it all."""
    lead = {row.submission.id: row.batch for row in reversed(rows)}
    lead_of = {row.batch: lead[row.submission.id] for row in rows if row.submission.size > SPLIT}
    parts = [(batch, part) for batch in batches for part in batch.run.parts]
    notifications: dict[UUID, list[Row]] = {}
    for row in rows:
        notifications.setdefault(row.submission.id, []).append(row)
    heads = [mine[0] for mine in notifications.values()]
    return {
        "grace": _START_GRACE,
        "b_id": [UUID(batch.run.batch) for batch in batches],
        "b_lead": [lead_of.get(UUID(batch.run.batch), UUID(batch.run.batch)) for batch in batches],
        "b_priority": [batch.run.priority.value for batch in batches],
        "b_tenant": [batch.run.tenant for batch in batches],
        "b_size": [sum(part.size for part in batch.run.parts) for batch in batches],
        "b_start": [batch.start_at for batch in batches],
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
