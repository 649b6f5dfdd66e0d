"""One tidying takes all that has had its time, however much came in, and nothing that has not."""

from temporalio.testing import ActivityEnvironment

from activities.maintenance import Maintenance
from ledger.database import Database
from ledger.sweeping import PRUNE_AT_ONCE
from runs import Runs, connect
from settings import Settings

_MANY = """
INSERT INTO idempotency_key (tenant_id, key, fingerprint, notification_id, expires_at)
SELECT 'dev', 'k' || n, '', gen_random_uuid(), now() + make_interval(secs => CASE WHEN n <= :old THEN -1 ELSE 3600 END)
  FROM generate_series(1, :old + 7) AS n
"""


async def test_everything_old_goes_at_once(database_url: str, temporal_address: str, temporal_namespace: str) -> None:
    db = Database(database_url, pool_size=2)
    client = await connect(Settings(temporal_address=temporal_address, temporal_namespace=temporal_namespace))
    old = 2 * PRUNE_AT_ONCE + 1
    await db.run(_MANY, old=old)
    done = await ActivityEnvironment().run(Maintenance(db, Runs(client)).tidy)
    assert done["idempotency_keys"] == old
    (left,) = await db.run("SELECT count(*) AS n FROM idempotency_key")
    assert left.n == 7
    await db.close()
