"""What has been accepted and no run has looked at yet: how far sending is behind accepting."""

from collections.abc import Mapping

from domain.priorities import Priority
from ledger.database import Database
from ledger.sweeping import AGAIN

# Deliveries by channel, priority and tenant; None: of batches that several share.
Backlog = Mapping[tuple[str, Priority, str | None], int]

# The first look leaves a tally. What the sweep has put off counts, and what is scheduled once it is about to start.
_WAITING = """
SELECT c.channel, c.priority, b.tenant_id, sum(c.size)::bigint AS n
  FROM batch_channel c JOIN batch b ON b.id = c.batch_id
 WHERE c.done_at IS NULL AND c.tally = '{}' AND c.next_look_at <= now() + make_interval(secs => :soon)
 GROUP BY c.channel, c.priority, b.tenant_id
"""


async def waiting(db: Database) -> Backlog:
    """Deliveries whose run has not finished its first look. Raises LedgerUnavailable.

    A batch being sent for the first time counts whole until its first answers are settled; what waits for a retry, a
    provider or a receipt does not count: that is no sign of too few workers.
    """
    rows = await db.run(_WAITING, soon=AGAIN)
    return {(row.channel, Priority(row.priority), row.tenant_id): row.n for row in rows}
