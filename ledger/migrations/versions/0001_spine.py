"""The spine: batches, notifications, deliveries, events, receipts, tenants, keys and the address book."""

from alembic import op

revision = "0001"
down_revision = None

TABLES = """
CREATE TABLE tenant (
    id text PRIMARY KEY,
    name text NOT NULL,
    email_from text, reply_to text, sms_from text,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE api_key (
    prefix text PRIMARY KEY,            -- the visible part; the rest is only known as its hash
    hash bytea NOT NULL,
    tenant_id text REFERENCES tenant,   -- NULL: an operator's key
    role text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);

CREATE TABLE recipient (
    tenant_id text NOT NULL,
    id text NOT NULL,
    addresses jsonb NOT NULL,           -- by field: {"email": ..., "phone": ..., "push_token": ...}
    locale text, timezone text,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id)
);

CREATE TABLE batch (
    id uuid PRIMARY KEY,
    lead_id uuid NOT NULL,              -- the first batch of a notification that fills several; else its own id
    priority text NOT NULL,
    tenant_id text,                     -- set when all is of one tenant
    size integer NOT NULL,
    start_at timestamptz,               -- send_at: the run starts then
    created_at timestamptz NOT NULL DEFAULT now()
) PARTITION BY RANGE (id);

CREATE TABLE batch_channel (
    batch_id uuid NOT NULL,
    channel text NOT NULL,
    awaiting integer NOT NULL DEFAULT 0 CHECK (awaiting >= 0),  -- exactly its rows in `sent` or `in_doubt`
    armed boolean NOT NULL DEFAULT false,                       -- the run waits: news is worth a signal
    next_look_at timestamptz NOT NULL,
    done_at timestamptz,
    tally jsonb NOT NULL DEFAULT '{}',                          -- what was last added to `statistic` for it
    PRIMARY KEY (batch_id, channel)
) PARTITION BY RANGE (batch_id);
CREATE INDEX batch_channel_open ON batch_channel (next_look_at) WHERE done_at IS NULL;

CREATE TABLE notification (
    id uuid PRIMARY KEY,
    tenant_id text NOT NULL,
    priority text NOT NULL,
    channels text[] NOT NULL,
    content jsonb NOT NULL,
    metadata jsonb,
    batch_ids uuid[] NOT NULL,
    first_seq integer NOT NULL,         -- its deliveries are seq first_seq .. first_seq + size - 1 of its one batch,
    size integer NOT NULL,              -- or all of its several batches
    send_at timestamptz,
    expires_at timestamptz,
    traceparent text,
    created_at timestamptz NOT NULL DEFAULT now()
) PARTITION BY RANGE (id);
CREATE INDEX notification_newest ON notification (tenant_id, id);

CREATE TABLE delivery (
    batch_id uuid NOT NULL,
    seq integer NOT NULL,
    notification_id uuid NOT NULL,
    tenant_id text NOT NULL,
    channel text NOT NULL,
    recipient_id text NOT NULL,
    address text,
    status text NOT NULL,
    provider text,                      -- whom it is queued for, is being sent by, or was last sent by
    attempt integer NOT NULL DEFAULT 0, -- the fence: +1 at every claim
    key_no integer NOT NULL DEFAULT 0,  -- the send key
    tries smallint NOT NULL DEFAULT 0,  -- claims at this provider
    doubts smallint NOT NULL DEFAULT 0,
    possible_duplicates smallint NOT NULL DEFAULT 0,
    claimed_by uuid,
    claimed_at timestamptz,
    due_at timestamptz NOT NULL,
    sent_at timestamptz,
    doubt_until timestamptz,
    expires_at timestamptz,
    give_up_at timestamptz NOT NULL,
    reason text,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (batch_id, seq)
) PARTITION BY RANGE (batch_id);
-- No index on a column that changes: updates stay on their page (HOT).
CREATE INDEX delivery_recipient ON delivery (tenant_id, recipient_id, notification_id);

CREATE TABLE delivery_event (
    batch_id uuid NOT NULL,
    seq integer NOT NULL,
    id bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    step text NOT NULL,
    old text,                           -- equal to new: it came too late to count
    new text NOT NULL,
    provider text,
    attempt integer NOT NULL,
    key_no integer NOT NULL,
    message_id text,                    -- the vendor's
    reason text,
    PRIMARY KEY (batch_id, seq, id)
) PARTITION BY RANGE (batch_id);
CREATE SEQUENCE delivery_event_id OWNED BY delivery_event.id;
ALTER TABLE delivery_event ALTER COLUMN id SET DEFAULT nextval('delivery_event_id');

CREATE TABLE send_ref (
    provider text NOT NULL,
    message_id text NOT NULL,
    batch_id uuid NOT NULL,
    seq integer NOT NULL,
    key_no integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (provider, message_id)
) PARTITION BY HASH (provider, message_id);

CREATE TABLE receipt (
    provider text NOT NULL,
    event_id text NOT NULL,
    report text NOT NULL,
    batch_id uuid, seq integer, key_no integer,
    message_id text,
    reason text,
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    matched boolean NOT NULL,           -- false: parked
    PRIMARY KEY (provider, event_id)
) PARTITION BY HASH (provider, event_id);
CREATE INDEX receipt_parked ON receipt (provider, message_id) WHERE NOT matched;
CREATE INDEX receipt_age ON receipt (received_at);

CREATE TABLE idempotency_key (
    tenant_id text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    notification_id uuid NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, key)
) PARTITION BY HASH (tenant_id, key);
CREATE INDEX idempotency_key_age ON idempotency_key (expires_at);

-- Narrow tables that lists and statistics are read from, so that nothing ever counts deliveries.
CREATE TABLE notification_end (
    notification_id uuid PRIMARY KEY,
    tenant_id text NOT NULL,
    status text NOT NULL,
    ended_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX notification_end_status ON notification_end (tenant_id, status, notification_id);

CREATE TABLE dead_letter (
    batch_id uuid NOT NULL,
    seq integer NOT NULL,
    tenant_id text NOT NULL,
    channel text NOT NULL,
    provider text,
    reason text,
    dead_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (batch_id, seq)
);
CREATE INDEX dead_letter_age ON dead_letter (tenant_id, dead_at);

CREATE TABLE statistic (
    tenant_id text NOT NULL,
    channel text NOT NULL,
    provider text NOT NULL,
    status text NOT NULL,
    n bigint NOT NULL                   -- to be summed; folded into one row each now and then
);
CREATE INDEX statistic_tenant ON statistic (tenant_id);
"""

RANGED = ("batch", "batch_channel", "notification", "delivery", "delivery_event")
HASHED = ("send_ref", "receipt", "idempotency_key")


def upgrade() -> None:
    """Make all tables, their default partitions and hash partitions."""
    for statement in TABLES.split(";\n"):
        if statement.strip():
            op.execute(statement)
    for table in RANGED:
        op.execute(f"CREATE TABLE {table}_default PARTITION OF {table} DEFAULT")
    op.execute("ALTER TABLE delivery_default SET (fillfactor = 50)")
    for table in HASHED:
        for n in range(4):
            values = f"FOR VALUES WITH (MODULUS 4, REMAINDER {n})"
            op.execute(f"CREATE TABLE {table}_{n} PARTITION OF {table} {values}")


def downgrade() -> None:
    """There is nothing before this."""
    raise NotImplementedError
