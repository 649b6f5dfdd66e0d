"""The tables both peers keep and the statements they share: what Clarion's ledger has of the same job, no more.

Parameters are `$1`, which asyncpg takes as it is and psycopg by its RawCursor.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from domain.receipts import Receipt

TABLES = """
CREATE TABLE api_key (
    prefix text PRIMARY KEY,
    hash bytea NOT NULL,
    tenant_id text NOT NULL
);
CREATE TABLE idempotency_key (
    tenant_id text NOT NULL,
    key text NOT NULL,
    notification_id uuid NOT NULL,
    PRIMARY KEY (tenant_id, key)
);
CREATE TABLE notification (
    id uuid PRIMARY KEY,
    tenant_id text NOT NULL,
    priority text NOT NULL,
    channels text[] NOT NULL,
    content jsonb NOT NULL,
    size integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX notification_newest ON notification (tenant_id, id);
CREATE TABLE delivery (
    notification_id uuid NOT NULL,
    seq integer NOT NULL,
    tenant_id text NOT NULL,
    channel text NOT NULL,
    recipient_id text NOT NULL,
    address text NOT NULL,
    status text NOT NULL,
    provider text,
    message_id text,
    sent_at timestamptz,
    reported_at timestamptz,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (notification_id, seq)
) WITH (fillfactor = 50);
CREATE INDEX delivery_recipient ON delivery (tenant_id, recipient_id, notification_id);
CREATE TABLE delivery_event (
    notification_id uuid NOT NULL,
    seq integer NOT NULL,
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    step text NOT NULL,
    old text,
    new text NOT NULL,
    provider text,
    message_id text,
    reason text,
    PRIMARY KEY (notification_id, seq, id)
);
"""

# Everything of one POST in one statement and one commit. It returns no row when the idempotency key was there.
ACCEPT = """
WITH keyed AS (
    INSERT INTO idempotency_key (tenant_id, key, notification_id)
    SELECT $2, $7::text, $1::uuid WHERE $7::text IS NOT NULL
    ON CONFLICT DO NOTHING RETURNING notification_id AS id
), mine AS (
    SELECT id FROM keyed UNION ALL SELECT $1::uuid WHERE $7::text IS NULL
), kept AS (
    INSERT INTO notification (id, tenant_id, priority, channels, content, size)
    SELECT id, $2, $3, $4::text[], jsonb_build_object('text', $5::text), cardinality($6::text[]) FROM mine
), deliveries AS (
    INSERT INTO delivery (notification_id, seq, tenant_id, channel, recipient_id, address, status)
    SELECT id, n - 1, $2, 'email', person, person || '@example.com', 'created'
    FROM mine, unnest($6::text[]) WITH ORDINALITY AS recipient (person, n)
    RETURNING notification_id, seq, status
), events AS (
    INSERT INTO delivery_event (notification_id, seq, step, new)
    SELECT notification_id, seq, 'accept', status FROM deliveries
)
SELECT id FROM mine
"""

REPEATED = "SELECT notification_id FROM idempotency_key WHERE tenant_id = $1 AND key = $2"

# No row: it has been sent, and the queue has handed it out once more.
LOAD = """
SELECT d.address, n.content ->> 'text' FROM delivery d JOIN notification n ON n.id = d.notification_id
WHERE d.notification_id = $1 AND d.seq = $2 AND d.sent_at IS NULL
"""

# A receipt may have come first: it stays the last word.
SENT = """
WITH changed AS (
    UPDATE delivery
    SET status = CASE status WHEN 'created' THEN 'sent' ELSE status END,
        provider = 'sendgrid', message_id = $3, sent_at = now(), updated_at = now()
    WHERE notification_id = $1 AND seq = $2
    RETURNING notification_id, seq, old.status AS old, new.status AS new
)
INSERT INTO delivery_event (notification_id, seq, step, old, new, provider, message_id)
SELECT notification_id, seq, 'send', old, new, 'sendgrid', $3 FROM changed
"""

# All receipts of one call. A repeated one changes nothing: its delivery has been reported.
REPORTED = """
WITH news AS (
    SELECT DISTINCT ON (1, 2) * FROM unnest($1::uuid[], $2::int[], $3::text[], $4::text[])
        AS news (notification_id, seq, status, reason)
), changed AS (
    UPDATE delivery d SET status = news.status, reported_at = now(), updated_at = now()
    FROM news
    WHERE d.notification_id = news.notification_id AND d.seq = news.seq AND d.reported_at IS NULL
    RETURNING d.notification_id, d.seq, old.status AS old, new.status AS new, d.message_id, news.reason
)
INSERT INTO delivery_event (notification_id, seq, step, old, new, provider, message_id, reason)
SELECT notification_id, seq, 'receipt', old, new, 'sendgrid', message_id, reason FROM changed
"""

PROGRESS = "SELECT count(*), count(sent_at), count(reported_at) FROM delivery"

KEY = "SELECT hash, tenant_id FROM api_key WHERE prefix = $1"


@dataclass(frozen=True, slots=True)
class Entry:
    """A notification on its way in, validated."""

    id: UUID
    tenant: str
    priority: str
    channels: Sequence[str]
    text: str
    recipients: Sequence[str]
    key: str | None

    @property
    def parameters(self) -> tuple[UUID, str, str, list[str], str, list[str], str | None]:
        """Those of ACCEPT."""
        return self.id, self.tenant, self.priority, [*self.channels], self.text, [*self.recipients], self.key


def reported(receipts: Sequence[Receipt]) -> tuple[list[UUID], list[int], list[str], list[str | None]]:
    """The parameters of REPORTED, in the order of the rows, so that two calls at once cannot wait for each other."""
    ours = sorted(
        (receipt.key.delivery.batch, receipt.key.delivery.seq, str(receipt.report), receipt.reason or "")
        for receipt in receipts
        if receipt.key
    )
    return (
        [batch for batch, _, _, _ in ours],
        [seq for _, seq, _, _ in ours],
        [report for _, _, report, _ in ours],
        [reason or None for _, _, _, reason in ours],
    )
