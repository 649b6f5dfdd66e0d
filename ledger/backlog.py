"""What has been accepted and no run has looked at yet: how far sending is behind accepting."""

from collections.abc import Mapping

from domain.priorities import Priority
from ledger.database import Database
from ledger.sweeping import AGAIN

Backlog = Mapping[tuple[str, Priority], int]  # deliveries, by channel and priority

# The first look leaves a tally. What the sweep has put off counts, and what is scheduled once it is about to start.
_WAITING = """
SELECT channel, priority, sum(size)::bigint AS n FROM batch_channel
 WHERE done_at IS NULL AND tally = '{}' AND next_look_at <= now() + make_interval(secs => :soon)
 GROUP BY channel, priority
"""


async def waiting(db: Database) -> Backlog:
    """Deliveries whose run has not finished its first look. Raises LedgerUnavailable.

    A batch being sent for the first time counts whole until its first answers are settled; what waits for a retry, a
    provider or a receipt does not count: that is no sign of too few workers.
    """
    rows = await db.run(_WAITING, soon=AGAIN)
    return {(row.channel, Priority(row.priority)): row.n for row in rows}
