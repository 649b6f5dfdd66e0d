"""Tags, and an index of terms by which a tenant's notifications are found."""

from alembic import op

revision = "0011"
down_revision = "0009"

STATEMENTS = """
-- Words of messages and values of metadata are kept in plain text, to be found by, for those who choose so.
ALTER TABLE tenant ADD COLUMN keep_text boolean NOT NULL DEFAULT false;

ALTER TABLE notification ADD COLUMN tags text[] NOT NULL DEFAULT '{}';

-- One row for each term of a notification (domain/search.py). Equality and ranges of text are leakproof, operators of
-- arrays, jsonb and tsvector are not: under row-level security an index on those would not be used.
CREATE TABLE search_entry (
    tenant_id text NOT NULL,
    term text COLLATE "C" NOT NULL,     -- by code points: a beginning is a range
    notification_id uuid NOT NULL,
    PRIMARY KEY (tenant_id, term, notification_id)
);
-- Has this notification such a term? And: all of its terms, to be forgotten.
CREATE INDEX search_entry_notification ON search_entry (notification_id, tenant_id, term);
"""


def upgrade() -> None:
    """Add them. Notifications from before have no tags, and their words are not found."""
    for statement in STATEMENTS.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    """Tags are lost."""
    op.execute("DROP TABLE search_entry")
    op.execute("ALTER TABLE notification DROP COLUMN tags")
    op.execute("ALTER TABLE tenant DROP COLUMN keep_text")
