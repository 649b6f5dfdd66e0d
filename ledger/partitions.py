"""Monthly partitions of the time-ordered tables, cut by UUIDv7: the first 48 bits of a key are its time."""

from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

# All have the batch's or notification's id as the first column of their key.
PARTITIONED = ("batch", "batch_channel", "notification", "delivery", "delivery_event")
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
        start, end = month_after(now, ahead), month_after(now, ahead + 1)
        for table in PARTITIONED:
            await _ensure(connection, table, start, end)


async def _ensure(connection: AsyncConnection, table: str, start: datetime, end: datetime) -> None:
    name = f"{table}_{start:%Y_%m}"
    known = await connection.execute(text("SELECT to_regclass(:name)"), {"name": name})
    if known.scalar_one() is not None:
        return
    key = "id" if table in ("batch", "notification") else "batch_id"
    stray = text(f"SELECT 1 FROM {table}_default WHERE {key} >= :low AND {key} < :high LIMIT 1")  # noqa: S608
    if (await connection.execute(stray, {"low": floor_of(start), "high": floor_of(end)})).first():
        return
    bounds = f"FROM ('{floor_of(start)}') TO ('{floor_of(end)}')"
    await connection.execute(text(f"CREATE TABLE {name} PARTITION OF {table} FOR VALUES {bounds}"))
    if table == "delivery":
        await connection.execute(text(f"ALTER TABLE {name} SET (fillfactor = 50)"))
