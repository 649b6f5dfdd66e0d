"""`cost`: what a notification of a burst costs Temporal, PostgreSQL and the disk, counted by these themselves."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from temporalio.client import Client

from bench.cases.burst import burst
from bench.finding import Figure, Played
from bench.ground import Ground, ground
from domain.runs import WORKFLOW
from ledger.database import Database

COUNT = 20_000
CLIENTS = 256
_VISIBLE_WITHIN = 30.0  # seconds

# All roles together; transaction control is counted apart, as it is no query of its own.
_STATEMENTS = """
SELECT sum(calls) FILTER (WHERE query !~* '^(begin|commit|rollback|savepoint|release|start transaction)')::float8 AS n,
       sum(calls)::float8 AS all
  FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid WHERE d.datname = current_database()
"""
_DISK = "SELECT pg_database_size(current_database())::float8 AS tables, pg_current_wal_lsn() - '0/0'::pg_lsn AS wal"
_MOST_TIME = """
SELECT left(regexp_replace(query, '\\s+', ' ', 'g'), 160) AS query, calls::int, total_exec_time::float8 AS ms
  FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid WHERE d.datname = current_database()
 ORDER BY total_exec_time DESC LIMIT 12
"""


@dataclass(frozen=True, slots=True)
class Bill:
    """What so many notifications cost together. Bytes of `disk` by where they lie."""

    notifications: int
    statements: float
    round_trips: float  # with BEGIN and COMMIT
    transitions: int  # of Temporal's state
    history: int  # bytes
    runs: int
    disk: Mapping[str, float]

    def each(self, total: float) -> float:
        """For one notification."""
        return total / self.notifications


async def billed(on: Ground, token: str, **more: float) -> tuple[Bill, list[dict[str, object]]]:
    """A burst and its bill; the statements that took longest. `more`: `count` or `seconds`, as in Load."""
    await on.db.run("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
    client = await Client.connect(on.stack.addresses.temporal_address)
    before, runs_before = await _disk(on), await _all_runs(on, client)
    await on.db.run("SELECT pg_stat_statements_reset()")
    ended = await burst(on, token, CLIENTS, **more)
    statements, longest = await _statements(on.db)
    runs = await _all_runs(on, client)
    after = await _disk(on)
    bill = Bill(
        ended.result.accepted,
        *statements,
        transitions=runs[0] - runs_before[0],
        history=runs[1] - runs_before[1],
        runs=runs[2] - runs_before[2],
        disk={where: after[where] - before[where] for where in after},
    )
    return bill, longest


async def play(log: Path) -> Played:
    """A burst of 20,000 on a stack of its own."""
    async with ground(log) as on:
        bill, longest = await billed(on, "cost", count=COUNT)
        broken = await on.broken()
    return Played(
        [
            Figure("state transitions", bill.each(bill.transitions), "a notification", at_most=0.2),
            Figure("history", bill.each(bill.history), "bytes a notification"),
            Figure("notifications in a run", bill.notifications / bill.runs),
            Figure("SQL statements", bill.each(bill.statements), "a notification", at_most=0.5),
            Figure("with BEGIN and COMMIT", bill.each(bill.round_trips), "a notification"),
            *(Figure(f"disk, {where}", bill.each(n), "bytes a notification") for where, n in bill.disk.items()),
        ],
        broken,
        {"statements": longest},
    )


async def _statements(db: Database) -> tuple[tuple[float, float], list[dict[str, object]]]:
    """Before anything else is asked of this database: our own questions count too, but for these two they are few."""
    row = (await db.run(_STATEMENTS))[0]
    longest = [dict(row._mapping) for row in await db.run(_MOST_TIME)]  # pyright: ignore[reportPrivateUsage]
    return (row.n, row.all), longest


async def _disk(on: Ground) -> dict[str, float]:
    row = (await on.db.run(_DISK))[0]
    temporal = sum(file.stat().st_size for file in (on.stack.addresses.data_dir / "temporal").glob("temporal.db*"))
    return {"PostgreSQL": row.tables, "its log": float(row.wal), "Temporal": float(temporal)}


async def _all_runs(on: Ground, client: Client) -> tuple[int, int, int]:
    """As `_runs`, once visibility knows the end of each: it follows the runs by some moments."""
    batches = (await on.db.run("SELECT count(*) AS n FROM batch"))[0].n
    async with asyncio.timeout(_VISIBLE_WITHIN):
        while (runs := await _runs(client))[2] < batches:  # noqa: ASYNC110 (a server elsewhere has no event to wait for)
            await asyncio.sleep(0.2)
    return runs


async def _runs(client: Client) -> tuple[int, int, int]:
    """State transitions and bytes of all history, the sweep's too, and how many runs have carried a batch."""
    transitions = history = n = 0
    async for run in client.list_workflows("ExecutionStatus = 'Completed'"):
        transitions += run.raw_info.state_transition_count
        history += run.raw_info.history_size_bytes
        n += run.workflow_type == WORKFLOW
    return transitions, history, n
