"""Addresses that get nothing more, known by a keyed hash, which deliveries carry too; and people listed by id."""

from alembic import op

revision = "0007"
down_revision = "0005"

STATEMENTS = """
CREATE TABLE suppression (
    tenant_id text NOT NULL,
    channel text NOT NULL,
    address_hash bytea NOT NULL,        -- domain/suppressions.py, `blind`: the address itself is nowhere in this table
    reason text NOT NULL,               -- hard_bounce, complaint, unsubscribe, manual
    source text NOT NULL,               -- the provider that reported it, or api
    hint text,                          -- a***@example.com, for people; NULL once the person was erased
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, channel, address_hash)
);

-- NULL: accepted before this column was there, without an address, or the person was erased.
ALTER TABLE delivery ADD COLUMN address_hash bytea;

-- What the event says about the address; kept with a parked receipt until its send is known.
ALTER TABLE receipt ADD COLUMN suppress text;

-- Ids in the order of their letters, whatever the collation of the database: a prefix is a range then.
CREATE INDEX recipient_by_id ON recipient (tenant_id, id COLLATE "C");
"""


def upgrade() -> None:
    """Add them."""
    for statement in STATEMENTS.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    """Who was suppressed is forgotten, and will be written to again."""
    op.execute("DROP INDEX recipient_by_id")
    op.execute("ALTER TABLE receipt DROP COLUMN suppress")
    op.execute("ALTER TABLE delivery DROP COLUMN address_hash")
    op.execute("DROP TABLE suppression")
