"""Keys that end and are last used, tenants that are suspended and limited, and a log of administrative acts."""

from alembic import op

revision = "0005"
down_revision = "0004"

STATEMENTS = """
ALTER TABLE tenant ADD COLUMN suspended_at timestamptz, ADD COLUMN suspended_reason text,
                   ADD COLUMN limits jsonb NOT NULL DEFAULT '{}';
ALTER TABLE api_key ADD COLUMN name text, ADD COLUMN expires_at timestamptz, ADD COLUMN last_used_at timestamptz;

CREATE TABLE audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor text NOT NULL,                -- clr_…: a key; cli:…: who ran a command; dev: a development call without a key
    action text NOT NULL,
    subject text NOT NULL,              -- what was acted on, by its id
    tenant_id text,                     -- NULL: it concerns the whole service
    detail jsonb NOT NULL DEFAULT '{}', -- no secrets, no personal data
    request_id text
);
CREATE INDEX audit_tenant ON audit (tenant_id, id);

CREATE FUNCTION audit_stays() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN RAISE EXCEPTION ''what is in the audit log stays there''; END';
CREATE TRIGGER audit_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_stays();
"""


def upgrade() -> None:
    """Add the columns and the log."""
    for statement in STATEMENTS.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    """Forget all of it."""
    op.execute("DROP TABLE audit")
    op.execute("DROP FUNCTION audit_stays")
    op.execute("ALTER TABLE api_key DROP COLUMN name, DROP COLUMN expires_at, DROP COLUMN last_used_at")
    op.execute("ALTER TABLE tenant DROP COLUMN suspended_at, DROP COLUMN suspended_reason, DROP COLUMN limits")
