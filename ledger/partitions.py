"""Monthly partitions of the time-ordered tables, cut by UUIDv7: the first 48 bits of a key are its time."""

from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_AHEAD = 2  # months made before they are needed


def floor_of(moment: datetime) -> UUID:
    """The smallest UUIDv7 of this millisecond."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)


def month_after(moment: datetime, months: int) -> datetime:
    """The start of the month so many months after this one's (UTC)."""
    index = moment.year * 12 + moment.month - 1 + months
    return datetime(index // 12, index % 12 + 1, 1, tzinfo=UTC)


async def ensure_partitions(connection: AsyncConnection, now: datetime | None = None) -> None:
    """Make this month's and the next months' partitions where they are missing.

    Keys outside (a clock far off) fall into the default partition. A month whose rows already fell there is left to it.
    """
    now = now or datetime.now(UTC)
    for ahead in range(_AHEAD + 1):
        await connection.execute(text("SELECT make_month(:start)"), {"start": month_after(now, ahead)})
