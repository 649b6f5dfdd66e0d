"""Plays one case on a stack of its own: traffic, the fault, the healing, and the end of all that was accepted."""

import asyncio
import random
import time
from dataclasses import dataclass
from pathlib import Path

import orjson

from bench.failover import facts
from bench.failover.cases import BACK_WITHIN, QUIET, Case
from bench.failover.facts import Change, Claim
from bench.failover.faults import Fault
from bench.failover.forwarder import Forwarder
from bench.failover.shares import WINDOW
from bench.failover.stage import staged
from bench.load import Result, Target, body_of, run
from bench.verdict import Verdict, settled
from ledger.database import Database
from workers.embedded.stack import Stack

_LOOK_EVERY = 2.0  # seconds
_ENDS_WITHIN = 300.0  # seconds from the last request until everything has ended
_CLIENTS = 256  # connections of the load at most


@dataclass(frozen=True, slots=True)
class Moments:
    """When what happened, in seconds since 1970."""

    began: float
    fault: float
    healed: float
    ended: float  # the last request


@dataclass(frozen=True, slots=True)
class Played:
    """Everything a case is judged by. `calls`: when sends came to the vendor's address, as counted there."""

    case: Case
    moments: Moments
    claims: list[Claim]
    changes: list[Change]
    calls: list[float]
    accepted_per_s: float
    sent_per_s: float
    turned_away: int
    verdict: Verdict
    duplicates: int  # messages that the ledger counts as possible duplicates


async def play(case: Case, log: Path) -> Played:
    """`log` takes what the parts of the stack write. Raises StackError when it cannot run."""
    async with staged(log) as (stack, forwarder):
        db = Database(stack.addresses.database_url, pool_size=2)
        try:
            return await _played(case, stack, forwarder, db)
        finally:
            await db.close()


async def _played(case: Case, stack: Stack, forwarder: Forwarder, db: Database) -> Played:
    data = stack.addresses.data_dir
    promised, vendors = data / "accepted", data / "sandbox" / "log.jsonl"
    stop = asyncio.Event()
    began = time.time()
    load = asyncio.create_task(_load(case, stack.addresses.api, promised, stop))
    fault = Fault(case.kind, forwarder, stack.addresses.sandbox)
    try:
        await asyncio.sleep(QUIET)
        await fault.begin()
        at = time.time()
        await asyncio.sleep(case.fault)
        await fault.heal()
        healed = time.time()
        await _until_back(db, case, healed)
    finally:
        stop.set()
        result = await load
    moments = Moments(began, at, healed, time.time())
    verdict = await settled(db, promised, vendors, within=_ENDS_WITHIN)
    return Played(
        case,
        moments,
        await facts.claims(db),
        await facts.changes(db),
        forwarder.calls,
        result.accepted / result.seconds,
        _taken_until(vendors, moments.ended) / result.seconds,
        sum(result.refused.values()) + result.broken,
        verdict,
        await facts.possible_duplicates(db),
    )


async def _load(case: Case, url: str, promised: Path, stop: asyncio.Event) -> Result:
    chance = random.Random(case.name)
    return await run(
        Target(url),
        clients=min(_CLIENTS, max(4, case.rate)),
        rate=case.rate,
        stop=stop,
        make_body=lambda n: body_of(n, case.name, chance, ("sms",)),
        accepted_ids=promised,
        keep_going=True,
    )


async def _until_back(db: Database, case: Case, healed: float) -> None:
    """Go on until the vendor's traffic is surely back, or its time is over."""
    width = window_of_return(case)
    while time.time() < healed + BACK_WITHIN:
        await asyncio.sleep(_LOOK_EVERY)
        if time.time() > healed + width and await facts.share_of_late(db, width) > 0.75:
            return


def window_of_return(case: Case) -> float:
    """Seconds: long enough for ten messages, so that a probe is no return."""
    return max(WINDOW, 10 / case.rate)


def _taken_until(log: Path, end: float) -> int:
    """Messages that vendors took while the load went on."""
    lines = log.read_bytes().splitlines() if log.exists() else []
    return sum(orjson.loads(line)["at"] <= end for line in lines)
