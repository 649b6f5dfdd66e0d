"""The gauges of dead letters: read by whoever sweeps, gone with the last letter."""

from prometheus_client import REGISTRY
from seeding import CHANNELS, accept, batch_of, dead, submission
from vaults import vault

from activities.maintenance import Maintenance
from ledger.database import Database
from ledger.dead_letter_list import Which
from ledger.dead_letters import discard
from runs import Runs, connect
from settings import Settings


def _shown(name: str) -> float | None:
    return REGISTRY.get_sample_value(name, {"channel": "sms"})


async def test_depth_and_age_follow_the_dead_letters(
    database_url: str, temporal_address: str, temporal_namespace: str
) -> None:
    db = Database(database_url, vault=vault(), pool_size=2)
    maintenance = Maintenance(
        db, Runs(await connect(Settings(temporal_address=temporal_address, temporal_namespace=temporal_namespace)))
    )
    batch = batch_of(await accept(db, submission(channels=("sms",), recipients=("ann", "bob"))))
    await dead(db, batch, CHANNELS["sms"])
    await db.run("UPDATE dead_letter SET dead_at = dead_at - interval '5 hours' WHERE seq = 1")
    await maintenance.sweep_once()
    assert _shown("clarion_dead_letters") == 2
    assert 5 * 3600 <= (_shown("clarion_dead_letter_oldest_age_seconds") or 0) < 5 * 3600 + 60
    await discard(db, Which(batch=batch))
    await maintenance.sweep_once()
    assert _shown("clarion_dead_letters") is None
    assert _shown("clarion_dead_letter_oldest_age_seconds") is None
    await db.close()
