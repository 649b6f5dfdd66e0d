"""Plays one case on a stack of its own: tenant B alone, then beside tenant A's flood, then the end of all of it."""

import asyncio
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from bench.driver import Load, offered
from bench.load import Result, Target, run
from bench.numbers import percentile
from bench.site import site
from bench.verdict import settled
from domain.priorities import Priority
from ledger import keys, tenants
from ledger.audit import By
from ledger.database import Database
from ledger.keys import Role
from ledger.tenants import Tenant
from workers.embedded.stack import Stack

RATE = 20.0  # notifications a second of tenant B
QUIET, FLOOD = 30.0, 62.0  # seconds
CLIENTS = 128  # connections of tenant A
RECIPIENTS = 50  # of each of A's notifications: it accepts faster than anybody can send
BACKLOG = 20_000  # deliveries: what the flood may pile up, so that it can be sent to its end afterwards
_ENDS_WITHIN = 300.0  # seconds
_ME = By("bench")


@dataclass(frozen=True, slots=True)
class Seen:
    """What B saw in one phase. Seconds, from the planned time of each request."""

    samples: int
    refused: int
    accept_p50: float
    accept_p99: float
    sent_p50: float
    sent_p99: float


@dataclass(frozen=True, slots=True)
class Played:
    """One case."""

    fairness: bool
    quiet: Seen
    flood: Seen
    flood_accepted: int  # A's notifications
    flood_refused: int
    sent_per_s: float  # deliveries of both, while the flood went on
    lost: int
    uncounted: int
    clean: bool

    def line(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


async def play(fairness: bool, log: Path) -> Played:
    """`log` takes what the parts of the stack write. Raises StackError when it cannot run."""
    settings = {"CLARION_FAIRNESS": str(fairness).lower(), "CLARION_BACKLOG_LIMIT": str(BACKLOG)}
    async with site(log, settings) as stack:
        db = Database(stack.addresses.database_url, pool_size=2)
        try:
            return await _played(fairness, stack, db)
        finally:
            await db.close()


async def _played(fairness: bool, stack: Stack, db: Database) -> Played:
    data, url = stack.addresses.data_dir, stack.addresses.api
    flooder, b = await _key(db, "a"), Target(url, await _key(db, "b"))
    await run(b, clients=4, rate=RATE, seconds=5, make_body=_single)  # everything is warm, and B has never been cold
    quiet = await run(b, clients=16, rate=RATE, seconds=QUIET, make_body=_single, accepted_ids=data / "quiet")
    began = time.time()
    # From a process of its own: B's answers are not to wait while A's requests are made.
    flooding = asyncio.create_task(offered(_flood(url, flooder, data / "flood")))
    small = await run(b, clients=256, rate=RATE, seconds=FLOOD, make_body=_single, accepted_ids=data / "small")
    flood = await flooding
    vendors = data / "sandbox" / "log.jsonl"
    sent = sum(began <= orjson.loads(line)["at"] <= time.time() for line in vendors.read_bytes().splitlines())
    seconds = time.time() - began
    promised = data / "promised"
    promised.write_bytes(b"".join((data / name).read_bytes() for name in ("quiet", "flood", "small")))
    verdict = await settled(db, promised, vendors, within=_ENDS_WITHIN)
    return Played(
        fairness,
        await _seen(db, quiet, data / "quiet"),
        await _seen(db, small, data / "small"),
        flood.accepted,
        sum(flood.refused.values()),
        sent / seconds,
        verdict.lost,
        verdict.uncounted,
        verdict.clean,
    )


async def _key(db: Database, name: str) -> str:
    await tenants.create(db, Tenant(name, name), _ME)
    return (await keys.create(db, name, Role.SEND, _ME))[1]


def _single(n: int) -> bytes:
    return orjson.dumps({"channels": ["sms"], "recipient_ids": [f"small{n % 500}"], "message": f"small {n}"})


def _flood(url: str, key: str, accepted: Path) -> Load:
    return Load(
        url,
        key,
        "flood",
        CLIENTS,
        promised=str(accepted),
        seconds=FLOOD,
        channels=("sms",),
        shares=((Priority.NORMAL.value, 1.0),),
        recipients=RECIPIENTS,
        rest=1.0,
    )


_SENT_AT = """
SELECT d.notification_id AS id, extract(epoch FROM min(e.at))::float8 AS at
  FROM delivery d JOIN delivery_event e USING (batch_id, seq)
 WHERE d.tenant_id = 'b' AND e.step = 'record' GROUP BY d.notification_id
"""


async def _seen(db: Database, result: Result, accepted: Path) -> Seen:
    sent_at = {str(row.id): row.at for row in await db.run(_SENT_AT)}
    lines = [line.split() for line in accepted.read_text().splitlines()]  # noqa: ASYNC240
    waits = [sent_at[id] - (result.began + int(n) / RATE) for n, id in lines if id in sent_at]
    refused = sum(result.refused.values()) + result.broken
    accept = result.percentile
    return Seen(
        len(result.latencies), refused, accept(0.5), accept(0.99), percentile(waits, 0.5), percentile(waits, 0.99)
    )
