"""A tenant's data keys, wrapped: what addresses and messages are sealed with (decision 0024)."""

from alembic import op

revision = "0012"
down_revision = "0011"

TABLE = """
CREATE TABLE tenant_key (
    tenant_id text NOT NULL,
    version integer NOT NULL,           -- the highest one seals, all of them open
    kek_id text NOT NULL,               -- the key of CLARION_ENCRYPTION_KEYS that wraps it
    wrapped bytea NOT NULL,             -- nonce and AES-256-GCM; bound to tenant and version
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, version)
)
"""


def upgrade() -> None:
    """Add it. What was written before stays as it is until `clarion secrets rotate --data`."""
    op.execute(TABLE)


def downgrade() -> None:
    """The version before cannot read what was sealed."""
    raise NotImplementedError
