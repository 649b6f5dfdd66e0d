"""The backlog: how much of each channel and priority no run has looked at yet, without joining or counting rows."""

from alembic import op

revision = "0003"
down_revision = "0002"

COLUMNS = """
ALTER TABLE batch_channel
    ADD COLUMN priority text NOT NULL DEFAULT 'normal', -- its batch's
    ADD COLUMN size integer NOT NULL DEFAULT 0          -- deliveries; 0: written before this column was there
"""
INDEX = "CREATE INDEX batch_channel_unseen ON batch_channel (next_look_at) WHERE done_at IS NULL AND tally = '{}'"


def upgrade() -> None:
    """Add them."""
    op.execute(COLUMNS)
    op.execute(INDEX)


def downgrade() -> None:
    """Nothing but the backlog is read from them."""
    op.execute("DROP INDEX batch_channel_unseen")
    op.execute("ALTER TABLE batch_channel DROP COLUMN priority, DROP COLUMN size")
