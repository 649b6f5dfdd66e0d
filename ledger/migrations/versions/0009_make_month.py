"""A month's partitions are made by a function with its owner's rights: processes own no tables (decision 0025)."""

from alembic import op

revision = "0009"
down_revision = "0005"

# A table that already has rows of the month in its default partition keeps them there. The search path is pinned:
# whoever calls it must not decide which tables are meant.
FUNCTION = """
CREATE FUNCTION make_month(moment timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
DECLARE
    start timestamptz := date_trunc('month', moment, 'UTC');
    after timestamptz := date_trunc('month', start + interval '32 days', 'UTC');
    low uuid := (lpad(to_hex((extract(epoch FROM start) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid;
    high uuid := (lpad(to_hex((extract(epoch FROM after) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid;
    parent text;
    part text;
    stray boolean;
BEGIN
    FOREACH parent IN ARRAY ARRAY['batch', 'batch_channel', 'notification', 'delivery', 'delivery_event'] LOOP
        part := parent || to_char(start AT TIME ZONE 'UTC', '_YYYY_MM');
        CONTINUE WHEN to_regclass(part) IS NOT NULL;
        EXECUTE format('SELECT EXISTS (SELECT 1 FROM %I WHERE %I >= $1 AND %2$I < $2)', parent || '_default',
                       CASE WHEN parent IN ('batch', 'notification') THEN 'id' ELSE 'batch_id' END)
           INTO stray USING low, high;
        CONTINUE WHEN stray;
        EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)', part, parent, low, high);
        IF parent = 'delivery' THEN
            EXECUTE format('ALTER TABLE %I SET (fillfactor = 50)', part);
        END IF;
    END LOOP;
END $$
"""


def upgrade() -> None:
    """Add the function, for nobody but its owner until roles are granted it."""
    schema = op.get_bind().exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one()
    op.get_bind().exec_driver_sql(FUNCTION.format(schema=schema))
    op.execute("REVOKE ALL ON FUNCTION make_month FROM PUBLIC")


def downgrade() -> None:
    """The version before makes them itself."""
    op.execute("DROP FUNCTION make_month")
