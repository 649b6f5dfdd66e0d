"""Routing by health: what has been tried of a route, who waits for a provider, and how the providers stand."""

from alembic import op

revision = "0002"
down_revision = "0001"

CHANGES = """
-- Providers that have had their chance with it.
ALTER TABLE delivery ADD COLUMN spent text[] NOT NULL DEFAULT '{}';

-- Rows are due, and no provider takes them.
ALTER TABLE batch_channel ADD COLUMN held boolean NOT NULL DEFAULT false;

-- An operator's word; Redis and the processes have copies.
CREATE TABLE provider_switch (
    provider text PRIMARY KEY,
    switch text NOT NULL,
    weight float8,
    reason text NOT NULL,
    changed_by text NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);

-- Changes of breakers and switches, each written by exactly one process.
CREATE TABLE provider_event (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    provider text NOT NULL,
    at timestamptz NOT NULL,
    kind text NOT NULL,                  -- breaker, or operator
    before text,
    after text NOT NULL,
    reason text NOT NULL,
    changed_by text,                     -- of an operator's change
    local boolean NOT NULL DEFAULT false -- seen by one process alone, while Redis was gone
);
CREATE INDEX provider_event_newest ON provider_event (provider, at DESC);
"""


def upgrade() -> None:
    """Add them."""
    for statement in CHANGES.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    """Rows that were queued for another provider than the first stay so: nothing is lost with these columns."""
    op.execute("DROP TABLE provider_event, provider_switch")
    op.execute("ALTER TABLE batch_channel DROP COLUMN held")
    op.execute("ALTER TABLE delivery DROP COLUMN spent")
