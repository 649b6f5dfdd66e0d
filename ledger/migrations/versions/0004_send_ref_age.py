"""Find old references to sends: they are kept of every SMS now, so that a look-up knows which messages are others'."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the index."""
    op.execute("CREATE INDEX send_ref_age ON send_ref (created_at)")


def downgrade() -> None:
    """Only pruning uses it."""
    op.execute("DROP INDEX send_ref_age")
