"""Which sends a provider has reported, for who judges vendors by their receipts."""

from collections.abc import Sequence

from domain.ids import DeliveryId
from ledger.database import Database

_REPORTED = """
SELECT count(*) FROM unnest(CAST(:batch AS uuid[]), CAST(:seq AS int[])) AS g(batch_id, seq)
 WHERE EXISTS (SELECT 1 FROM delivery_event e WHERE e.batch_id = g.batch_id AND e.seq = g.seq
                  AND e.step = 'receipt' AND e.provider = :provider)
"""


async def reported(db: Database, provider: str, sends: Sequence[DeliveryId]) -> int:
    """How many of these the provider has reported, whatever it said. Raises LedgerUnavailable."""
    if not sends:
        return 0
    rows = await db.run(
        _REPORTED, provider=provider, batch=[send.batch for send in sends], seq=[send.seq for send in sends]
    )
    return rows[0][0]
