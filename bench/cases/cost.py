"""`cost`: what a notification of a burst costs Temporal, PostgreSQL and the disk, counted by these themselves."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from temporalio.client import Client

from bench.cases.burst import Burst, burst
from bench.finding import Figure, Played
from bench.ground import Ground, ground
from domain.runs import WORKFLOW

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


async def billed(on: Ground, token: str, clients: int = CLIENTS, **more: Any) -> tuple[Burst, Bill]:
    """A burst and its bill. `more` as in Load: `count` or `seconds`. Our own questions count too, but are few."""
    await on.db.run("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
    client = await Client.connect(on.stack.addresses.temporal_address)
    before, runs_before = await _disk(on), await _all_runs(on, client)
    await on.db.run("SELECT pg_stat_statements_reset()")
    ended = await burst(on, token, clients, **more)
    statements = (await on.db.run(_STATEMENTS))[0]
    runs, after = await _all_runs(on, client), await _disk(on)
    return ended, Bill(
        notifications=ended.result.accepted,
        statements=statements.n,
        round_trips=statements.all,
        transitions=runs.transitions - runs_before.transitions,
        history=runs.history - runs_before.history,
        runs=runs.batches - runs_before.batches,
        disk={where: after[where] - before[where] for where in after},
    )


async def play(log: Path) -> Played:
    """A burst of 20,000 on a stack of its own."""
    async with ground(log) as on:
        _, bill = await billed(on, "cost", count=COUNT)
        longest = [row._asdict() for row in await on.db.run(_MOST_TIME)]
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


@dataclass(frozen=True, slots=True)
class _Runs:
    """State transitions and bytes of all history, the sweep's too, and how many runs have carried a batch."""

    transitions: int
    history: int
    batches: int


async def _disk(on: Ground) -> dict[str, float]:
    row = (await on.db.run(_DISK))[0]
    temporal = sum(file.stat().st_size for file in (on.stack.addresses.data_dir / "temporal").glob("temporal.db*"))
    return {"PostgreSQL": row.tables, "its log": float(row.wal), "Temporal": float(temporal)}


async def _all_runs(on: Ground, client: Client) -> _Runs:
    """What visibility says of them, once it knows the end of each: it follows the runs by some moments."""
    batches = (await on.db.run("SELECT count(*) AS n FROM batch"))[0].n
    async with asyncio.timeout(_VISIBLE_WITHIN):
        while (runs := await _runs(client)).batches < batches:  # noqa: ASYNC110 (a server has no event to wait for)
            await asyncio.sleep(0.2)
    return runs


async def _runs(client: Client) -> _Runs:
    transitions = history = batches = 0
    async for run in client.list_workflows("ExecutionStatus = 'Completed'"):
        transitions += run.raw_info.state_transition_count
        history += run.raw_info.history_size_bytes
        batches += run.workflow_type == WORKFLOW
    return _Runs(transitions, history, batches)
